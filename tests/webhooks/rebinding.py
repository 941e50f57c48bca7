"""Webhooks to a name whose DNS server changes its mind, in a network of their own.

Run as root of new user, mount and network namespaces. There is no network but loopback; it has a
public address as well, where the shop listens, and this machine's own, where a victim does. Says as
one line of JSON what came of each attempt.
"""

import asyncio
import json
import struct
import subprocess
import sys
import tempfile
from dataclasses import asdict
from ipaddress import ip_address
from pathlib import Path
from typing import cast

from sandbox.webhooks import sending

PUBLIC, OURS, PRIVATE = "93.184.216.34", "127.0.0.1", "10.0.0.1"
NAME, PORT = "shop.example", 8080
# What each attempt's question is answered with; none may be asked twice for one attempt.
ANSWERS = [[PUBLIC], [OURS], [PRIVATE], [PUBLIC, OURS], [PUBLIC]]
_A, _HEADER = 1, 12


class Resolver(asyncio.DatagramProtocol):
    """A DNS server (RFC 1035, section 4) with one answer for each question in its turn."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, sender: tuple[str, int]) -> None:
        name, at = [], _HEADER
        while length := data[at]:
            name.append(data[at + 1 : at + 1 + length].decode())
            at += length + 1
        question = data[_HEADER : at + 5]
        addresses: list[str] = []
        if struct.unpack(">H", data[at + 1 : at + 3])[0] == _A:
            addresses = ANSWERS[len(self.asked)] if len(self.asked) < len(ANSWERS) else [OURS]
            self.asked.append(".".join(name))
        head = data[:2] + struct.pack(">HHHHH", 0x8580, 1, len(addresses), 0, 0)
        # The name of the question, as an address in the internet, for no second longer.
        record = struct.pack(">HHHLH", 0xC00C, _A, 1, 0, 4)
        records = b"".join(record + ip_address(each).packed for each in addresses)
        self._transport.sendto(head + question + records, sender)


def network() -> None:
    """Loopback with all three addresses, and the resolver in the system's own files."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    for address in (PUBLIC, PRIVATE):
        subprocess.run(["ip", "address", "add", f"{address}/32", "dev", "lo"], check=True)
    etc = Path(tempfile.mkdtemp(prefix="etc-"))
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", etc], check=True)
    (etc / "resolv.conf").write_text(f"nameserver {OURS}\n")
    (etc / "nsswitch.conf").write_text("hosts: dns\n")
    subprocess.run(["mount", "--bind", etc, "/etc"], check=True)


async def run() -> None:
    reached: list[str] = []

    def listener(address: str) -> "asyncio.Future[asyncio.Server]":
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            reached.append(address)
            head = await reader.readuntil(b"\r\n\r\n")
            assert f"Host: {NAME}:{PORT}".encode() in head
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            await writer.drain()
            writer.close()

        return asyncio.ensure_future(asyncio.start_server(serve, address, PORT))

    servers = [await listener(address) for address in (PUBLIC, OURS, PRIVATE)]
    loop = asyncio.get_running_loop()
    _, resolver = await loop.create_datagram_endpoint(Resolver, (OURS, 53))
    client = sending.client(allow_loopback=False)
    attempts = []
    for _ in ANSWERS:
        attempt = await sending.post(
            client, f"http://{NAME}:{PORT}/hooks", {}, b"{}", allow_loopback=False
        )
        attempts.append(asdict(attempt))
    client.close()
    for server in servers:
        server.close()
    told = {"attempts": attempts, "reached": reached, "asked": resolver.asked}
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    network()
    asyncio.run(run())
