"""The process: its ready line, its refusals, its signals, its journal's damage."""

import asyncio
import json
import os
import signal
import socket
import struct
import sys
import zlib
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect

from sandbox.devnets.evm import process
from sandbox.devnets.journal_file import JournalFile, framed
from sandbox.devnets.processes import Process
from tests.devnets.evm.chain import Chain, until

ENDS_S = 60  # nothing is waited for but the machine


async def refused(argv: list[str], **where: Any) -> tuple[int, str]:
    """The exit code and the one line that it says; it must never be ready."""
    child = await asyncio.create_subprocess_exec(
        *argv, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, **where
    )
    out, said = await asyncio.wait_for(child.communicate(), ENDS_S)
    assert all(json.loads(line)["object"] == "error" for line in out.splitlines())
    assert child.returncode is not None
    return child.returncode, said.decode()


async def test_a_second_process_on_the_directory_is_refused(chain: Chain) -> None:
    code, said = await refused(process.command(chain.data_dir))
    assert code == 2
    assert said.count("\n") == 1
    assert "in use by another devnet" in said


async def test_a_port_in_use_is_refused_by_its_number(chain: Chain, tmp_path: Path) -> None:
    port = int(chain.rpc.rsplit(":", 1)[1])
    code, said = await refused(process.command(tmp_path / "other", port=port))
    assert code == 2
    assert f"port {port} on 127.0.0.1 is in use" in said
    code, said = await refused(process.command(tmp_path / "other", port=70_000))
    assert code == 2
    assert "port 70000" in said


async def test_a_missing_anvil_is_refused_with_the_remedy(tmp_path: Path) -> None:
    code, said = await refused(process.command(tmp_path / "c", anvil=tmp_path / "none"))
    assert code == 2
    assert said.count("\n") == 1
    assert "--anvil" in said
    # Without a node_modules above it and nothing on the PATH.
    probe = (
        "import sandbox.devnets.evm.anvil as a; from pathlib import Path;"
        "a.__file__ = '/nowhere/at/all/anvil.py'; a.find_program()"
    )
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        probe,
        cwd=tmp_path,
        env={"PATH": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[3])},
        stderr=asyncio.subprocess.PIPE,
    )
    _, err = await child.communicate()
    assert b"AnvilMissing: anvil is not installed: run `npm ci --ignore-scripts`" in err


async def test_an_anvil_that_does_not_run_is_refused(tmp_path: Path) -> None:
    program = tmp_path / "anvil"
    program.write_text("#!/bin/sh\necho broken; exit 1\n")
    program.chmod(0o755)
    code, said = await refused(process.command(tmp_path / "c", anvil=program))
    assert code == 4
    assert "anvil.log" in said
    assert (tmp_path / "c" / "anvil.log").read_text() == "broken\n"


async def test_an_anvil_of_another_version_is_refused_with_the_remedy(tmp_path: Path) -> None:
    program = tmp_path / "anvil"
    program.write_text(f"#!{sys.executable}\n{_OTHER_ANVIL}")
    program.chmod(0o755)
    code, said = await refused(process.command(tmp_path / "c", anvil=program))
    assert code == 2
    assert said.count("\n") == 1
    assert "anvil/v1.6.0 is installed, and this chain needs anvil/v1.7.1: run `npm ci" in said


_OTHER_ANVIL = """
import http.server, json, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "result": "anvil/v1.6.0"}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass
host, port = (sys.argv[sys.argv.index(name) + 1] for name in ("--host", "--port"))
http.server.HTTPServer((host, int(port)), Handler).serve_forever()
"""


