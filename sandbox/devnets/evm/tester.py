"""The fallback where Node is missing: eth-tester's chain (py-evm) in this process.

It speaks as much of anvil's JSON-RPC as the front needs, so journal, pace and clock are the same.
"""

from __future__ import annotations

import asyncio
import sys
import traceback
from typing import Any, Final

import orjson

from sandbox.devnets.evm.backend import Backend
from sandbox.devnets.evm.journal import Genesis
from sandbox.devnets.evm.tester_chain import TesterChain
from sandbox.devnets.evm.tester_reads import Reads
from sandbox.devnets.json_rpc import INTERNAL_ERROR, METHOD_NOT_FOUND, RpcError, done, failed

LIMITS: Final = (
    "slow, no reorgs, impersonation, traces, filters or dev accounts, at least a second between"
    " blocks, and a long chain takes long to start"
)


class Tester(Backend):
    """One chain. It cannot end by itself, and is gone with this object."""

    can_go_back = can_dump = False

    def __init__(self, genesis: Genesis) -> None:
        chain = TesterChain(genesis)
        self._methods = Reads(chain).methods | {
            "eth_sendRawTransaction": chain.send,
            "evm_mine": chain.mine,
            "anvil_setBalance": chain.set_balance,
            "anvil_setCode": chain.set_code,
            "anvil_dropTransaction": chain.drop,
        }

    @classmethod
    async def start(cls, genesis: Genesis) -> Tester:
        return cls(genesis)

    @property
    def pid(self) -> int | None:
        return None

    async def post(self, body: bytes) -> bytes:
        asked = orjson.loads(body)
        if not isinstance(asked, list):
            return orjson.dumps(self._answer(asked))
        answers = []
        for request in asked:
            answers.append(self._answer(request))
            await asyncio.sleep(0)  # each may take milliseconds
        return orjson.dumps(answers)

    def _answer(self, asked: dict[str, Any]) -> dict[str, Any]:
        method, request_id = asked["method"], asked.get("id")
        try:
            if (run := self._methods.get(method)) is None:
                raise RpcError(METHOD_NOT_FOUND, f"{method} is not there with eth-tester")
            return done(request_id, run(asked.get("params", [])))
        except RpcError as error:
            return failed(request_id, error)
        except Exception:
            # A bug of ours: one request fails with a code, its trace stays in our own log.
            traceback.print_exc(file=sys.stderr)
            return failed(request_id, RpcError(INTERNAL_ERROR, "Internal error"))

    async def ended(self) -> None:
        await asyncio.Event().wait()

    def resident_mb(self) -> int:
        return 0

    async def stop(self) -> None:
        self._methods.clear()
