"""Transactions as steps: what the chain says they do, and the rules of who may be paid by them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sandbox.chains.port import Act, Chain, Decoded
from sandbox.core.clock import iso
from sandbox.explain.words import Rule, Seen, Step
from sandbox.payments import incoming
from sandbox.payments.grounds import Result


def act_object(act: Act) -> dict[str, Any]:
    """An instruction, call or log as JSON."""
    return {
        "name": act.name,
        "program": act.program,
        "accounts": [{"role": role, "address": address} for role, address in act.accounts],
        "values": dict(act.values),
        "inner": act.is_inner,
    }


def decoded_object(found: Decoded) -> dict[str, Any]:
    """A transaction as JSON."""
    return {
        "state": found.state,
        "height": found.height,
        "block_at": None if found.time is None else iso(found.time),
        "sender": found.sender,
        "error": found.error,
        "acts": [act_object(act) for act in found.acts],
        "acts_left_out": found.left_out,
    }


def told(chains: Mapping[str, Chain], seen: Seen, chain: str, tx: str) -> dict[str, Any]:
    """What is known of a transaction; `transaction` is null where its chain told nothing."""
    port, found = chains.get(chain), seen.told.get((chain, tx))
    return {
        "chain": chain,
        "network": chain if port is None else port.network,
        "tx": tx,
        "sender": None if found is None else found.sender,
        "error": None if found is None else found.error,
        "transaction": None if found is None else decoded_object(found),
    }


def step(
    chains: Mapping[str, Chain],
    seen: Seen,
    chain: str,
    tx: str,
    at: datetime,
    place: tuple[float, int],
    **values: Any,
) -> Step:
    """A transaction that a wallet sent, decoded if its chain was asked and answered."""
    code = "tx.sent"
    if (chain, tx) not in seen.asked:
        code = "tx.stored"
    elif (chain, tx) not in seen.told:
        code = "tx.silent"
    elif (found := seen.told[(chain, tx)]) is None:
        code = "tx.unknown"
    elif found.error is not None:
        code = "tx.failed"
    is_fault = code in ("tx.unknown", "tx.failed")
    about = {**told(chains, seen, chain, tx), **values}
    return Step(at, "wallet", "chain", "transaction", code, about, place=place, is_fault=is_fault)


def expected(option: Mapping[str, Any]) -> dict[str, Any]:
    """What a session's option tells a wallet: to whom, with which token and marks."""
    return {
        "recipient": option.get("recipient") or option.get("address"),
        "token": option.get("mint") or option.get("token"),
        "reference": option.get("reference"),
        "memo": option.get("memo"),
    }


def at_the_door(
    option: Mapping[str, Any],
    *,
    token: str | None,
    destination: str,
    place: str,
    keys: Sequence[str],
    matched: Mapping[str, str],
    is_ours: bool,
    times_seen: int,
) -> list[Rule]:
    """The rules by which money is taken in at all (`payments.incoming`), with what they compared.

    `place` is the place of ours that it reached, empty for somebody else's address; `matched`
    are the keys that belong to sessions; `token` names another token than ours.
    """
    asked = expected(option)
    named = incoming.session_of(incoming.usable(keys), dict(matched))
    mark: dict[str, Any] = {
        "carried": list(keys),
        "matched": next((key for key in keys if key in matched), None),
        "reference": asked["reference"],
        "memo": asked["memo"],
        "address": asked["recipient"],
    }
    rules = [
        Rule("token", _result(token is None), {"expected": asked["token"], "found": token}),
        Rule(
            "recipient",
            _result(bool(place)),
            {"expected": asked["recipient"], "found": destination, "place": place},
        ),
    ]
    if token is None and place:
        rules.append(Rule("by_others", _result(not is_ours or place == "unswept"), {}))
        rules.append(Rule("named", _result(named is not None), mark))
        rules.append(Rule("not_used_before", "pass", {"inclusions": times_seen}))
    elif place:
        rules.append(Rule("named", "pass" if named is not None else "fail", mark))
    return rules


def _result(passes: bool) -> Result:
    return "pass" if passes else "fail"
