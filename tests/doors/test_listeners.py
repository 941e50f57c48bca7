"""Which Host and Origin each listener of a running sandbox answers, and who listens at all."""

import ipaddress
import json
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from sandbox.cli.endpoints import Running
from sandbox.core.doors import WALLET_SCHEMES
from tests.journeys.stack import Stack

Headers = list[tuple[str, str]]
HEALTH = {"solana": "getHealth", "evm": "eth_chainId"}
LISTENERS = ("api", "solana_rpc", "solana_ws", "evm_rpc", "evm_ws")
# What takes wallets in browsers: the chains; keys of the API belong on servers.
FOR_WALLETS = LISTENERS[1:]

OWN_HOSTS = ("127.0.0.1", "localhost", "LocalHost", "LOCALHOST:1", "[::1]", "127.0.0.1:65535")
FOREIGN_HOSTS = (
    *("evil.example", "evil.example:80", "127.0.0.1.evil.example", "localhost.evil.example"),
    *("localhost.", "127.0.0.2", "127.1", "2130706433", "0.0.0.0", "[::]", "[::ffff:127.0.0.1]"),
    *("::1", "[::1", "[::1]evil.example", "evil.example@localhost", "localhost@evil.example"),
    *("localhost/evil.example", "localhost?evil.example", "localhost#x", "localhost\\.x"),
    *("http://localhost", "localhost:", "localhost:x", "localhost,evil.example", "local\thost", ""),
)  # fmt: skip
OWN_ORIGINS = ("http://localhost:3000", "https://LOCALHOST", "http://127.0.0.1", "http://[::1]:5")
FOREIGN_ORIGINS = (
    *("https://evil.example", "http://localhost.evil.example", "http://evil.example:8000", "null"),
    *("file://", "", "localhost", "ftp://localhost", "http://localhost@evil.example"),
    *("http://evil.example#localhost", "http://localhost/", "http://localhost http://evil.example"),
    *("javascript://localhost", "data:,localhost", "wss://localhost"),
)
EXTENSIONS = tuple(f"{scheme}nkbihfbeogaeaoehlefnkodbefgpgknn" for scheme in WALLET_SCHEMES)


class Listener:
    """One address, asked with headers of our own making."""

    def __init__(self, name: str, url: str) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        assert parts.port is not None
        self.name, self.address = name, (parts.hostname, parts.port)
        self.is_websocket = parts.scheme == "ws"

    def status(self, headers: Headers) -> int:
        """What a request, or the handshake of a WebSocket, with these headers is answered."""
        return self.answer(headers)[0]

    def answer(self, headers: Headers) -> tuple[int, bytes]:
        """(status, whole answer)."""
        line, body = self._asked()
        head = [line, *(f"{name}: {value}" for name, value in headers), "", ""]
        with socket.create_connection(self.address, timeout=30) as peer:
            peer.sendall("\r\n".join(head).encode("latin-1") + body)
            said = b""
            while b"\r\n\r\n" not in said and (part := peer.recv(65_536)):
                said += part
        return int(said.split(b" ", 2)[1]), said

    def _asked(self) -> tuple[str, bytes]:
        if self.is_websocket:
            return (
                "GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
                b"",
            )
        if self.name == "api":
            return "GET /readyz HTTP/1.1", b""
        method = HEALTH[self.name.removesuffix("_rpc")]
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": []}).encode()
        return (
            f"POST / HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: {len(body)}",
            body,
        )

    @property
    def taken(self) -> int:
        """The status of what is let in."""
        return 101 if self.is_websocket else 200


@pytest.fixture(params=LISTENERS)
def listener(sandbox: Running, request: pytest.FixtureRequest) -> Listener:
    return Listener(request.param, sandbox.endpoints[request.param])


@pytest.mark.parametrize("host", FOREIGN_HOSTS)
def test_a_foreign_or_odd_host_is_refused(listener: Listener, host: str) -> None:
    assert listener.status([("Host", host)]) in (400, 403)


@pytest.mark.parametrize("host", OWN_HOSTS)
def test_an_own_host_is_taken_whatever_its_port_and_case(listener: Listener, host: str) -> None:
    assert listener.status([("Host", host)]) == listener.taken


def test_a_request_without_a_host_is_refused(listener: Listener) -> None:
    assert listener.status([]) in (400, 403)


@pytest.mark.parametrize(
    "hosts", [("localhost", "evil.example"), ("evil.example", "localhost")], ids=str
)
def test_of_two_hosts_each_must_be_our_own(listener: Listener, hosts: tuple[str, str]) -> None:
    assert listener.status([("Host", host) for host in hosts]) in (400, 403)


