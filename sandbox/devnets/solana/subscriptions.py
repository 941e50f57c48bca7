"""WebSocket subscriptions: who wants what at which commitment, and the notifications.

On a reorg nothing is taken back, as on a real cluster.
"""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

from sandbox.devnets.json_rpc import RpcError
from sandbox.devnets.solana import params
from sandbox.devnets.solana.bank import Level, Observer
from sandbox.devnets.solana.encode import (
    BLOCK_DETAILS,
    TX_ENCODINGS,
    account_json,
    block_json,
    key_text,
    signature_text,
)
from sandbox.devnets.solana.errors import invalid_params
from sandbox.devnets.solana.node import API_VERSION, Method, Node
from sandbox.devnets.solana.params import Config, Params
from sandbox.devnets.solana.read_accounts import Filter, View, filters
from sandbox.devnets.solana.records import Block, Record
from sandbox.devnets.solana.state import NOTHING

MAX_SUBSCRIPTIONS = 10_000  # per connection
MAX_ALL_SUBSCRIPTIONS = 200_000
ALL = b""  # the key of subscriptions that want everything


class Sink(Protocol):
    """Where notifications go: a connection."""

    def push(self, message: dict[str, Any]) -> None:
        """Behind the answer that is being made, if one is."""
        ...

    def end(self, why: str) -> None: ...


@dataclass(eq=False, slots=True)
class Subscription:
    id: int
    kind: str
    sink: Sink
    key: bytes
    level: Level
    config: Config
    encoding: str = "binary"
    tests: list[Filter] = field(default_factory=list)

    def message(self, result: Any) -> dict[str, Any]:
        return {
            "jsonrpc": "2.0",
            "method": f"{self.kind}Notification",
            "params": {"result": result, "subscription": self.id},
        }


def _with_context(slot: int, value: Any) -> dict[str, Any]:
    return {"context": {"slot": slot, "apiVersion": API_VERSION}, "value": value}


