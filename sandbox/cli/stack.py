"""The children of `sandbox up`, in order, and what `endpoints.json` says of them."""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from sandbox.cli.seeds import PREPARED
from sandbox.cli.world.control_db import WORLD, Connections
from sandbox.cli.world.keeping import Place, Worlds
from sandbox.devnets import postgres
from sandbox.devnets.children import ChildSpec, Context, http_answers
from sandbox.devnets.evm import process as evm
from sandbox.devnets.ports import LOOPBACK, Wanted
from sandbox.devnets.solana import process as solana

# A busy machine is no reason to give up; a process that ended is noticed at once anyway.
READY_S = 180.0
# The first blocks pass quickly, until the token and the float are final (DESIGN 6).
_API, _SOLANA, _SOLANA_WS, _EVM = "the API", "Solana", "Solana's WebSocket", "EVM"
FIRST_SLOT_MS, FIRST_BLOCK_MS, FIRST_FINAL_DELAY_MS = 5, 5, 5


@dataclass(frozen=True, slots=True)
class Plan:
    """What `sandbox up` was asked for. Port 0 means any free one, the former one if it is."""

    data_dir: Path
    port: int = 8000
    solana_port: int = 8899
    evm_port: int = 8545
    slot_ms: int = 400
    finality: int = 32
    evm_block_ms: int = 200
    evm_final_delay_ms: int = 1_000
    seed: int | None = None
    forks_dir: Path | None = None

    @property
    def wanted(self) -> list[Wanted]:
        """The ports that were asked for by number."""
        return wanted(self.port, self.solana_port, self.evm_port)


def wanted(port: int, solana_port: int, evm_port: int) -> list[Wanted]:
    """What `sandbox up` listens on where these are not 0; Solana's clients assume neighbours."""
    websocket = solana_port and solana_port + 1
    named = [
        Wanted(_API, port, "--port"),
        Wanted(_SOLANA, solana_port, "--solana-port"),
        Wanted(_SOLANA_WS, websocket, "--solana-port"),
        Wanted(_EVM, evm_port, "--evm-port"),
    ]
    return [one for one in named if one.port]


def stages(plan: Plan, worlds: Worlds) -> list[list[ChildSpec]]:
    """PostgreSQL and both devnets; migrations, contracts, seeds; API and worker (DESIGN 6).

    API and worker load while the world is made ready, and open it when it is.
    """

    def environment(context: Context) -> Mapping[str, str]:
        cluster = postgres.cluster(context)
        sown = {} if plan.seed is None else {"SANDBOX_SEED": str(plan.seed)}
        return {
            **sown,
            "SANDBOX_DATA_DIR": str(context.data_dir),
            "SANDBOX_DATABASE_URL": cluster.app_url(WORLD),
            "SANDBOX_HOST": LOOPBACK,
            "SANDBOX_PORT": str(context.ports.get(_API)),
            "SANDBOX_SOLANA_RPC": _solana_rpc(context),
            "SANDBOX_SOLANA_WS": _solana_ws(context),
            "SANDBOX_EVM_RPC": _evm_rpc(context),
            "SANDBOX_EVM_WS": _evm_ws(context),
            "SANDBOX_EVM_PUBLIC_RPC": _evm_rpc(context),
            "SANDBOX_DEVNETS": "solana,evm",
        }

    def as_owner(context: Context) -> Mapping[str, str]:
        return {
            **environment(context),
            "SANDBOX_KEEPS_WORLDS": "true",
            "SANDBOX_OWNER_URL": postgres.cluster(context).owner_url(),
        }

    def module(name: str, *arguments: str) -> list[str]:
        return [sys.executable, "-m", name, *arguments]

    def slow_once_prepared(context: Context, slow: int, first: int) -> int:
        return slow if (context.data_dir / PREPARED).exists() else first

    solana_child = ChildSpec(
        "solana",
        lambda context: solana.command(
            context.data_dir / "solana",
            slot_ms=slow_once_prepared(context, plan.slot_ms, FIRST_SLOT_MS),
            port=_solana_port(context),
            finality=plan.finality,
            control=True,
            seed=plan.seed,
        ),
        http_answers(lambda context: _solana_rpc(context) + "/health"),
        timeout_s=READY_S,
        ports=(_SOLANA,),
    )
    evm_child = ChildSpec(
        "evm",
        lambda context: evm.command(
            context.data_dir / "evm",
            block_ms=slow_once_prepared(context, plan.evm_block_ms, FIRST_BLOCK_MS),
            final_delay_ms=slow_once_prepared(
                context, plan.evm_final_delay_ms, FIRST_FINAL_DELAY_MS
            ),
            port=_evm_port(context),
            control=True,
            seed=plan.seed,
        ),
        http_answers(lambda context: _evm_rpc(context) + "/health"),
        timeout_s=READY_S,
        ports=(_EVM,),
    )
    return [
        # A new cluster is made before PostgreSQL starts: meanwhile the chains do.
        [solana_child, evm_child, postgres.child()],
        [
            ChildSpec(
                "prepare",
                module("sandbox.cli.prepare"),
                env=as_owner,
                one_shot=True,
                timeout_s=READY_S,
                on_ready=worlds.hosts.begin,
            ),
            ChildSpec(
                "api",
                module("sandbox.app"),
                _api("/healthz"),
                env=environment,
                timeout_s=READY_S,
                on_line=worlds.hosts.hear,
                ports=(_API,),
            ),
            ChildSpec(
                "worker",
                module("sandbox.worker"),
                _api("/readyz"),
                env=environment,
                timeout_s=READY_S,
                on_line=worlds.hosts.hear,
            ),
        ],
    ]


