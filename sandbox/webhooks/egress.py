"""Where deliveries may go: public addresses, and loopback where the settings allow it.

The address that was checked is the one that is connected to; a name is resolved once per attempt,
so no second answer of a DNS server gets past the check.
"""

import asyncio
import ipaddress
import socket
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

from sandbox.webhooks.errors import WebhookUrlRefused

MAX_URL_LENGTH = 2_000
_PORTS = {"http": 80, "https": 443}
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Destination:
    """A checked URL in parts; `authority` is its Host header."""

    scheme: str
    host: str
    port: int
    target: str
    authority: str

    def at(self, address: IpAddress) -> str:
        """The URL with its host replaced by a checked address."""
        host = f"[{address}]" if address.version == 6 else str(address)
        return f"{self.scheme}://{host}:{self.port}{self.target}"


def parse(url: str, *, allow_loopback: bool) -> Destination:
    """Read and check a webhook URL without resolving its name. Raises `WebhookUrlRefused`."""
    if len(url) > MAX_URL_LENGTH:
        raise WebhookUrlRefused(f"the URL is longer than {MAX_URL_LENGTH} characters")
    if not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise WebhookUrlRefused("the URL has characters that must be escaped")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise WebhookUrlRefused("it is not a URL") from None
    if parts.scheme not in _PORTS:
        raise WebhookUrlRefused("its scheme is neither http nor https")
    if parts.username is not None or parts.password is not None or "@" in parts.netloc:
        raise WebhookUrlRefused("it carries a user name or a password")
    if not parts.hostname or parts.fragment or port == 0:
        raise WebhookUrlRefused("it has no host, or a fragment, or no port to connect to")
    if "%" in parts.hostname:
        raise WebhookUrlRefused("its host names a network interface")
    try:
        literal: IpAddress | None = ipaddress.ip_address(parts.hostname)
    except ValueError:
        literal = None
    if literal is not None:
        check(literal, allow_loopback=allow_loopback)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Destination(
        parts.scheme, parts.hostname, port or _PORTS[parts.scheme], target, parts.netloc
    )


def _embedded(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that an IPv6 one leads to, if it is a way around."""
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    teredo = address.teredo
    return address.ipv4_mapped or address.sixtofour or (teredo[1] if teredo else None)


def check(address: IpAddress, *, allow_loopback: bool) -> None:
    """Refuse what is not on the public internet. Raises `WebhookUrlRefused`."""
    inner = _embedded(address) if isinstance(address, ipaddress.IPv6Address) else None
    if inner is not None:
        check(inner, allow_loopback=False)
        return
    if address.is_loopback:
        if not allow_loopback:
            raise WebhookUrlRefused(f"{address} is this machine")
        return
    if not address.is_global or address.is_multicast or address.is_unspecified:
        raise WebhookUrlRefused(f"{address} is not a public address")


async def resolve(destination: Destination, *, allow_loopback: bool) -> IpAddress:
    """The address to connect to. Raises `WebhookUrlRefused`, or `OSError` without an answer.

    One forbidden address among the answers refuses all: such a name is made to deceive.
    """
    with suppress(ValueError):
        literal = ipaddress.ip_address(destination.host)
        check(literal, allow_loopback=allow_loopback)
        return literal
    found = await asyncio.get_running_loop().getaddrinfo(
        destination.host, destination.port, type=socket.SOCK_STREAM
    )
    addresses = [ipaddress.ip_address(answer[4][0]) for answer in found]
    if not addresses:
        raise OSError(f"{destination.host} has no address")
    for address in addresses:
        check(address, allow_loopback=allow_loopback)
    # A loopback receiver mostly listens on IPv4 only.
    return min(addresses, key=lambda address: address.version)
