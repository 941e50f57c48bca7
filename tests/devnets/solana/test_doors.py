"""The borders: Host, Origin, CORS, batches, ids, bad JSON, and a thousand hostile requests."""

import asyncio
import base64
import json
import random
from typing import Any

import httpx2
import pytest
from solders.keypair import Keypair
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from sandbox.devnets.solana.rpc import METHODS
from tests.devnets.solana.chain import SOL, Chain, move

HEALTH = {"jsonrpc": "2.0", "id": 1, "method": "getHealth"}


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "evil.example:80", ""])
async def test_a_foreign_host_is_refused(chain: Chain, host: str) -> None:
    response = await chain.http.post(chain.rpc, json=HEALTH, headers={"Host": host})
    assert response.status_code in (400, 403)


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://localhost.evil.example", "file://"]
)
async def test_a_foreign_origin_is_refused_on_http_and_websocket(chain: Chain, origin: str) -> None:
    response = await chain.http.post(chain.rpc, json=HEALTH, headers={"Origin": origin})
    assert response.status_code == 403
    assert "access-control-allow-origin" not in response.headers
    with pytest.raises(InvalidStatus) as refused:
        async with connect(chain.ws, additional_headers={"Origin": origin}):
            pass
    assert refused.value.response.status_code == 403


@pytest.mark.parametrize("origin", ["http://localhost:3000", "http://127.0.0.1", "http://[::1]:5"])
async def test_loopback_origins_are_echoed(chain: Chain, origin: str) -> None:
    response = await chain.http.post(chain.rpc, json=HEALTH, headers={"Origin": origin})
    assert response.json()["result"] == "ok"
    assert response.headers["access-control-allow-origin"] == origin
    asked = await chain.http.options(
        chain.rpc,
        headers={
            "Origin": origin,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "content-type,solana-client",
        },
    )
    assert asked.status_code == 204
    assert "solana-client" in asked.headers["access-control-allow-headers"]


async def test_a_wallet_in_the_browser_may_use_the_chain_and_not_control_it(chain: Chain) -> None:
    control = {"jsonrpc": "2.0", "id": 1, "method": "sandbox_getClock", "params": []}
    for origin in ("chrome-extension://bfnael", "moz-extension://6f1c", "http://localhost:3000"):
        headers = {"Origin": origin}
        response = await chain.http.post(chain.rpc, json=HEALTH, headers=headers)
        assert response.json()["result"] == "ok"
        response = await chain.http.post(chain.rpc, json=[HEALTH, control], headers=headers)
        assert response.status_code == 403
        assert [answer["id"] for answer in response.json()] == [1, 1]
        async with connect(chain.ws, additional_headers=headers) as ws:
            await ws.send(json.dumps(control))
            assert "not for web pages" in json.loads(await ws.recv())["error"]["message"]


async def test_health_is_a_plain_get(chain: Chain) -> None:
    for url in (chain.rpc, chain.ws.replace("ws:", "http:")):
        assert (await chain.http.get(f"{url}/health")).text == "ok"
    assert (await chain.http.get(chain.rpc)).status_code == 405


async def test_a_batch_is_answered_in_order(chain: Chain) -> None:
    batch = [
        {"jsonrpc": "2.0", "id": n, "method": "getSlot" if n % 2 else "noSuchMethod"}
        for n in range(200)
    ]
    answers = await chain.post(batch)
    assert [answer["id"] for answer in answers] == list(range(200))
    assert all(("result" in a) == bool(a["id"] % 2) for a in answers)
    assert answers[0]["error"]["code"] == -32601


async def test_malformed_requests_get_their_codes(chain: Chain) -> None:
    async def raw(body: bytes) -> Any:
        response = await chain.http.post(chain.rpc, content=body)
        assert response.status_code == 200
        return response.json()

    for body in (b"", b"{", b"[1,", b"\xff\xfe", b"NaN", b"[" * 2_000):
        assert await raw(body) == {
            "jsonrpc": "2.0",
            "error": {"code": -32700, "message": "Parse error"},
            "id": None,
        }
    for body in (b"[]", b"1", b'"x"', b"{}", b'{"method":1,"id":1}', b'{"method":"a","id":{}}'):
        assert (await raw(body))["error"]["code"] == -32600
    assert (await raw(b'{"id":"x","method":"getSlot","params":{"a":1}}'))["error"] == {
        "code": -32602,
        "message": "Invalid params: expected an array.",
    }
    answer = await raw(b'{"jsonrpc":"2.0","id":"text","method":"getHealth"}')
    assert answer == {"jsonrpc": "2.0", "result": "ok", "id": "text"}
    too_many = [HEALTH] * 1_001
    assert (await chain.post(too_many))["error"]["code"] == -32600


