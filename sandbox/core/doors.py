"""Who may come in at a listener: the Host and Origin of a request.

With an open door any web page could drive what listens on this machine (DNS rebinding).
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "[::1]"})
# A page cannot send these: they stand for programs that the owner of the browser installed.
WALLET_SCHEMES: Final = ("chrome-extension://", "moz-extension://", "safari-web-extension://")
# No more than RFC 9110 has: what a URL parser would read as user, path or query is no host.
_HOST: Final = re.compile(r"(\[[0-9a-f:.]+\]|[0-9a-z._-]+)(?::[0-9]{1,5})?", re.ASCII)

Headers = Iterable[tuple[bytes, bytes]]
"""Raw, as ASGI has them: names in lower case, repeated ones too."""


class Doors:
    """Loopback names come in, and those given at start; `schemes` are Origins whatever the host.

    Of a header that comes twice every one must do.
    """

    def __init__(
        self, hosts: Iterable[str] = (), origins: Iterable[str] = (), schemes: tuple[str, ...] = ()
    ) -> None:
        self._hosts = _LOOPBACK | {_bracketed(host.lower()) for host in hosts}
        self._origins = set(origins)
        self._schemes = schemes

    def admit(self, headers: Headers) -> bool:
        """Whether both do."""
        return self.admit_host(headers) and self.admit_origin(headers)

    def admit_host(self, headers: Headers) -> bool:
        """Whether there is a Host and it names us, on whatever port."""
        hosts = [value for name, value in headers if name == b"host"]
        return bool(hosts) and all(_host(host.decode("latin-1")) in self._hosts for host in hosts)

    def admit_origin(self, headers: Headers) -> bool:
        """Whether the page that asks, if any, may."""
        return all(
            self._is_own(value.decode("latin-1")) for name, value in headers if name == b"origin"
        )

    def _is_own(self, origin: str) -> bool:
        if origin in self._origins or (self._schemes and origin.startswith(self._schemes)):
            return True
        scheme, _, host = origin.partition("://")
        return scheme in ("http", "https") and _host(host) in self._hosts


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


@lru_cache(256)
def _host(authority: str) -> str | None:
    """The host of `host[:port]`; None for anything else."""
    found = _HOST.fullmatch(authority.lower())
    return found[1] if found else None
