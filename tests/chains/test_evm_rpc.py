"""The node as it should not be: silent, slow, or talking nonsense."""

import pytest

from sandbox.chains.evm.chain import EvmChain
from sandbox.chains.evm.rpc import Node
from sandbox.chains.json_rpc import Call, NodeRefused
from sandbox.chains.port import ChainUnavailable, Command, Signed
from sandbox.chains.service import Deployment
from tests.chains.bad_nodes import Serve, http, serve

__all__ = ["serve"]

CONFIG = {
    "chain_id": 31337,
    "decimals": 2,
    "token": "0x" + "aa" * 20,
    "deposits": "0x" + "bb" * 20,
    "implementation": "0x" + "cc" * 20,
    "treasury": "0x" + "dd" * 20,
    "operators": {"treasury": "0x" + "dd" * 20},
}


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"not HTTP at all\r\n\r\n",
        http(b"", b"502 Bad Gateway"),
        http(b"<html>"),
        http(b'"a string"'),
        http(b"[]"),
        http(b'{"jsonrpc":"2.0","id":0}'),
        http(b'{"jsonrpc":"2.0","id":0,"error":{"code":-32005,"message":"limit"}}'),
        http(b'{"jsonrpc":"2.0","id":0,"error":{"code":-32002,"message":"restored"}}'),
        http(b'{"jsonrpc":"2.0","id":0,"error":{"code":-32603,"message":"internal"}}'),
    ],
)
async def test_no_sensible_answer_means_unavailable(serve: Serve, answer: bytes) -> None:
    node = Node(await serve(answer))
    with pytest.raises(ChainUnavailable):
        await node.call("eth_blockNumber")
    await node.aclose()


@pytest.mark.parametrize(
    "body",
    [b"{}", b"[]", b'[{"id":0,"result":1}]', b'[{"id":0,"result":1},{"id":0,"result":2}]'],
)
async def test_a_batch_that_is_answered_in_part_is_unavailable(serve: Serve, body: bytes) -> None:
    node = Node(await serve(http(body)))
    with pytest.raises(ChainUnavailable):
        await node.batch([("eth_chainId", []), ("eth_blockNumber", [])])
    await node.aclose()


async def test_a_node_that_knows_no_blocks_is_unavailable_and_no_mistake_of_ours(
    serve: Serve,
) -> None:
    nothing = b'[{"id":0,"result":null},{"id":1,"result":null},{"id":2,"result":null}]'
    chain = EvmChain(await serve(http(nothing)), Deployment("evm", "0x", CONFIG))
    with pytest.raises(ChainUnavailable):
        await chain.heads()
    await chain.aclose()


async def test_a_refusal_inside_a_batch_is_told_as_one(
    serve: Serve,
) -> None:
    gone = b'[{"id":0,"error":{"code":-32000,"message":"unknown block"}}]'
    node = Node(await serve(http(gone)))
    with pytest.raises(NodeRefused):
        await node.batch([("eth_getLogs", [{"blockHash": "0x"}])])
    await node.aclose()


async def test_what_a_node_says_against_our_bytes_is_remembered_and_raises_nothing(
    serve: Serve,
) -> None:
    body = b'[{"id":0,"error":{"code":-32003,"message":"Insufficient funds for gas"}}]'
    chain = EvmChain(await serve(http(body)), Deployment("evm", "0x", CONFIG))
    await chain.broadcast(Signed("0x1", b"\0\0\0\1\2", 7, ("0xdd:7",)))
    assert chain.refused == {"0xdd:7": "Insufficient funds for gas"}
    await chain.aclose()


async def test_answers_of_a_batch_are_taken_by_their_id(serve: Serve) -> None:
    body = b'[{"id":1,"result":"second"},{"id":0,"result":"first"}]'
    node = Node(await serve(http(body)))
    asked: list[Call] = [("eth_chainId", []), ("eth_blockNumber", [])]
    assert await node.batch(asked) == ["first", "second"]
    await node.aclose()


async def test_silence_ends_with_the_timeout(serve: Serve) -> None:
    node = Node(await serve(None), timeout_s=0.1)
    with pytest.raises(ChainUnavailable):
        await node.call("eth_blockNumber")
    await node.aclose()


async def test_unprepared_commands_are_refused_without_a_word_to_the_node() -> None:
    chain = EvmChain("http://127.0.0.1:9", Deployment("evm", "0x", CONFIG))
    with pytest.raises(Exception, match="cannot sign"):
        await chain.prepare(Command("pause", "case_1"))
    await chain.aclose()