async def test_a_body_without_end_is_refused(chain: Chain) -> None:
    response = await chain.http.post(chain.rpc, content=b" " * (5 * 1024 * 1024))
    assert response.status_code == 413


def hostile_value(rng: random.Random, depth: int = 0) -> Any:
    picks: list[Any] = [
        None,
        True,
        -1,
        0,
        1,
        2**63,
        2**64 - 1,
        1.5,
        1e300,
        "",
        "x" * 5_000,
        "\u0000",
        "é😀",
        "1" * 32,
        "1" * 64,
        str(Keypair().pubkey()),
        "So11111111111111111111111111111111111111112",
        "TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb",
        base64.b64encode(rng.randbytes(rng.randrange(300))).decode(),
        "processed",
        "confirmed",
        "jsonParsed",
        "base64",
    ]
    if depth < 3 and rng.random() < 0.4:
        if rng.random() < 0.5:
            return [hostile_value(rng, depth + 1) for _ in range(rng.randrange(4))]
        names = [
            "commitment", "encoding", "filters", "dataSlice", "offset", "length", "limit",
            "before", "until", "mint", "programId", "memcmp", "dataSize", "bytes", "mentions",
            "maxSupportedTransactionVersion", "transactionDetails", "minContextSlot", "slots",
            "sigVerify", "replaceRecentBlockhash", "accounts", "addresses", "slotMs", "offsetMs",
        ]  # fmt: skip
        return {rng.choice(names): hostile_value(rng, depth + 1) for _ in range(rng.randrange(4))}
    return rng.choice(picks)


async def test_a_thousand_hostile_requests_change_nothing(chain: Chain) -> None:
    """No 500, no hang, no traceback (the fixture looks at stderr), and the chain still works."""
    rng = random.Random(7)
    payer = await chain.wallet()
    signed = await chain.sign(move(payer, Keypair().pubkey(), SOL), signers=[payer])
    methods = [*METHODS, "sandbox_reorg", "sandbox_setClock", "sandbox_setSlotMs", "nope"]
    codes: dict[int, int] = {}
    for number in range(1_000):
        method = rng.choice(methods)
        params = [hostile_value(rng) for _ in range(rng.randrange(4))]
        if method in ("sendTransaction", "simulateTransaction") and rng.random() < 0.9:
            broken = bytearray(signed)
            for _ in range(rng.randrange(1, 6)):
                broken[rng.randrange(len(broken))] = rng.randrange(256)
            text = base64.b64encode(broken[: rng.randrange(len(broken) + 1)]).decode()
            skip = rng.random() < 0.5
            params = [text, {"encoding": "base64", "skipPreflight": skip}]
        body = json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params})
        response = await chain.http.post(chain.rpc, content=body.encode(), timeout=5)
        assert response.status_code == 200, (method, params)
        answer = response.json()
        assert answer["id"] == number
        if "error" in answer:
            code = answer["error"]["code"]
            assert code != -32603, (method, params, answer)
            codes[code] = codes.get(code, 0) + 1
    assert codes[-32602] > 300
    await chain.send(signed, skipPreflight=True)
    await chain.advance(1)
    assert await chain.balance(payer.pubkey(), "confirmed") == 9 * SOL - 5_000


async def test_hostile_bytes_on_the_wire_do_not_hang_the_server(chain: Chain) -> None:
    rng = random.Random(8)
    port = int(chain.rpc.rsplit(":", 1)[1])
    for _ in range(50):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(rng.randbytes(rng.randrange(1, 200)) + b"\r\n\r\n")
        await writer.drain()
        async with asyncio.timeout(5):
            await reader.read(200)
        writer.close()
    async with connect(chain.ws) as ws:
        for text in ("", "{", "[]", "[1]", b"\xff\xfe", '{"id":1}', "null"):
            await ws.send(text)
            async with asyncio.timeout(5):
                assert "error" in str(await ws.recv())
        await ws.send(json.dumps(HEALTH))
        assert json.loads(await ws.recv())["result"] == "ok"


async def test_many_clients_at_once_are_all_answered(chain: Chain) -> None:
    async with httpx2.AsyncClient() as http:
        answers = await asyncio.gather(*(http.post(chain.rpc, json=HEALTH) for _ in range(100)))
    assert all(answer.json()["result"] == "ok" for answer in answers)
