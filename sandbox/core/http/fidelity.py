"""`Sandbox-Fidelity` on answers: which parts they touched, and what of them is real.

An RFC 9651 dictionary of tokens: `ledger=real, bank=simulated`, and each chain under its name.
"""

from collections.abc import Collection, Mapping
from typing import Final, Literal

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

Level = Literal["real", "simulated", "stubbed"]
HEADER: Final = "Sandbox-Fidelity"
CHAINS: Final = "chains"
"""Stands in the table for every chain that is configured, each under its name."""

_DATA = ("database", "clock")
_CHECKOUT = (*_DATA, "ledger", "log", CHAINS)
_MONEY = (*_CHECKOUT, "bank")
_ISSUER = (*_MONEY, "issuer")

PARTS_OF: Final[Mapping[str, tuple[str, ...]]] = {
    "/v1/api_keys": _DATA,
    "/v1/idempotency_keys": _DATA,
    "/v1/request_logs": _DATA,
    "/v1/merchants": (*_DATA, "log"),
    "/v1/checkout": _CHECKOUT,
    "/v1/payments": _CHECKOUT,
    "/v1/refunds": _CHECKOUT,
    "/v1/stray_transfers": _CHECKOUT,
    "/v1/settlements": _MONEY,
    "/v1/payouts": _MONEY,
    "/v1/reserve": _ISSUER,
    "/v1/ledger": (*_DATA, "ledger"),
    "/v1/chains": (*_DATA, "ledger", CHAINS),
    "/v1/bank": (*_DATA, "bank"),
    "/v1/events": (*_DATA, "log"),
    "/v1/event_types": ("log",),
    "/v1/webhook_endpoints": (*_DATA, "webhooks"),
    "/v1/webhook_deliveries": (*_DATA, "webhooks"),
    "/v1/sandbox": (*_ISSUER, "webhooks", "faucet"),
    "/v1/sandbox/clock": ("database", "clock", "log", CHAINS),
    "/v1/sandbox/faucet": (*_ISSUER, "faucet"),
    "/v1/sandbox/bank": (*_DATA, "bank"),
    "/v1/sandbox/audit": _ISSUER,
}
"""Begin of a route's path → the parts that its answers touch; the longest that fits counts."""


def parts_of(template: str) -> tuple[str, ...]:
    """The parts of a route by its path; none where the table has no row."""
    fitting = [begin for begin in PARTS_OF if _begins(template, begin)]
    return PARTS_OF[max(fitting, key=len)] if fitting else ()


def _begins(template: str, begin: str) -> bool:
    return template.startswith(begin) and template[len(begin) :][:1] in ("", "/")


class Fidelity:
    """What is real in this process's world. `devnets` are the chains that are the sandbox's own."""

    def __init__(
        self, levels: Mapping[str, Level], chains: Collection[str], devnets: Collection[str]
    ) -> None:
        self.chains = tuple(chains)
        self.levels: dict[str, Level] = {
            **levels,
            **{name: "simulated" if name in devnets else "real" for name in chains},
        }
        self._made: dict[str, bytes] = {}

    def header(self, template: str) -> bytes | None:
        """The header's value for answers of a route; None where it has no parts."""
        if template not in self._made:
            names = [
                name
                for part in parts_of(template)
                for name in (self.chains if part == CHAINS else (part,))
            ]
            self._made[template] = ", ".join(
                f"{name}={self.levels[name]}" for name in names
            ).encode()
        return self._made[template] or None


class FidelityMiddleware:
    """Plain ASGI, so that streams pass through untouched. Who was not let in touched nothing."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_parts(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] not in (401, 403):
                self._add(scope, message)
            await send(message)

        await self.app(scope, receive, send_with_parts)

    def _add(self, scope: Scope, message: Message) -> None:
        fidelity: Fidelity | None = getattr(scope["app"].state, "fidelity", None)
        template = getattr(scope.get("route"), "path", "")
        if fidelity is None or (value := fidelity.header(template)) is None:
            return
        MutableHeaders(scope=message)[HEADER] = value.decode()
