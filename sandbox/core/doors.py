"""Who may come in at a listener: the Host and Origin of a request.

With an open door any web page could drive what listens on this machine (DNS rebinding).
"""

from collections.abc import Iterable
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
# A page cannot send these: they stand for programs that the owner of the browser installed.
WALLET_SCHEMES: Final = ("chrome-extension://", "moz-extension://", "safari-web-extension://")


class Doors:
    """Loopback names come in, and those given at start; `schemes` are Origins whatever the host."""

    def __init__(
        self, hosts: Iterable[str] = (), origins: Iterable[str] = (), schemes: tuple[str, ...] = ()
    ) -> None:
        self._hosts = _LOOPBACK | {host.lower() for host in hosts}
        self._origins = set(origins)
        self._schemes = schemes

    def admit_host(self, host: bytes | None) -> bool:
        """Whether the Host header names us."""
        return host is not None and _hostname("//" + host.decode("latin-1")) in self._hosts

    def admit_origin(self, origin: bytes | None) -> bool:
        """Whether the page that asks, if any, may."""
        if origin is None:
            return True
        text = origin.decode("latin-1")
        if text in self._origins or (self._schemes and text.startswith(self._schemes)):
            return True
        return text.startswith(("http://", "https://")) and _hostname(text) in self._hosts

    def admit(self, host: bytes | None, origin: bytes | None) -> bool:
        """Both."""
        return self.admit_host(host) and self.admit_origin(origin)


@lru_cache(256)
def _hostname(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None
