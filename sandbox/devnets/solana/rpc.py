"""JSON-RPC 2.0: one request or a batch in, bytes out. No exception of a method gets past here."""

from __future__ import annotations

import sys
import traceback
from typing import Any

import orjson

from sandbox.devnets.json_rpc import (
    INTERNAL_ERROR,
    METHOD_NOT_FOUND,
    RpcError,
    done,
    failed,
    method_of,
    parsed,
)
from sandbox.devnets.solana import control, read_accounts, read_chain, read_history, send
from sandbox.devnets.solana.archive import ArchiveUnusable
from sandbox.devnets.solana.node import Method, Node
from sandbox.devnets.solana.params import Params, shown

METHODS: dict[str, Method] = {
    **read_chain.METHODS,
    **read_accounts.METHODS,
    **read_history.METHODS,
    **send.METHODS,
}

# Subscriptions and airdrops know the newest state always.
_READ_BEHIND = METHODS.keys() - {"requestAirdrop"}

Extra = dict[str, Method]


def answer(node: Node, body: bytes | str, extra: Extra | None = None) -> bytes:
    """The whole answer, empty when the caller asked for none (notifications only)."""
    try:
        request = parsed(body)
    except RpcError as error:
        return dump(failed(None, error))
    if not isinstance(request, list):
        single = one(node, request, extra)
        return b"" if single is None else dump(single)
    answers = [given for entry in request if (given := one(node, entry, extra)) is not None]
    return dump(answers) if answers else b""


def dump(value: Any) -> bytes:
    return orjson.dumps(value)


def one(node: Node, request: Any, extra: Extra | None = None) -> dict[str, Any] | None:
    """One request object; None for a notification."""
    try:
        method = method_of(request)
    except RpcError as error:
        return failed(None, error)
    if "id" not in request:
        return None  # notifications (kit and web3.js ping so) are swallowed
    request_id = request["id"]
    try:
        handler = METHODS.get(method) or (extra or {}).get(method)
        if handler is None and node.control:
            handler = control.METHODS.get(method)
        if handler is None:
            hint = " (start the devnet with --faults)" if method in control.METHODS else ""
            raise RpcError(METHOD_NOT_FOUND, f"Method not found: {shown(method)}{hint}")
        if node.producer.failure is not None:
            raise node.producer.failure
        asked = node.seen() if node.behind and method in _READ_BEHIND else node
        result = handler(asked, Params(request.get("params")))
    except RpcError as error:
        return failed(request_id, error)
    except (KeyboardInterrupt, SystemExit):
        raise
    except OSError as error:  # what is not on disk must not be shown: the process ends
        node.producer.fail(error)
        return failed(request_id, RpcError(INTERNAL_ERROR, f"The chain cannot be written: {error}"))
    except ArchiveUnusable as error:
        sys.stderr.write(f"{error}\n")
        return failed(request_id, RpcError(INTERNAL_ERROR, f"The chain cannot be read: {error}"))
    except BaseException:  # pyo3 panics are no Exceptions
        traceback.print_exc(file=sys.stderr)
        return failed(request_id, RpcError(INTERNAL_ERROR, "Internal error"))
    return done(request_id, result)