class Hub(Observer):
    """All subscriptions of all connections, by kind and key."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._ids = itertools.count(1)
        self._subscriptions: dict[int, Subscription] = {}
        self._by_key: dict[tuple[str, bytes], dict[int, Subscription]] = {}
        self._by_sink: dict[int, dict[int, Subscription]] = {}  # by id() of the connection
        self._kinds: Counter[str] = Counter()

    def add(
        self, kind: str, sink: Sink, key: bytes = ALL, config: Config | None = None, **more: Any
    ) -> Subscription:
        config = config or Config({})
        made = Subscription(next(self._ids), kind, sink, key, config.level(), config, **more)
        self._subscriptions[made.id] = made
        self._by_key.setdefault((kind, key), {})[made.id] = made
        self._by_sink.setdefault(id(sink), {})[made.id] = made
        self._kinds[kind] += 1
        return made

    def remove(self, subscription: Subscription) -> None:
        if self._subscriptions.pop(subscription.id, None) is None:
            return
        place = (subscription.kind, subscription.key)
        del self._by_sink[id(subscription.sink)][subscription.id]
        self._kinds[subscription.kind] -= 1
        del self._by_key[place][subscription.id]
        if not self._by_key[place]:
            del self._by_key[place]

    def drop_sink(self, sink: Sink) -> None:
        for subscription in list(self._by_sink.get(id(sink), {}).values()):
            self.remove(subscription)
        self._by_sink.pop(id(sink), None)

    def replaced(self, why: str) -> None:
        """Close every connection that has subscriptions: what they were told no longer holds."""
        for sink in {id(s.sink): s.sink for s in self._subscriptions.values()}.values():
            self.drop_sink(sink)
            sink.end(why)

    def count(self, sink: Sink) -> int:
        """How many subscriptions a connection holds."""
        return len(self._by_sink.get(id(sink), ()))

    @property
    def is_full(self) -> bool:
        return len(self._subscriptions) >= MAX_ALL_SUBSCRIPTIONS

    def find(self, subscription_id: int, sink: Sink, kind: str) -> Subscription | None:
        found = self._subscriptions.get(subscription_id)
        return found if found and found.sink is sink and found.kind == kind else None

    def _of(self, kind: str, key: bytes, level: Level | None = None) -> list[Subscription]:
        found = self._by_key.get((kind, key))
        if not found:
            return []
        return [s for s in found.values() if level is None or s.level == level]

    # --- what the bank tells -------------------------------------------------------------------

    def executed(self, record: Record, changed: list[bytes]) -> None:
        if not self._subscriptions:
            return
        for subscription in self._of("signature", record.signature):
            if subscription.config.value.get("enableReceivedNotification") is True:
                subscription.sink.push(
                    subscription.message(_with_context(record.slot, "receivedSignature"))
                )
        self._records("processed", record.slot, [record])
        self._accounts("processed", None, record.slot, changed)

    def reached(self, level: Level, block: Block) -> None:
        if not self._subscriptions:
            return
        self._records(level, block.slot, self._node.bank.history.records_of(block))
        keys = self._node.bank.accounts.keys_of(block.slot)
        self._accounts(level, block.slot, block.slot, keys)
        self._blocks(level, block)
        if level == "finalized":
            for subscription in self._of("root", ALL):
                subscription.sink.push(subscription.message(block.slot))
            self._update(block.slot, {"type": "root"})
        else:
            self._update(block.slot, {"type": "optimisticConfirmation"})

    def slot_opened(self, slot: int, parent: int, root: int) -> None:
        for subscription in self._of("slot", ALL):
            result = {"slot": slot, "parent": parent, "root": root}
            subscription.sink.push(subscription.message(result))
        self._update(slot, {"type": "createdBank", "parent": parent})

    def _update(self, slot: int, update: dict[str, Any]) -> None:
        for subscription in self._of("slotsUpdates", ALL):
            stamp = time.time_ns() // 1_000_000
            subscription.sink.push(
                subscription.message({**update, "slot": slot, "timestamp": stamp})
            )

    def _records(self, level: Level, slot: int, records: Iterable[Record]) -> None:
        for record in records:
            for subscription in self._of("signature", record.signature, level):
                subscription.sink.push(self.signature_message(subscription, slot, record))
                self.remove(subscription)
            if not self._kinds["logs"]:
                continue
            wanted = self._of("logs", ALL, level)
            for key in dict.fromkeys(record.all_keys()):
                wanted += self._of("logs", key, level)
            value = None
            for subscription in wanted:
                value = value or {
                    "signature": signature_text(record.signature),
                    "err": record.err,
                    "logs": record.metadata.logs(),
                }
                subscription.sink.push(subscription.message(_with_context(slot, value)))

    def signature_message(
        self, subscription: Subscription, slot: int, record: Record
    ) -> dict[str, Any]:
        return subscription.message(_with_context(slot, {"err": record.err}))

    def _accounts(self, level: Level, at: int | None, slot: int, changed: Iterable[bytes]) -> None:
        has_programs = self._kinds["program"] > 0
        for key in changed:
            watchers = self._of("account", key, level)
            if not watchers and not has_programs:
                continue
            account = self._node.bank.accounts.at(key, at)
            for subscription in watchers:
                value = self._account_json(subscription, key, account)
                subscription.sink.push(subscription.message(_with_context(slot, value)))
            if account is None or not has_programs:
                continue
            for subscription in self._of("program", bytes(account.owner), level):
                if all(test(account.data) for test in subscription.tests):
                    value = {
                        "pubkey": key_text(key),
                        "account": self._account_json(subscription, key, account),
                    }
                    subscription.sink.push(subscription.message(_with_context(slot, value)))

    def _account_json(self, subscription: Subscription, key: bytes, account: Any) -> Any:
        shown = NOTHING if account is None else account
        seen = View(self._node, subscription.level)
        part = subscription.config.data_slice()
        try:
            return account_json(key, shown, subscription.encoding, part, seen.decimals)
        except RpcError:
            full = account_json(key, shown, "base64", part, seen.decimals)
            return full | {"data": "error: data too large for bs58 encoding"}

    def _blocks(self, level: Level, block: Block) -> None:
        if not self._kinds["block"]:
            return
        subscribed = [
            s for s in self._subscriptions.values() if s.kind == "block" and s.level == level
        ]
        for subscription in subscribed:
            config = subscription.config
            records = self._node.bank.history.records_of(block)
            if subscription.key != ALL:
                records = [r for r in records if subscription.key in r.all_keys()]
            value: dict[str, Any] = {"slot": block.slot, "err": None, "block": None}
            try:
                value["block"] = block_json(
                    block,
                    records,
                    config.text("transactionDetails") or "full",
                    subscription.encoding,
                    config.max_version(),
                    rewards=config.flag("showRewards", default=True),
                )
            except RpcError as error:
                value["err"] = error.message
            subscription.sink.push(subscription.message(_with_context(block.slot, value)))


# --- methods -----------------------------------------------------------------------------------


def methods_for(hub: Hub, node: Node, sink: Sink) -> dict[str, Method]:
    """The subscription methods of one connection."""

    def account(_node: Node, given: Params) -> int:
        key, config = given.key(0), given.config(1)
        config.data_slice()
        encoding = config.account_encoding("binary")
        return hub.add("account", sink, key, config, encoding=encoding).id

    def program(_node: Node, given: Params) -> int:
        key, config = given.key(0), given.config(1)
        config.data_slice()
        tests, _ = filters(config)
        encoding = config.account_encoding("binary")
        return hub.add("program", sink, key, config, encoding=encoding, tests=tests).id

    def logs(_node: Node, given: Params) -> int:
        wanted, config = given.need(0), given.config(1)
        if wanted in ("all", "allWithVotes"):
            return hub.add("logs", sink, ALL, config).id
        mentions = wanted.get("mentions") if isinstance(wanted, dict) else None
        if not isinstance(mentions, list) or len(mentions) != 1:
            raise invalid_params("Invalid Request: Only 1 address supported")
        return hub.add("logs", sink, params.pubkey(mentions[0]), config).id

    def signature(_node: Node, given: Params) -> int:
        wanted, config = params.signature(given.need(0)), given.config(1)
        config.flag("enableReceivedNotification")
        made = hub.add("signature", sink, wanted, config)
        record = node.bank.history.record(wanted)
        if record is not None:
            slot = node.bank.slot_at(made.level)
            if config.flag("enableReceivedNotification"):
                sink.push(made.message(_with_context(slot, "receivedSignature")))
            if record.slot <= slot:
                sink.push(hub.signature_message(made, slot, record))
                hub.remove(made)
        return made.id

    def block(_node: Node, given: Params) -> int:
        wanted, config = given.need(0), given.config(1)
        key = ALL
        if isinstance(wanted, dict):
            key = params.pubkey(wanted.get("mentionsAccountOrProgram"))
        elif wanted != "all":
            raise invalid_params("Invalid params: unknown block filter.")
        encoding = config.one_of("encoding", TX_ENCODINGS) or "base64"
        config.one_of("transactionDetails", BLOCK_DETAILS)
        config.max_version()
        config.flag("showRewards")
        if config.level() == "processed":
            raise invalid_params("Method does not support commitment below `confirmed`")
        return hub.add("block", sink, key, config, encoding=encoding).id

    def plain(kind: str) -> Method:
        return lambda _node, _given: hub.add(kind, sink).id

    def unsubscribe(kind: str) -> Method:
        def run(_node: Node, given: Params) -> bool:
            found = hub.find(given.u64(0), sink, kind)
            if found is None:
                raise invalid_params("Invalid subscription id.")
            hub.remove(found)
            return True

        return run

    makers: dict[str, Method] = {
        "account": account,
        "program": program,
        "logs": logs,
        "signature": signature,
        "block": block,
        "slot": plain("slot"),
        "root": plain("root"),
        "vote": plain("vote"),
        "slotsUpdates": plain("slotsUpdates"),
    }
    return {
        **{f"{kind}Subscribe": _limited(hub, sink, make) for kind, make in makers.items()},
        **{f"{kind}Unsubscribe": unsubscribe(kind) for kind in makers},
    }


def _limited(hub: Hub, sink: Sink, make: Method) -> Method:
    def run(node: Node, given: Params) -> Any:
        if hub.count(sink) >= MAX_SUBSCRIPTIONS:
            raise invalid_params(f"Too many subscriptions; max {MAX_SUBSCRIPTIONS}")
        if hub.is_full:
            raise invalid_params(
                f"Too many subscriptions on this node; max {MAX_ALL_SUBSCRIPTIONS}"
            )
        return make(node, given)

    return run