async def test_a_foreign_program_on_the_port_is_refused_by_its_number(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as foreign:
        port = foreign.getsockname()[1]
        code, said = await refused(process.command(tmp_path / "c", port=port))
    assert code == 2
    assert said.count("\n") == 1
    assert f"port {port} on 127.0.0.1 is in use or not allowed: stop what listens there" in said


async def test_a_data_directory_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    code, said = await refused(process.command(tmp_path / "file"))
    assert code == 2
    assert said.count("\n") == 1
    assert "choose another --data-dir" in said


async def test_other_flags_than_the_chain_was_made_with_are_refused(chain: Chain) -> None:
    await chain.stop()
    for flags, name in (({"chain_id": 1}, "--chain-id 31337"), ({"dev_accounts": True}, "False")):
        code, said = await refused(process.command(chain.data_dir, **flags))
        assert code == 2
        assert name in said
    for wrong in (["--fund", "0x12"], ["--history", "1"], ["--heartbeat-ms", "0"]):
        assert (await refused([*process.command(chain.data_dir), *wrong]))[0] == 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_stops_it_cleanly_while_clients_are_connected(
    chain: Chain, number: signal.Signals
) -> None:
    anvil = chain.anvil_pid()
    assert chain.running is not None
    async with connect(chain.ws) as ws:
        await ws.send(json.dumps({"id": 1, "method": "eth_subscribe", "params": ["newHeads"]}))
        await ws.recv()
        chain.running.process.send_signal(number)
        assert await asyncio.wait_for(chain.running.process.wait(), ENDS_S) == 0
    assert Process.of(anvil) is None
    chain.running = None


async def test_each_chain_has_a_genesis_of_its_own_and_keeps_it(
    chain: Chain, tmp_path: Path
) -> None:
    assert chain.running is not None
    genesis = chain.running.genesis
    assert (await chain.head("0x0"))["hash"] == genesis
    assert chain.running.chain_id == 31337
    assert chain.ws == chain.rpc.replace("http", "ws")
    other = Chain(tmp_path / "other")
    try:
        await other.start()
        assert other.running is not None
        assert other.running.genesis != genesis
    finally:
        await other.close()
    await chain.stop()
    await chain.start()
    assert chain.running.genesis == genesis


async def test_a_torn_last_frame_is_dropped_and_damage_before_it_is_refused(
    chain: Chain,
) -> None:
    receipt = await chain.pay(0)
    await chain.stop()
    file = chain.data_dir / "journal.bin"
    whole = file.read_bytes()
    file.write_bytes(whole + b"\x40\x00\x00\x00\x01\x02")
    await chain.start()
    assert await chain.call("eth_getTransactionReceipt", receipt["transactionHash"]) == receipt
    await chain.stop()
    hurt = bytearray(file.read_bytes())
    hurt[len(whole) // 2] ^= 1
    file.write_bytes(bytes(hurt))
    code, said = await refused(process.command(chain.data_dir))
    assert code == 3
    assert "is damaged" in said
    assert "restore" in said
    assert file.read_bytes() == bytes(hurt)


@pytest.mark.parametrize("at", [1, 3, 12])
async def test_a_damaged_genesis_is_refused_and_nothing_is_cut(chain: Chain, at: int) -> None:
    """Its length, its length by far, and its content."""
    await chain.pay(0)
    await chain.stop()
    file = chain.data_dir / "journal.bin"
    hurt = bytearray(file.read_bytes())
    hurt[at] ^= 0x10
    file.write_bytes(bytes(hurt))
    code, said = await refused(process.command(chain.data_dir))
    assert code == 3
    assert said.count("\n") == 1
    assert "the frame at byte 0 is damaged and others follow it" in said
    assert file.read_bytes() == bytes(hurt)


@pytest.mark.parametrize("junk", [b"garbage", b"\x40\x01\x00\x00\x11\x22\x33\x44G{"])
async def test_a_journal_replaced_by_garbage_is_refused_and_kept(chain: Chain, junk: bytes) -> None:
    await chain.stop()
    (chain.data_dir / "journal.bin").write_bytes(junk)
    code, said = await refused(process.command(chain.data_dir))
    assert code == 3
    assert "it does not begin as a journal does" in said
    assert (chain.data_dir / "journal.bin").read_bytes() == junk


async def test_a_chain_that_died_while_it_was_founded_is_begun_anew(stopped_chain: Chain) -> None:
    stopped_chain.data_dir.mkdir()
    (stopped_chain.data_dir / "journal.bin").touch()
    (stopped_chain.data_dir / "journal.new").write_bytes(b"\x40\x01\x00\x00\x11\x22\x33\x44G{")
    await stopped_chain.start()
    await stopped_chain.pay(0)


async def test_a_genesis_of_another_chain_is_refused(chain: Chain) -> None:
    await chain.pay(0)
    await chain.stop()
    file = chain.data_dir / "journal.bin"
    with JournalFile(file) as frames:
        payloads = [payload for payload, _ in frames.payloads()]
    found = json.loads(payloads[0][1:])
    payloads[0] = b"G" + json.dumps({**found, "fees_to": "0x" + "77" * 20}).encode()
    file.write_bytes(b"".join(map(framed, payloads)))
    code, said = await refused(process.command(chain.data_dir))
    assert code == 3
    assert said.count("\n") == 1
    assert f"genesis {found['hash']} became 0x" in said
    assert "restore" in said


async def test_a_journal_that_gives_another_chain_is_refused(chain: Chain) -> None:
    await chain.pay(0)
    await chain.stop()
    file = chain.data_dir / "journal.bin"
    # A whole, well-formed frame: a block that anvil will not make of what came before.
    block = b"B" + struct.pack("<QQ32s", 4, 4_000_000_000, b"\x77" * 32)
    frame = struct.pack("<II", len(block), zlib.crc32(block)) + block
    file.write_bytes(file.read_bytes() + frame)
    code, said = await refused(process.command(chain.data_dir))
    assert code == 3
    assert "does not give the same chain again" in said


async def test_an_anvil_that_keeps_ending_ends_the_process(chain: Chain, tmp_path: Path) -> None:
    program = tmp_path / "anvil"
    real = os.readlink(f"/proc/{chain.anvil_pid()}/exe")
    program.write_text(f'#!/bin/sh\ntest -e {tmp_path}/broken && exit 1\nexec {real} "$@"\n')
    program.chmod(0o755)
    other = Chain(tmp_path / "other", anvil=program, stderr=asyncio.subprocess.PIPE)
    try:
        await other.start()
        (tmp_path / "broken").touch()
        os.kill(other.anvil_pid(), signal.SIGKILL)
        assert other.running is not None
        assert await asyncio.wait_for(other.running.process.wait(), ENDS_S) == 4
        stderr = other.running.process.stderr
        assert stderr is not None
        assert b"does not stay" in await stderr.read()
        other.running = None
    finally:
        await other.close()


async def test_a_journal_that_cannot_be_written_ends_the_process(tmp_path: Path) -> None:
    chain = Chain(tmp_path / "chain", stderr=asyncio.subprocess.PIPE)
    try:
        # The limit stands for a full disk: the next block does not fit.
        argv = process.command(tmp_path / "chain", control=True, heartbeat_ms=3_600_000)
        limited = ["prlimit", "--fsize=6000", *argv]
        chain.running = await process.start(limited, stderr=asyncio.subprocess.PIPE)
        running = chain.running
        await until(lambda: _filled(chain), "a full file")
        assert await asyncio.wait_for(running.process.wait(), ENDS_S) == 3
        assert running.process.stderr is not None
        assert b"cannot be written" in await running.process.stderr.read()
        chain.running = None
        await chain.start()
        assert await chain.height() > 10
    finally:
        await chain.close()


async def _filled(chain: Chain) -> bool:
    answer = await chain.http.post(
        chain.rpc, json={"id": 1, "method": "sandbox_mine", "params": [{"blocks": 10}]}
    )
    return answer.status_code == 503