@pytest.mark.parametrize("origin", FOREIGN_ORIGINS)
def test_a_foreign_origin_is_refused(listener: Listener, origin: str) -> None:
    status, said = listener.answer([("Host", "localhost"), ("Origin", origin)])
    assert status in (400, 403)
    assert b"access-control-allow" not in said.lower()


@pytest.mark.parametrize("origin", OWN_ORIGINS)
def test_an_origin_of_this_machine_is_taken(listener: Listener, origin: str) -> None:
    assert listener.status([("Host", "localhost"), ("Origin", origin)]) == listener.taken


@pytest.mark.parametrize(
    "origins", [("http://localhost", "http://x.example"), ("http://x.example", "http://localhost")]
)
def test_of_two_origins_each_must_be_our_own(listener: Listener, origins: tuple[str, str]) -> None:
    asked = [("Host", "localhost"), *(("Origin", origin) for origin in origins)]
    assert listener.status(asked) in (400, 403)


@pytest.mark.parametrize("origin", EXTENSIONS)
def test_an_extension_of_the_browser_reaches_the_chains_and_not_the_api(
    listener: Listener, origin: str
) -> None:
    status = listener.status([("Host", "localhost"), ("Origin", origin)])
    assert status == (listener.taken if listener.name in FOR_WALLETS else 403)


def test_the_api_has_no_websocket_for_anyone(sandbox: Running) -> None:
    listener = Listener("api", sandbox.endpoints["api"].replace("http:", "ws:"))
    for origin in ("http://localhost", "https://evil.example"):
        assert listener.status([("Host", "localhost"), ("Origin", origin)]) in (403, 404)


@pytest.mark.parametrize("name", ["api", "solana_rpc", "evm_rpc"])
def test_a_page_may_not_ask_beforehand_whether_it_may(sandbox: Running, name: str) -> None:
    parts = urlsplit(sandbox.endpoints[name])
    with socket.create_connection((parts.hostname, parts.port), timeout=30) as peer:
        peer.sendall(
            b"OPTIONS / HTTP/1.1\r\nHost: localhost\r\nOrigin: https://evil.example\r\n"
            b"Access-Control-Request-Method: POST\r\n\r\n"
        )
        said = peer.recv(65_536)
    assert said.split(b" ", 2)[1] == b"403"
    assert b"access-control-allow" not in said.lower()


async def test_postgresql_lets_nobody_in_without_the_right_password(sandbox: Running) -> None:
    known = urlsplit(sandbox.endpoints["database"])
    assert known.password
    where = {"host": known.hostname, "port": known.port, "database": known.path[1:]}
    refused = (asyncpg.InvalidPasswordError, asyncpg.InvalidAuthorizationSpecificationError)
    for user in (known.username, "sbx_owner", "postgres"):
        for password in ("", "sbx", known.password[:-1]):
            with pytest.raises(refused):
                await asyncpg.connect(user=user, password=password, passfile=os.devnull, **where)
    made = await asyncpg.connect(user=known.username, password=known.password, **where)
    await made.close()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_nothing_else_listens_and_nothing_beyond_loopback(stack: Stack, sandbox: Running) -> None:
    assert stack.process is not None
    family = {stack.process.pid, *descendants(stack.process.pid)}
    assert set(stack.pids().values()) <= family
    mine = set(listening(family))
    for host, _ in mine:
        assert ipaddress.ip_address(host).is_loopback, mine
    known = {Listener(name, sandbox.endpoints[name]).address for name in LISTENERS}
    database = urlsplit(sandbox.endpoints["database"])
    known.add((str(database.hostname), int(database.port or 0)))
    assert known <= mine
    # The program under the second chain checks nothing itself, so no page may find it.
    [(host, _)] = mine - known
    assert host != "127.0.0.1"


def descendants(pid: int) -> Iterator[int]:
    # Programs below come and go: PostgreSQL starts one for each of its chores.
    with suppress(FileNotFoundError, ProcessLookupError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in map(int, (task / "children").read_text().split()):
                yield child
                yield from descendants(child)


def open_files(pid: int) -> Iterator[str]:
    """What the handles of a process stand for; nothing once it has ended."""
    with suppress(FileNotFoundError, ProcessLookupError):
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(FileNotFoundError):  # closed meanwhile
                yield os.readlink(link)


def listening(pids: set[int]) -> Iterator[tuple[str, int]]:
    """(address, port) of each TCP socket on which one of these processes listens (proc(5))."""
    held = {file for pid in pids for file in open_files(pid)}
    for table in ("tcp", "tcp6"):
        for row in Path(f"/proc/self/net/{table}").read_text().splitlines()[1:]:
            fields = row.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in held:
                address, port = fields[1].split(":")
                words = [bytes.fromhex(address)[n : n + 4] for n in range(0, len(address) // 2, 4)]
                packed = b"".join(word[::-1] for word in words)
                yield str(ipaddress.ip_address(packed)), int(port, 16)
