"""One anvil process: where its program is, how it is started, asked and ended."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import platform
import secrets
import shutil
import signal
import socket
import sys
from pathlib import Path
from typing import Final

import aiohttp

from sandbox.devnets.evm.backend import Backend
from sandbox.devnets.evm.errors import AnvilGone
from sandbox.devnets.evm.journal import Genesis
from sandbox.devnets.processes import leashed

VERSION: Final = "1.7.1"  # what package-lock.json pins
READY_SECONDS: Final = 20
_ANSWER_SECONDS: Final = 60
_CPU: Final = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
_JSON: Final = {"content-type": "application/json"}


class AnvilMissing(Exception):
    """The program is not there; the text says what to do."""


class AnvilDiffers(Exception):
    """The program is of another version; the text says what to do."""


def find_program(given: Path | None = None) -> Path:
    """The anvil program: the given one, the one that `npm ci` installed, or one on the PATH.

    The program of the platform package is run itself: no Node process stands between. Raises
    AnvilMissing.
    """
    if given is not None:
        if given.is_file() and os.access(given, os.X_OK):
            return given.resolve()  # anvil starts in another folder
        raise AnvilMissing(f"{given} is no program: give --anvil the path of anvil {VERSION}")
    cpu = _CPU.get(platform.machine().lower(), platform.machine())
    package = f"node_modules/@foundry-rs/anvil-{sys.platform}-{cpu}/bin/anvil"
    for folder in (*Path(__file__).resolve().parents, *[Path.cwd(), *Path.cwd().parents]):
        if os.access(folder / package, os.X_OK):
            return folder / package
    if on_path := shutil.which("anvil"):
        return Path(on_path).resolve()
    raise AnvilMissing(
        "anvil is not installed: run `npm ci --ignore-scripts` in the project folder"
        f" (Node 20 or newer), or give --anvil the path of anvil {VERSION}"
    )


class Anvil(Backend):
    """A running anvil and a connection to it."""

    def __init__(self, process: asyncio.subprocess.Process, url: str) -> None:
        self._process, self._url = process, url
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=64, keepalive_timeout=600),
            timeout=aiohttp.ClientTimeout(total=_ANSWER_SECONDS),
            trust_env=False,
        )
        self._ended = asyncio.create_task(process.wait())

    @property
    def pid(self) -> int | None:
        return self._process.pid

    @classmethod
    async def start(cls, program: Path, folder: Path, genesis: Genesis, history: int) -> Anvil:
        """Start anvil with an empty chain of `genesis` and wait until it answers.

        It must be called in the main thread: the leash ends anvil when that thread ends. Raises
        AnvilGone, and AnvilDiffers.
        """
        host, port = _any_address()
        first = folder / "genesis.json"
        first.write_text(
            json.dumps(
                {
                    "config": {"chainId": genesis.chain_id},
                    "coinbase": genesis.fees_to,
                    "timestamp": hex(genesis.timestamp),
                    "gasLimit": hex(genesis.gas_limit),
                    "nonce": "0x0",
                    "difficulty": "0x0",
                    "alloc": {},
                }
            )
        )
        log = folder / "anvil.log"
        argv = [str(program), "--quiet", "--host", host, "--port", str(port), "--no-cors"]
        argv += ["--no-mining", "--init", str(first), "--hardfork", genesis.hardfork]
        argv += ["--chain-id", str(genesis.chain_id), "--gas-limit", str(genesis.gas_limit)]
        argv += ["--slots-in-an-epoch", "1", "--no-request-size-limit"]
        argv += ["--prune-history", str(history), "--cache-path", str(folder / "anvil-cache")]
        argv += ["--accounts", "10" if genesis.dev_accounts else "0"]
        with log.open("wb") as said:
            process = await asyncio.create_subprocess_exec(
                *leashed(argv, signal.SIGKILL),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                # A file of settings in the folder of whoever starts us must not change the chain.
                cwd=folder,
                start_new_session=True,
            )
        made = cls(process, f"http://{host}:{port}")
        try:
            await made._become_ready()
        except BaseException:
            await made.stop()
            raise
        return made

    async def _become_ready(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(READY_SECONDS):
                while not self._ended.done():
                    with contextlib.suppress(AnvilGone):
                        _check_version(await self.call("web3_clientVersion"))
                        return
                    await asyncio.sleep(0.01)
        raise AnvilGone(f"anvil did not start (status {self._process.returncode})")

    async def ended(self) -> None:
        await asyncio.shield(self._ended)

    async def post(self, body: bytes) -> bytes:
        try:
            async with self._http.post(self._url, data=body, headers=_JSON) as answer:
                return await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise AnvilGone(f"anvil does not answer: {error}") from None

    def resident_mb(self) -> int:
        try:
            pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        except (OSError, IndexError, ValueError):
            return 0
        return pages * os.sysconf("SC_PAGE_SIZE") // 1_000_000

    async def stop(self) -> None:
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
        await self.ended()
        await self._http.close()


def _check_version(found: str) -> None:
    """Another version may make other blocks of the same journal, or miss a method."""
    if found != f"anvil/v{VERSION}":
        raise AnvilDiffers(
            f"{found} is installed, and this chain needs anvil/v{VERSION}: run"
            f" `npm ci --ignore-scripts` in the project folder, or give --anvil the path of it"
        )


def _any_address() -> tuple[str, int]:
    """An address for anvil alone.

    anvil checks neither Host nor Origin, so a web page that finds its port could drive it. On
    Linux all of 127/8 is loopback: a page would have to try 10^11 addresses.
    """
    host = "127.0.0.1"
    if sys.platform == "linux":
        a, b, c = (secrets.randbelow(254) + 1 for _ in range(3))
        host = f"127.{a}.{b}.{c}"
    with socket.socket() as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return host, port
