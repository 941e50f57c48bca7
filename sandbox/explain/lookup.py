"""Why a transaction that somebody names did not pay a session: also one that nobody stored."""

from collections.abc import Mapping

from sandbox.chains.port import UNSWEPT, Chain, Decoded
from sandbox.explain import backbone, transactions
from sandbox.explain.checkout import Checkout, option_of
from sandbox.explain.facts import Moved
from sandbox.explain.words import Rule, Seen, Step
from sandbox.payments.models import CheckoutSession


def steps(
    read: Checkout, session: CheckoutSession, chains: Mapping[str, Chain], seen: Seen
) -> list[Step]:
    """The named transaction and the rule that it fails; nothing where it is told already."""
    tx = read.asked_tx
    if any(one.tx == tx for one in read.told) or any(one.tx == tx for one in read.strays):
        return []
    moved = [one for one in read.facts.moved.values() if one.tx == tx]
    known = [chain for (chain, id_), found in seen.told.items() if id_ == tx and found is not None]
    known += [one.chain for one in moved if one.chain in chains]
    now, place = read.facts.state.now, backbone.LAST
    if not known:
        values = {"tx": tx, "network": ", ".join(sorted(one.network for one in chains.values()))}
        rule = Rule("known", "fail", values)
        return [Step(now, "chain", "watcher", "judgement", "lookup.unknown", values, (rule,),
                     place=(place, backbone.SEEN), is_fault=True)]  # fmt: skip
    chain = known[0]
    found = seen.told.get((chain, tx))
    sent = transactions.step(chains, seen, chain, tx, now, (place, backbone.SENT))
    rules = _rules(
        read, session, chains[chain], found, [one for one in moved if one.chain == chain]
    )
    fails = any(rule.result == "fail" for rule in rules)
    values = {"tx": tx, "chain": chain, "network": chains[chain].network}
    code = "lookup.not_paid" if fails else "lookup.not_seen"
    judged = Step(now, "chain", "watcher", "judgement", code, values, tuple(rules),
                  place=(place, backbone.SEEN), is_fault=fails)  # fmt: skip
    return [sent, judged]


def _rules(
    read: Checkout,
    session: CheckoutSession,
    chain: Chain,
    found: Decoded | None,
    moved: list[Moved],
) -> list[Rule]:
    rules = [Rule("known", "pass", {"network": chain.network})]
    if found is not None:
        failed = found.error is not None
        rules.append(Rule("happened", "fail" if failed else "pass", {"error": found.error}))
        if failed:
            return rules
    option = option_of(read, chain.name)
    if not moved:
        asked = transactions.expected(option)["token"]
        rules.append(Rule("token", "fail", {"expected": asked, "found": _token_of(found)}))
        return rules
    ours = {
        key: id_
        for (on, key), id_ in read.matched.items()
        if on == chain.name and id_ == session.id
    }
    # Of several transfers the one that comes nearest is told.
    told = [_door(option, chain, one, ours) for one in moved]
    return rules + min(told, key=lambda of: sum(rule.result == "fail" for rule in of))


def _door(
    option: Mapping[str, object], chain: Chain, one: Moved, ours: Mapping[str, str]
) -> list[Rule]:
    place = chain.own_addresses().get(one.destination, "")
    if not place and chain.deposit_key(one.destination) in ours:
        place = UNSWEPT
    return transactions.at_the_door(
        option,
        token=None,
        destination=one.destination,
        place=place,
        keys=one.keys,
        matched=ours,
        is_ours=one.intent is not None,
        times_seen=len(one.inclusions),
    )


def _token_of(found: Decoded | None) -> str | None:
    """The token that a decoded transaction moves, as far as one can tell."""
    if found is None:
        return None
    mints = [address for act in found.acts for role, address in act.accounts if role == "mint"]
    return next(iter(mints), found.acts[0].program if found.acts else None)
