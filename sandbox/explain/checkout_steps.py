"""What was read of a checkout, as steps. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from sandbox.chains.port import UNSWEPT, Chain
from sandbox.core.clock import iso
from sandbox.core.money import tiyn_from_units
from sandbox.explain import backbone, checkout_state, lookup, transactions
from sandbox.explain.checkout import Checkout, option_of
from sandbox.explain.facts import Moved
from sandbox.explain.links import link
from sandbox.explain.words import Explanation, Link, Rule, Seen, Step, in_short
from sandbox.payments.grounds import grounds
from sandbox.payments.models import CheckoutSession, Payment, Refund, StrayTransfer


def build(read: Checkout, chains: Mapping[str, Chain], seen: Seen) -> Explanation:
    """The explanation of the session, payment, refund or stray that was asked for."""
    summary, values, reasons = checkout_state.summary(read)
    return Explanation(
        read.object,
        read.id,
        read.facts.state.now,
        summary,
        values,
        reasons,
        steps=[*_Telling(read, chains, seen).steps(), *backbone.steps(read.facts, chains, seen)],
        waits=in_short(checkout_state.waits(read)),
        links=checkout_state.linked(read),
        notes=backbone.notes(read.facts),
    )


class _Telling:
    def __init__(self, read: Checkout, chains: Mapping[str, Chain], seen: Seen) -> None:
        self.read, self.chains, self.seen = read, chains, seen
        self.facts, self.viewer = read.facts, read.facts.viewer

    # What happened.

    def steps(self) -> list[Step]:
        made: list[Step] = []
        if self.read.session is not None:
            made += self._asked(self.read.session)
            made += self._elsewhere(self.read.session)
            if self.read.asked_tx:
                made += lookup.steps(self.read, self.read.session, self.chains, self.seen)
        for payment in self.read.told:
            made += self._paid(payment)
        for stray in self.read.strays:
            if stray.payment is None:
                made += self._strayed(stray)
        for refund in self.read.refunds:
            made += self._refunded(refund)
        return made

    def _asked(self, session: CheckoutSession) -> list[Step]:
        created = next(iter(self.facts.of(session.id, "checkout.session.created")), None)
        index = -1 if created is None else created.index
        values: dict[str, Any] = {
            "session": session.id,
            "amount_tiyn": session.amount_tiyn,
            "expires_in_s": session.expires_in_s,
            **self.facts.asked(None if created is None else created.request_id),
        }
        if self.viewer is not None:
            # Private: nobody but the owner reads them (CONTRACT 4).
            values["description"] = session.description
            values["client_reference_id"] = session.client_reference_id
        asked = Step(session.created_at, "merchant", "api", "request", "request.session", values,
                     links=self._request(values["request_id"]),
                     place=(index, backbone.ASKED))  # fmt: skip
        offers = [
            Step(session.created_at, "api", "wallet", "offer", "offer", self._offer(option),
                 place=(index, backbone.OFFERED))
            for option in session.options
        ]  # fmt: skip
        return [asked, *offers]

    def _request(self, request_id: str | None) -> tuple[Link, ...]:
        return () if request_id is None else (link("request_log", request_id, self.viewer),)

    def _offer(self, option: Mapping[str, Any]) -> dict[str, Any]:
        port = self.chains.get(option["chain"])
        return {
            "chain": option["chain"],
            "network": option["chain"] if port is None else port.network,
            "url": option["url"],
            "amount_units": option["amount_units"],
            **transactions.expected(option),
        }

    def _paid(self, payment: Payment) -> list[Step]:
        moved = self.facts.moved.get(payment.transfer_id)
        confirmed = backbone.nth(self.facts, payment.id, "payment.confirmed", 1)
        index = backbone.LAST if confirmed is None else float(confirmed.index)
        made = [
            transactions.step(
                self.chains, self.seen, payment.chain, payment.tx,
                payment.created_at, (index, backbone.SENT),
                payment=payment.id, amount_units=payment.amount_units,
            )
        ]  # fmt: skip
        made += self._gone(payment.id, "payment", moved)
        newest = backbone.nth(
            self.facts, payment.id, "payment.confirmed",
            len(self.facts.of(payment.id, "payment.confirmed")),
        )  # fmt: skip
        why = checkout_state.why(self.read, payment)
        made.append(
            Step(
                payment.confirmed_at,
                "chain",
                "watcher",
                "judgement",
                f"payment.{why}",
                {
                    "payment": payment.id,
                    "chain": payment.chain,
                    "tx": payment.tx,
                    "height": payment.height,
                    "block_at": iso(payment.block_time),
                    "inclusion": payment.inclusion,
                    "paid_tiyn": tiyn_from_units(payment.amount_units, payment.decimals)[0],
                    "counted_tiyn": tiyn_from_units(payment.counted_units, payment.decimals)[0],
                },
                rules=(*self._door(payment, moved), *self._grounds(payment)),
                links=(link("payment", payment.id, self.viewer),),
                place=(backbone.LAST if newest is None else newest.index, backbone.SEEN),
                is_fault=why != "counted",
            )
        )
        return made

    def _gone(self, id_: str, kind: str, moved: Moved | None) -> list[Step]:
        """Blocks that held it and left the chain."""
        made = []
        gone = [one for one in moved.inclusions if one.state == "reverted"] if moved else []
        for n, inclusion in enumerate(gone, 1):
            event = backbone.nth(self.facts, id_, f"{kind}.reverted", n)
            made.append(
                Step(
                    inclusion.block_time if event is None else event.at,
                    "chain",
                    "watcher",
                    "judgement",
                    "block.left",
                    {
                        "about": id_,
                        "height": inclusion.height,
                        "block_hash": inclusion.block_hash,
                        "inclusion": inclusion.n,
                    },
                    place=(-1 if event is None else event.index, backbone.SEEN),
                    is_fault=True,
                )
            )
        return made

    def _door(self, payment: Payment, moved: Moved | None) -> list[Rule]:
        if moved is None:
            return []
        return transactions.at_the_door(
            option_of(self.read, payment.chain),
            token=None,
            destination=moved.destination,
            place=payment.place,
            keys=moved.keys,
            matched=self._matched(moved),
            is_ours=moved.intent is not None,
            times_seen=len(moved.inclusions),
        )

    def _matched(self, moved: Moved) -> dict[str, str]:
        return {key: id_ for (chain, key), id_ in self.read.matched.items() if chain == moved.chain}

    def _grounds(self, payment: Payment) -> list[Rule]:
        session, verdict = self.read.session, self.read.verdict
        assert session is not None
        assert verdict is not None
        stray = self.read.stray_of(payment)
        found = grounds(session, payment, verdict, stray, self.read.policy)
        return [Rule(one.code, one.result, one.values) for one in found]

    def _elsewhere(self, session: CheckoutSession) -> list[Step]:
        """Its reference on money for somebody else (CONTRACT 5: a note, nothing more)."""
        made = []
        for noted in session.notes:
            moved = next(
                (one for one in self.facts.moved.values()
                 if (one.chain, one.tx, one.ordinal)
                 == (noted["chain"], noted["tx"], noted["ordinal"])),
                None,
            )  # fmt: skip
            if moved is None:
                continue
            rules = transactions.at_the_door(
                option_of(self.read, moved.chain), token=None, destination=moved.destination,
                place="", keys=moved.keys, matched=self._matched(moved), is_ours=False,
                times_seen=len(moved.inclusions),
            )  # fmt: skip
            values = {"chain": moved.chain, "tx": moved.tx, "amount_units": moved.amount_units}
            made.append(
                Step(moved.inclusions[0].block_time, "chain", "watcher", "judgement",
                     "payment.elsewhere", values, tuple(rules), is_fault=True,
                     place=(0, backbone.SEEN))
            )  # fmt: skip
        return made

    def _strayed(self, stray: StrayTransfer) -> list[Step]:
        """A transfer that nobody's session counts, or another token."""
        moved = self.facts.moved.get(stray.transfer_id or "")
        recorded = backbone.nth(self.facts, stray.id, "stray.recorded", 1)
        index = backbone.LAST if recorded is None else float(recorded.index)
        option = option_of(self.read, stray.chain)
        amount = stray.foreign_amount or stray.amount_units
        sent = transactions.step(
            self.chains, self.seen, stray.chain, stray.tx, stray.created_at,
            (index, backbone.SENT), stray=stray.id, amount_units=str(amount),
        )  # fmt: skip
        keys: Sequence[str] = moved.keys if moved is not None else ()
        matched = self._matched(moved) if moved is not None else {}
        if stray.token is not None and stray.session is not None:
            keys, matched = ("",), {"": stray.session}
        place = UNSWEPT if option.get("address") else "treasury"
        rules = transactions.at_the_door(
            option,
            token=stray.token,
            destination=moved.destination if moved is not None else "",
            place=place,
            keys=keys,
            matched=matched,
            is_ours=moved is not None and moved.intent is not None,
            times_seen=stray.inclusion,
        )
        code = "stray.wrong_token" if stray.token is not None else "stray.unmatched"
        values = {
            "stray": stray.id,
            "chain": stray.chain,
            "tx": stray.tx,
            "height": stray.height,
            "token": stray.token,
            "amount_units": str(amount),
            "from_address": stray.from_address,
            "proposal": stray.proposal,
        }
        judged = Step(
            stray.created_at, "chain", "watcher", "judgement", code, values, tuple(rules),
            links=(link("stray_transfer", stray.id, self.viewer),),
            place=(index, backbone.SEEN), is_fault=True,
        )  # fmt: skip
        return [sent, *self._gone(stray.id, "stray", moved), judged]

    def _refunded(self, refund: Refund) -> list[Step]:
        asked = next(iter(self.facts.of(refund.id, "refund.requested")), None)
        index = backbone.LAST if asked is None else float(asked.index)
        request_id = None if asked is None else asked.request_id
        values = {
            "refund": refund.id,
            "payment": refund.payment,
            "stray": refund.stray,
            "amount_tiyn": tiyn_from_units(refund.amount_units, refund.decimals)[0],
            "recipient": refund.recipient,
            **self.facts.asked(request_id),
        }
        asked_links = (link("refund", refund.id, self.viewer), *self._request(request_id))
        return [
            Step(refund.created_at, "merchant", "api", "request", "request.refund", values,
                 links=asked_links, place=(index, backbone.ASKED))
        ]  # fmt: skip
