"""The borders: Host, Origin, CORS, control, batches, ids, bad JSON."""

import json
from typing import Any

import pytest
from web3 import AsyncWeb3, WebSocketProvider
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from sandbox.devnets.evm import methods
from tests.devnets.evm.chain import FAUCET, GWEI, OTHER, Chain, Refused, until

on_shared = pytest.mark.asyncio(loop_scope="module")
ASK = {"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []}


@on_shared
async def test_a_foreign_host_is_refused(shared_chain: Chain) -> None:
    for host in ("evil.example", "127.0.0.1.evil.example", "evil.example:80", ""):
        response = await shared_chain.http.post(shared_chain.rpc, json=ASK, headers={"Host": host})
        assert response.status_code in (400, 403)


@on_shared
async def test_a_foreign_origin_is_refused_on_http_and_websocket(shared_chain: Chain) -> None:
    for origin in ("https://evil.example", "null", "http://localhost.evil.example", "file://"):
        response = await shared_chain.http.post(
            shared_chain.rpc, json=ASK, headers={"Origin": origin}
        )
        assert response.status_code == 403
        assert "access-control-allow-origin" not in response.headers
        with pytest.raises(InvalidStatus) as refused:
            async with connect(shared_chain.ws, additional_headers={"Origin": origin}):
                pass
        assert refused.value.response.status_code == 403


@on_shared
async def test_loopback_origins_are_echoed(shared_chain: Chain) -> None:
    for origin in ("http://localhost:3000", "http://127.0.0.1", "http://[::1]:5"):
        response = await shared_chain.http.post(
            shared_chain.rpc, json=ASK, headers={"Origin": origin}
        )
        assert response.json()["result"] == "0x7a69"
        assert response.headers["access-control-allow-origin"] == origin
        asked = await shared_chain.http.options(
            shared_chain.rpc, headers={"Origin": origin, "Access-Control-Request-Method": "POST"}
        )
        assert asked.status_code == 204
        assert asked.headers["access-control-allow-headers"] == "content-type"


WALLETS = ("chrome-extension://nkbihf", "moz-extension://6f1c-88", "safari-web-extension://A-1")


@on_shared
@pytest.mark.parametrize("origin", [*WALLETS, "http://localhost:3000"])
async def test_no_page_and_no_extension_may_use_control_methods(
    shared_chain: Chain, origin: str
) -> None:
    head = await shared_chain.head()
    control = [
        {"jsonrpc": "2.0", "id": n, "method": method, "params": [OTHER, "0x1"]}
        for n, method in enumerate(
            ("sandbox_getClock", "sandbox_setRpcFault", "anvil_setBalance", "evm_mine",
             "hardhat_setNonce", "tenderly_setBalance", "eth_sendTransaction")
        )
    ]  # fmt: skip
    for body in (*control, [ASK, control[0]], control):
        response = await shared_chain.http.post(
            shared_chain.rpc, json=body, headers={"Origin": origin}
        )
        assert response.status_code == 403
        answers = response.json() if isinstance(body, list) else [response.json()]
        assert all("not for web pages" in answer["error"]["message"] for answer in answers)
    async with connect(shared_chain.ws, additional_headers={"Origin": origin}) as ws:
        await ws.send(json.dumps(control[3]))
        assert "not for web pages" in json.loads(await ws.recv())["error"]["message"]
        await ws.send(json.dumps(ASK))
        assert json.loads(await ws.recv())["result"] == "0x7a69"
    assert (await shared_chain.head())["hash"] == head["hash"]


@on_shared
@pytest.mark.parametrize("origin", WALLETS)
async def test_a_wallet_in_the_browser_may_use_the_chain(shared_chain: Chain, origin: str) -> None:
    response = await shared_chain.http.post(shared_chain.rpc, json=ASK, headers={"Origin": origin})
    assert response.json()["result"] == "0x7a69"
    assert response.headers["access-control-allow-origin"] == origin
    response = await shared_chain.http.post(
        shared_chain.rpc, json=ASK, headers={"Origin": origin, "Host": "evil.example"}
    )
    assert response.status_code == 403


async def test_without_the_flag_nothing_changes_the_chain(stopped_chain: Chain) -> None:
    chain = stopped_chain
    await chain.start(control=False)
    await chain.quiet()
    head = await chain.head()
    refused = {
        *methods.CONTROL_CHANGE,
        *methods.CONTROL_READ,
        *methods.INSTEAD,
        *methods.SIGN,
        *("sandbox_setClock", "sandbox_mine", "sandbox_reorg", "sandbox_pause", "sandbox_drop"),
        *("sandbox_setRpcFault", "sandbox_setSendingFault", "sandbox_clearFaults"),
        *("evm_mine", "anvil_mine", "hardhat_mine", "anvil_nodeInfo", "anvil_setRpcUrl"),
        *("eth_sendTransaction", "eth_sendUnsignedTransaction", "eth_sendTransactionSync"),
        *("debug_dbGet", "debug_setHead", "eth_submitWork", "eth_subscribe", "no_such"),
    }
    batch = [
        {"jsonrpc": "2.0", "id": name, "method": name, "params": [OTHER, "0x1"]}
        for name in sorted(refused)
    ]
    for answer in await chain.post(batch):
        assert answer["error"]["code"] == -32601, answer
    for request in batch[:5]:
        assert (await chain.post(request))["error"]["code"] == -32601
    assert await chain.call("eth_getBalance", OTHER, "latest") == "0x0"
    assert (await chain.head())["hash"] == head["hash"]


@on_shared
async def test_with_the_flag_what_contradicts_the_front_is_refused_with_the_way(
    shared_chain: Chain,
) -> None:
    for method, way in methods.INSTEAD.items():
        with pytest.raises(Refused) as refused:
            await shared_chain.call(method, "0x1")
        assert way in refused.value.message
    assert (await shared_chain.call("anvil_nodeInfo"))["hardFork"].lower() == "prague"
    assert await shared_chain.call("anvil_getAutomine") is False
    with pytest.raises(Refused, match="not found"):
        await shared_chain.call("anvil_setRpcUrl", "http://127.0.0.1")


async def test_dev_accounts_are_there_only_when_asked_for(stopped_chain: Chain) -> None:
    chain = stopped_chain
    await chain.start(dev_accounts=True, control=False)
    accounts = await chain.call("eth_accounts")
    assert len(accounts) == 10
    request = {"from": accounts[0], "to": OTHER, "value": "0x7"}
    receipt = await chain.receipt(await chain.call("eth_sendTransaction", request))
    await chain.kill()
    await chain.start(dev_accounts=True, control=False)
    assert await chain.call("eth_getTransactionReceipt", receipt["transactionHash"]) == receipt


@on_shared
async def test_a_batch_is_answered_in_order_with_its_ids(shared_chain: Chain) -> None:
    kinds: list[tuple[str, list[Any]]] = [
        ("eth_chainId", []),
        ("no_such", []),
        ("sandbox_getClock", []),
        ("eth_sendRawTransaction", ["0x00"]),
        ("eth_blockNumber", []),
    ]
    batch = [
        {"jsonrpc": "2.0", "id": f"n{n}", "method": kinds[n % 5][0], "params": kinds[n % 5][1]}
        for n in range(200)
    ]
    batch.append({"jsonrpc": "2.0", "id": None, "method": "eth_chainId", "params": []})
    batch.insert(3, {"jsonrpc": "2.0", "method": "eth_chainId", "params": []})
    answers = await shared_chain.post(batch)
    assert [answer["id"] for answer in answers] == [f"n{n}" for n in range(200)] + [None]
    for n, answer in enumerate(answers[:200]):
        assert ("error" in answer) == (n % 5 in (1, 3))


@on_shared
async def test_malformed_requests_get_their_codes(shared_chain: Chain) -> None:
    async def raw(body: bytes) -> Any:
        response = await shared_chain.http.post(shared_chain.rpc, content=body)
        assert response.status_code == 200
        return response.json()

    for body in (b"", b"{", b"[1,", b"\xff\xfe", b"NaN", b"[" * 2_000):
        assert (await raw(body))["error"]["code"] == -32700
    for body in (b"[]", b"1", b'"x"', b"{}", b'{"method":1,"id":1}', b'{"method":"a","id":{}}'):
        assert (await raw(body))["error"]["code"] == -32600
    found = await raw(b'{"id":1,"method":"sandbox_mine","params":{"blocks":1}}')
    assert found["error"]["code"] == -32602
    assert (await shared_chain.post([ASK] * 1_001))["error"]["code"] == -32600
    big = await shared_chain.http.post(shared_chain.rpc, content=b" " * (5 * 1024 * 1024))
    assert big.status_code == 413


@on_shared
async def test_subscriptions_tell_heads_logs_and_pending_transactions(shared_chain: Chain) -> None:
    async with connect(shared_chain.ws) as ws:

        async def ask(method: str, *params: Any) -> Any:
            await ws.send(json.dumps({**ASK, "method": method, "params": params}))
            answer = json.loads(await ws.recv())
            return answer.get("result", answer.get("error"))

        assert (await ask("eth_subscribe", "nothing"))["code"] == -32602
        assert (await ask("eth_subscribe", "logs", {"address": 7}))["code"] == -32602
        assert await ask("eth_unsubscribe", "0x12") is False
        assert await ask("eth_chainId") == "0x7a69"
        names = {
            await ask("eth_subscribe", "newHeads"): "head",
            await ask("eth_subscribe", "logs", {}): "log",
            await ask("eth_subscribe", "newPendingTransactions"): "pending",
            await ask("eth_subscribe", "logs", {"address": OTHER}): "foreign log",
        }
        assert len(names) == 4
        sent = await shared_chain.send(_logging())
        seen: dict[str, Any] = {}
        while {"head", "log", "pending"} - seen.keys() or int(seen["head"]["number"], 16) == 0:
            note = json.loads(await ws.recv())["params"]
            seen.setdefault(names[note["subscription"]], note["result"])
        receipt = await shared_chain.receipt(sent)
        assert seen["pending"] == sent
        assert seen["log"]["transactionHash"] == sent
        assert seen["log"] == receipt["logs"][0]
        assert seen["head"]["hash"] == receipt["blockHash"]
        assert "transactions" not in seen["head"]
        assert "foreign log" not in seen


@on_shared
async def test_the_subscriptions_of_a_closed_connection_end(shared_chain: Chain) -> None:
    before = (await shared_chain.call("sandbox_health"))["subscriptions"]
    async with connect(shared_chain.ws) as ws:
        for number in range(3):
            ask = {**ASK, "id": number, "method": "eth_subscribe", "params": ["newHeads"]}
            await ws.send(json.dumps(ask))
            await ws.recv()
        assert (await shared_chain.call("sandbox_health"))["subscriptions"] == before + 3

    async def are_gone() -> bool:
        return bool((await shared_chain.call("sandbox_health"))["subscriptions"] == before)

    await until(are_gone, "the end of the subscriptions")


def _logging() -> str:
    """Deploys a contract whose constructor logs once."""
    terms = {"data": "0x60006000a000", "value": 0, "gas": 100_000, "nonce": 0, "chainId": 31337}
    fees = {"maxFeePerGas": 20 * GWEI, "maxPriorityFeePerGas": GWEI}
    return "0x" + bytes(FAUCET.sign_transaction({**terms, **fees}).raw_transaction).hex()


@on_shared
async def test_web3_follows_heads_over_a_websocket(shared_chain: Chain) -> None:
    async with AsyncWeb3(WebSocketProvider(shared_chain.ws)) as w3:
        name = await w3.eth.subscribe("newHeads")
        await shared_chain.call("sandbox_mine", {"blocks": 1})
        async for note in w3.socket.process_subscriptions():
            assert note["subscription"] == name
            assert note["result"]["number"] <= await w3.eth.block_number
            break
        assert await w3.eth.unsubscribe(name)


@on_shared
async def test_the_door_of_anvil_itself_is_not_on_the_usual_loopback_address(
    shared_chain: Chain,
) -> None:
    with open(f"/proc/{shared_chain.anvil_pid()}/cmdline", "rb") as file:
        argv = file.read().split(b"\0")
    assert argv[argv.index(b"--host") + 1] not in (b"127.0.0.1", b"0.0.0.0")