def _api(path: str) -> Any:
    return http_answers(lambda context: _api_url(context) + path)


def _api_url(context: Context) -> str:
    return f"http://{LOOPBACK}:{context.ports.get(_API)}"


def _solana_port(context: Context) -> int:
    """The RPC port; clients look for the WebSocket on the next one."""
    return context.ports.pair(_SOLANA, _SOLANA_WS)


def _solana_rpc(context: Context) -> str:
    return f"http://{LOOPBACK}:{_solana_port(context)}"


def _evm_port(context: Context) -> int:
    """HTTP and WebSocket share it."""
    return context.ports.get(_EVM)


def _evm_rpc(context: Context) -> str:
    return f"http://{LOOPBACK}:{_evm_port(context)}"


def _solana_ws(context: Context) -> str:
    return f"ws://{LOOPBACK}:{_solana_port(context) + 1}"


def _evm_ws(context: Context) -> str:
    return f"ws://{LOOPBACK}:{_evm_port(context)}"


async def endpoints(context: Context, plan: Plan, worlds: Worlds) -> dict[str, Any]:
    """The content of endpoints.json (DESIGN 6), once everything is ready.

    The world is kept as it is then, and from here on blocks take their ordinary time.
    """
    rpcs = {"solana": _solana_rpc(context), "evm": _evm_rpc(context)}
    cluster = postgres.cluster(context)
    forks_dir = (plan.forks_dir or context.data_dir / "forks").resolve()
    worlds.place = Place(
        context.data_dir, cluster, Connections(cluster.owner_url()), rpcs, forks_dir
    )
    await worlds.keep_initial()
    prepared = json.loads((context.data_dir / PREPARED).read_text())
    solana_rpc, evm_rpc = _solana_rpc(context), _evm_rpc(context)
    pace = {"blockMs": plan.evm_block_ms, "finalDelayMs": plan.evm_final_delay_ms}
    await _control(solana_rpc, "sandbox_setSlotMs", {"slotMs": plan.slot_ms})
    await _control(evm_rpc, "sandbox_setPace", pace)
    return {
        "api": _api_url(context),
        "solana_rpc": solana_rpc,
        "solana_ws": _solana_ws(context),
        "evm_rpc": evm_rpc,
        "evm_ws": _evm_ws(context),
        "database": postgres.cluster(context).app_url(WORLD),
        "seed": plan.seed,
        "forks_dir": str(forks_dir),
        **prepared,
    }


async def _control(rpc: str, method: str, asked: Mapping[str, int]) -> None:
    call = {"jsonrpc": "2.0", "id": 1, "method": method, "params": [asked]}
    async with httpx2.AsyncClient() as client:
        answer = await client.post(rpc, json=call)
    answer.raise_for_status()
