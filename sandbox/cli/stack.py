"""The children of `sandbox up`, in order, and what `endpoints.json` says of them."""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from sandbox.devnets import postgres
from sandbox.devnets.children import ChildSpec, Context, http_answers
from sandbox.devnets.ports import LOOPBACK
from sandbox.devnets.solana import process as solana

WORLD = "sbx_world"
PREPARED = "prepared.json"
# The first slots pass quickly, until the token and the float are final (DESIGN 6).
FIRST_SLOT_MS = 5


@dataclass(frozen=True, slots=True)
class Plan:
    """What `sandbox up` was asked for. Port 0 means any free one, the former one if it is."""

    data_dir: Path
    port: int = 8000
    solana_port: int = 8899
    slot_ms: int = 400
    finality: int = 32


def children(plan: Plan) -> list[ChildSpec]:
    """PostgreSQL, Solana devnet, migrations + contracts + seeds, API, worker (DESIGN 6)."""

    def environment(context: Context) -> Mapping[str, str]:
        cluster = postgres.cluster(context)
        return {
            "SANDBOX_DATA_DIR": str(context.data_dir),
            "SANDBOX_DATABASE_URL": cluster.app_url(WORLD),
            "SANDBOX_HOST": LOOPBACK,
            "SANDBOX_PORT": str(context.ports.get("the API", plan.port)),
            "SANDBOX_SOLANA_RPC": _solana_rpc(context, plan),
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def as_owner(context: Context) -> Mapping[str, str]:
        return {
            **environment(context),
            "SANDBOX_OWNER_URL": postgres.cluster(context).owner_url(),
        }

    def module(name: str, *arguments: str) -> list[str]:
        return [sys.executable, "-m", name, *arguments]

    return [
        postgres.child(),
        ChildSpec(
            "solana",
            lambda context: solana.command(
                context.data_dir / "solana",
                slot_ms=plan.slot_ms if _is_prepared(context) else FIRST_SLOT_MS,
                port=_solana_port(context, plan),
                finality=plan.finality,
                control=True,
            ),
            http_answers(lambda context: _solana_rpc(context, plan) + "/health"),
        ),
        ChildSpec("prepare", module("sandbox.cli.prepare"), env=as_owner, one_shot=True),
        ChildSpec("api", module("sandbox.app"), _api("/healthz", plan), env=environment),
        ChildSpec("worker", module("sandbox.worker"), _api("/readyz", plan), env=environment),
    ]


def _is_prepared(context: Context) -> bool:
    return (context.data_dir / PREPARED).exists()


def _api(path: str, plan: Plan) -> Any:
    return http_answers(lambda context: _api_url(context, plan) + path)


def _api_url(context: Context, plan: Plan) -> str:
    return f"http://{LOOPBACK}:{context.ports.get('the API', plan.port)}"


def _solana_port(context: Context, plan: Plan) -> int:
    """The RPC port; clients look for the WebSocket on the next one."""
    return context.ports.pair("Solana", "Solana's WebSocket", plan.solana_port)


def _solana_rpc(context: Context, plan: Plan) -> str:
    return f"http://{LOOPBACK}:{_solana_port(context, plan)}"


async def endpoints(context: Context, plan: Plan) -> dict[str, Any]:
    """The content of endpoints.json (DESIGN 6), once everything is ready.

    From here on slots have their ordinary length.
    """
    prepared = json.loads((context.data_dir / PREPARED).read_text())
    rpc = _solana_rpc(context, plan)
    await _set_slot_ms(rpc, plan.slot_ms)
    return {
        "api": _api_url(context, plan),
        "solana_rpc": rpc,
        "solana_ws": f"ws://{LOOPBACK}:{_solana_port(context, plan) + 1}",
        "database": postgres.cluster(context).app_url(WORLD),
        **prepared,
    }


async def _set_slot_ms(rpc: str, slot_ms: int) -> None:
    call = {"method": "sandbox_setSlotMs", "params": [{"slotMs": slot_ms}]}
    async with httpx2.AsyncClient() as client:
        answer = await client.post(rpc, json={"jsonrpc": "2.0", "id": 1, **call})
    answer.raise_for_status()
