"""WebSocket subscriptions: what is notified, at which commitment, in which order."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from solders.keypair import Keypair
from solders.transaction import VersionedTransaction
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosedError

from tests.devnets.solana import tokens
from tests.devnets.solana.chain import SOL, Chain, move


class Listener:
    """One WebSocket; answers by id, notifications in their order."""

    def __init__(self, ws: ClientConnection) -> None:
        self.ws = ws
        self.seen: list[dict[str, Any]] = []
        self._ids = 0

    async def _frame(self) -> Any:
        async with asyncio.timeout(20):
            return json.loads(await self.ws.recv())

    async def ask(self, method: str, *params: Any) -> dict[str, Any]:
        self._ids += 1
        body = {"jsonrpc": "2.0", "id": self._ids, "method": method, "params": params}
        await self.ws.send(json.dumps(body))
        while True:
            frame = await self._frame()
            if "id" in frame:
                assert frame["id"] == self._ids
                return dict(frame)
            self.seen.append(frame)

    async def subscribe(self, method: str, *params: Any) -> int:
        return int((await self.ask(method, *params))["result"])

    async def drain(self) -> list[dict[str, Any]]:
        """All notifications so far: an answer comes behind whatever was pushed before it."""
        await self.ask("getHealth")
        seen, self.seen = self.seen, []
        return seen

    async def results(self, subscription: int) -> list[Any]:
        found = [n["params"] for n in await self.drain()]
        return [p["result"] for p in found if p["subscription"] == subscription]


@pytest.fixture
async def listener(chain: Chain) -> AsyncIterator[Listener]:
    async with connect(chain.ws) as ws:
        yield Listener(ws)


async def test_an_unknown_subscription_cannot_be_ended(listener: Listener, chain: Chain) -> None:
    answer = await listener.ask("slotUnsubscribe", 999)
    assert answer["error"]["code"] == -32602
    slots = await listener.subscribe("slotSubscribe")
    assert (await listener.ask("rootUnsubscribe", slots))["error"]["code"] == -32602
    assert (await listener.ask("slotUnsubscribe", slots))["result"] is True
    await chain.advance(2)
    assert await listener.drain() == []


async def test_subscriptions_end_with_their_connection(chain: Chain) -> None:
    async with connect(chain.ws) as one, connect(chain.ws) as two:
        first, second = Listener(one), Listener(two)
        subscription = await first.subscribe("slotSubscribe")
        assert (await second.ask("slotUnsubscribe", subscription))["error"]["code"] == -32602
        await one.close()
        await chain.advance(3)
        assert await second.drain() == []


async def test_bad_filters_are_refused(listener: Listener) -> None:
    key = str(Keypair().pubkey())
    for method, params in (
        ("accountSubscribe", ["nope"]),
        ("accountSubscribe", [key, {"encoding": "morse"}]),
        ("logsSubscribe", [{"mentions": [key, key]}]),
        ("logsSubscribe", ["some"]),
        ("signatureSubscribe", [key]),
        ("programSubscribe", [key, {"filters": [{"dataSize": -1}]}]),
        ("blockSubscribe", ["all", {"commitment": "processed"}]),
    ):
        assert (await listener.ask(method, *params))["error"]["code"] == -32602


async def test_pings_are_swallowed(listener: Listener) -> None:
    await listener.ws.send('{"jsonrpc":"2.0","method":"ping","params":null}')
    await listener.ws.send('{"jsonrpc":"2.0","method":"ping"}')
    assert await listener.drain() == []


async def test_a_batch_in_one_frame_is_answered_in_one_frame(
    listener: Listener, chain: Chain
) -> None:
    key = str(Keypair().pubkey())
    await listener.ws.send(
        json.dumps(
            [
                {"jsonrpc": "2.0", "id": 1, "method": "accountSubscribe", "params": [key]},
                {"jsonrpc": "2.0", "id": 2, "method": "slotSubscribe"},
            ]
        )
    )
    answers = json.loads(await listener.ws.recv())
    assert [answer["id"] for answer in answers] == [1, 2]
    await chain.advance(1)
    assert len(await listener.results(answers[1]["result"])) == 1


async def test_slots_and_roots(listener: Listener, chain: Chain) -> None:
    await chain.advance(40)
    slots = await listener.subscribe("slotSubscribe")
    roots = await listener.subscribe("rootSubscribe")
    await chain.advance(3)
    seen = await listener.drain()
    assert [n["params"]["result"] for n in seen if n["params"]["subscription"] == slots] == [
        {"slot": 42, "parent": 41, "root": 10},
        {"slot": 43, "parent": 42, "root": 11},
        {"slot": 44, "parent": 43, "root": 12},
    ]
    assert [n["params"]["result"] for n in seen if n["params"]["subscription"] == roots] == [
        10,
        11,
        12,
    ]


async def test_a_signature_is_told_once_at_its_commitment(listener: Listener, chain: Chain) -> None:
    payer = await chain.wallet()
    raw = await chain.sign(move(payer, Keypair().pubkey(), SOL), signers=[payer])
    signature = str(VersionedTransaction.from_bytes(raw).signatures[0])
    levels = {}
    for level in ("processed", "confirmed", "finalized"):
        levels[level] = await listener.subscribe(
            "signatureSubscribe", signature, {"commitment": level}
        )
    early = await listener.subscribe(
        "signatureSubscribe",
        signature,
        {"commitment": "finalized", "enableReceivedNotification": True},
    )
    await chain.send(raw)

    async def told() -> list[tuple[int, Any]]:
        found = [n["params"] for n in await listener.drain()]
        return [(p["subscription"], p["result"]["value"]) for p in found]

    assert await told() == [(early, "receivedSignature"), (levels["processed"], {"err": None})]
    await chain.advance(1)
    assert await told() == [(levels["confirmed"], {"err": None})]
    for level in ("processed", "confirmed"):  # told, so forgotten
        assert "error" in await listener.ask("signatureUnsubscribe", levels[level])
    await chain.advance(30)
    assert await told() == []
    await chain.advance(1)
    assert await told() == [(levels["finalized"], {"err": None}), (early, {"err": None})]
    # A subscription that comes late is answered at once, and is then gone.
    late = await listener.subscribe("signatureSubscribe", signature)
    assert await told() == [(late, {"err": None})]
    assert "error" in await listener.ask("signatureUnsubscribe", late)


async def test_accounts_are_told_at_their_commitment(listener: Listener, chain: Chain) -> None:
    payer, receiver = await chain.wallet(), Keypair()
    name = str(receiver.pubkey())
    now = await listener.subscribe(
        "accountSubscribe", name, {"commitment": "processed", "encoding": "base64"}
    )
    later = await listener.subscribe("accountSubscribe", name, {"commitment": "confirmed"})
    await chain.pay(payer, receiver.pubkey(), SOL)
    await chain.pay(payer, receiver.pubkey(), 2 * SOL)
    (one, two) = await listener.results(now)
    assert (one["value"]["lamports"], two["value"]["lamports"]) == (SOL, 3 * SOL)
    assert one["value"]["data"] == ["", "base64"]
    slot = await chain.advance(1) - 1
    (one,) = await listener.results(later)
    assert one["context"]["slot"] == slot
    assert one["value"]["lamports"] == 3 * SOL
    # Emptied: the account is gone, which is shown as no lamports.
    await chain.pay(receiver, payer.pubkey(), 3 * SOL - 5_000)
    (gone,) = await listener.results(now)
    assert gone["value"]["lamports"] == 0


async def test_logs_of_a_read_only_reference(listener: Listener, chain: Chain) -> None:
    issuer = await chain.wallet()
    mint = await tokens.make_mint(chain, issuer)
    shop, reference = Keypair().pubkey(), Keypair().pubkey()
    key = issuer.pubkey()
    await chain.do(
        tokens.open_account(key, key, mint),
        tokens.open_account(key, shop, mint),
        tokens.mint_to(mint, key, key, 100),
        signers=[issuer],
    )
    await chain.advance(1)
    mine = await listener.subscribe(
        "logsSubscribe", {"mentions": [str(reference)]}, {"commitment": "confirmed"}
    )
    every = await listener.subscribe("logsSubscribe", "all", {"commitment": "confirmed"})
    other = await chain.pay(issuer, shop, SOL)
    paid = await chain.do(tokens.pay(mint, key, shop, 5, reference), signers=[issuer])
    await chain.advance(1)
    found = [n["params"] for n in await listener.drain()]
    by = {mine: [], every: []}  # type: dict[int, list[str]]
    for params in found:
        by[params["subscription"]].append(params["result"]["value"]["signature"])
    assert by == {mine: [paid], every: [other, paid]}
    assert found[-1]["result"]["value"]["err"] is None
    assert any("TransferChecked" in line for line in found[-1]["result"]["value"]["logs"])


async def test_program_accounts_with_filters(listener: Listener, chain: Chain) -> None:
    issuer = await chain.wallet()
    mint = await tokens.make_mint(chain, issuer)
    key, owner = issuer.pubkey(), Keypair().pubkey()
    subscription = await listener.subscribe(
        "programSubscribe",
        str(tokens.TOKEN_2022),
        {
            "commitment": "confirmed",
            "encoding": "jsonParsed",
            "filters": [{"dataSize": 174}, {"memcmp": {"offset": 32, "bytes": str(owner)}}],
        },
    )
    await chain.do(
        tokens.open_account(key, owner, mint),
        tokens.open_account(key, key, mint),
        tokens.mint_to(mint, owner, key, 77),
        signers=[issuer],
    )
    await chain.advance(1)
    (told,) = await listener.results(subscription)
    assert told["value"]["pubkey"] == str(tokens.ata(owner, mint))
    info = told["value"]["account"]["data"]["parsed"]["info"]
    assert info["tokenAmount"]["amount"] == "77"


async def test_blocks_are_told_whole(listener: Listener, chain: Chain) -> None:
    payer = await chain.wallet()
    subscription = await listener.subscribe(
        "blockSubscribe",
        "all",
        {"commitment": "confirmed", "encoding": "json", "maxSupportedTransactionVersion": 0},
    )
    signature = await chain.pay(payer, Keypair().pubkey(), SOL)
    await chain.advance(2)
    first, second = await listener.results(subscription)
    block = first["value"]["block"]
    assert block["transactions"][1]["transaction"]["signatures"] == [signature]
    assert second["value"]["block"]["previousBlockhash"] == block["blockhash"]


async def test_after_a_reorg_new_slots_are_told_and_nothing_is_taken_back(
    listener: Listener, chain: Chain
) -> None:
    await chain.advance(5)
    slots = await listener.subscribe("slotSubscribe")
    await chain.call("sandbox_reorg", {"slots": 2, "mode": "drop"})
    await chain.advance(1)
    told = await listener.results(slots)
    assert [(t["slot"], t["parent"]) for t in told] == [(7, 3), (8, 7)]


async def test_a_client_that_does_not_read_is_given_up_and_others_are_not(chain: Chain) -> None:
    async with connect(chain.ws, max_queue=1, compression=None) as deaf, connect(chain.ws) as other:
        for _ in range(100):
            await deaf.send(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "slotSubscribe"}))
        listener = Listener(other)
        slots = await listener.subscribe("slotSubscribe")
        seen = 0
        for _ in range(4):
            await chain.advance(1_000)
            seen += len(await listener.results(slots))
        assert seen == 4_000
        with pytest.raises(ConnectionClosedError) as closed:
            await read_to_the_end(deaf)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1013


async def read_to_the_end(ws: ClientConnection) -> None:
    async with asyncio.timeout(20):
        while True:
            await ws.recv()
