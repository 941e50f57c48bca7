"""The node as it should not be: silent, slow, or talking nonsense."""

import pytest

from sandbox.chains.json_rpc import NodeRefused
from sandbox.chains.port import ChainUnavailable
from sandbox.chains.solana.rpc import Rpc
from tests.chains.bad_nodes import Serve, http, serve

__all__ = ["serve"]


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"not HTTP at all\r\n\r\n",
        http(b"", b"502 Bad Gateway"),
        http(b'{"jsonrpc":"2.0","id":0,"result":1}', b"429 Too Many Requests"),
        http(b"<html>"),
        http(b'"a string"'),
        http(b"[]"),
        http(b'{"jsonrpc":"2.0","id":0}'),
        http(b'{"jsonrpc":"2.0","id":0,"error":{"code":-32005,"message":"behind"}}'),
        http(b'{"jsonrpc":"2.0","id":0,"error":{"code":-32007,"message":"skipped"}}'),
    ],
)
async def test_no_sensible_answer_means_unavailable(serve: Serve, answer: bytes) -> None:
    rpc = Rpc(await serve(answer))
    with pytest.raises(ChainUnavailable):
        await rpc.call("getSlot")
    await rpc.aclose()


@pytest.mark.parametrize("body", [b"{}", b"[]", b'[{"result":1}]', b'[{"result":1},{}]'])
async def test_a_batch_that_is_answered_in_part_is_unavailable(serve: Serve, body: bytes) -> None:
    rpc = Rpc(await serve(http(body)))
    with pytest.raises(ChainUnavailable):
        await rpc.batch([("getSlot", []), ("getSlot", [])])
    await rpc.aclose()


async def test_silence_ends_with_the_timeout(serve: Serve) -> None:
    rpc = Rpc(await serve(None), timeout_s=0.1)
    with pytest.raises(ChainUnavailable):
        await rpc.call("getSlot")
    await rpc.aclose()


async def test_what_the_node_understood_and_refused_is_our_mistake(serve: Serve) -> None:
    body = b'{"jsonrpc":"2.0","id":0,"error":{"code":-32602,"message":"bad"}}'
    rpc = Rpc(await serve(http(body)))
    with pytest.raises(NodeRefused) as refused:
        await rpc.call("getSlot")
    assert refused.value.code == -32602
    await rpc.aclose()
