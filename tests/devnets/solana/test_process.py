"""The process: its ready line, its two ports, its signals, its slot rate and its footprint."""

import asyncio
import json
import signal
import time
from pathlib import Path

import pytest
from solders.keypair import Keypair
from websockets.asyncio.client import connect

from sandbox.devnets.serving import EXIT_CANNOT_START
from sandbox.devnets.solana import process
from sandbox.devnets.solana.__main__ import main
from tests.devnets.solana.chain import SOL, Chain


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_stops_it_cleanly_while_clients_are_connected(
    tmp_path: Path, number: signal.Signals
) -> None:
    chain = Chain(tmp_path / "chain")
    try:
        await chain.start()
        receiver = str(Keypair().pubkey())
        await chain.call("requestAirdrop", receiver, SOL)
        assert chain.running is not None
        async with connect(chain.ws) as ws:
            await ws.send('{"jsonrpc":"2.0","id":1,"method":"slotSubscribe"}')
            await ws.recv()
            chain.running.process.send_signal(number)
            assert await asyncio.wait_for(chain.running.process.wait(), 20) == 0
        await chain.start()
        assert await chain.value("getBalance", receiver, {"commitment": "confirmed"}) == SOL
    finally:
        await chain.close()


async def test_the_ready_line_names_both_ports_and_the_genesis(tmp_path: Path) -> None:
    argv = process.command(tmp_path / "chain")
    child = await asyncio.create_subprocess_exec(*argv, stdout=asyncio.subprocess.PIPE)
    assert child.stdout is not None
    try:
        ready = json.loads(await child.stdout.readline())
        assert ready["ready"] is True
        port = int(ready["rpc"].rsplit(":", 1)[1])
        assert ready["rpc"] == f"http://127.0.0.1:{port}"
        assert ready["ws"] == f"ws://127.0.0.1:{port + 1}"
        assert len(ready["genesis"]) in (43, 44)
        for url in (ready["ws"], ready["rpc"].replace("http", "ws")):
            async with connect(url) as ws:
                await ws.send('{"jsonrpc":"2.0","id":1,"method":"getGenesisHash"}')
                assert json.loads(await ws.recv())["result"] == ready["genesis"]
    finally:
        child.terminate()
        assert await child.wait() == 0
        assert await child.stdout.read() == b""


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--host", "192.0.2.1", "192.0.2.1 is no address of this machine"),
        ("--host", "256.0.0.1", "256.0.0.1 is no address of this machine"),
        ("--port", "65535", "there is no port 65536, they end at 65535: choose another --port"),
    ],
)
def test_a_start_that_cannot_be_says_which_option_is_to_change(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    option: str,
    value: str,
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    argv = ["--data-dir", "chain", "--port", "0", option, value]
    assert main(argv) == EXIT_CANNOT_START
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert said in err


async def test_slots_come_at_their_rate_also_when_empty(tmp_path: Path) -> None:
    chain = Chain(tmp_path / "chain", slot_ms=50, paused=False)
    try:
        await chain.start()
        processed = {"commitment": "processed"}

        async def slot_after(least: int) -> int:
            while (slot := int(await chain.call("getSlot", processed))) < least:
                await asyncio.sleep(0.01)
            return slot

        at = time.monotonic()
        first = await chain.call("getSlot", processed)
        made = await slot_after(first + 20) - first
        assert made <= (time.monotonic() - at) / 0.05 + 1
        # As fast as it can, then back to a pace.
        at = time.monotonic()
        await chain.call("sandbox_setSlotMs", {"slotMs": 0})
        await slot_after(first + made + 500)
        assert time.monotonic() - at < 500 * 0.05
        await chain.call("sandbox_setSlotMs", {"slotMs": 3_600_000})
        fast = await chain.call("getSlot", processed)
        await asyncio.sleep(0.1)
        assert await chain.call("getSlot", processed) <= fast + 1
        await chain.call("sandbox_pause")
        await chain.call("sandbox_setSlotMs", {"slotMs": 5})
        paused = await chain.call("getSlot", processed)
        await asyncio.sleep(0.1)
        assert await chain.call("getSlot", processed) == paused
        await chain.call("sandbox_resume")
        await slot_after(paused + 1)
    finally:
        await chain.close()


async def test_many_slots_are_made_at_once_and_kept(chain: Chain) -> None:
    assert await chain.advance(5_000) == 5_001
    await chain.kill()
    await chain.start()
    assert await chain.call("getSlot", {"commitment": "processed"}) == 5_001


async def test_an_idle_chain_is_small(chain: Chain) -> None:
    await chain.advance(2_000)
    assert chain.running is not None
    status = Path(f"/proc/{chain.running.pid}/status").read_text()
    (resident,) = (line for line in status.splitlines() if line.startswith("VmRSS"))
    assert int(resident.split()[1]) < 90_000  # kB
    # An empty slot costs less than 64 bytes, and what is final leaves the journal, if not at once.
    journal = chain.data_dir / "journal.bin"
    for _ in range(500):
        if journal.stat().st_size < 1_100 * 64:
            return
        await chain.advance(1)
    pytest.fail(f"the journal has {journal.stat().st_size} bytes")
