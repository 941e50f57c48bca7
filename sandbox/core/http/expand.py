"""`expand[]=a.b`: an id in an answer becomes the object it names, up to four levels deep.

What may be expanded is data, as the role table is. Each level is one read however many objects
need it, by the caller's own rights: what is somebody else's stays an id.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
from fastapi import Request
from fastapi.responses import JSONResponse, Response
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.core.db import Database
from sandbox.core.errors import SandboxError
from sandbox.core.http import permissions
from sandbox.core.http.auth import Forbidden, Principal
from sandbox.core.http.roles import RULES

MAX_LEVELS: Final = 4
MAX_PATHS: Final = 20
_IDS_PER_READ: Final = 5_000

FIELDS: Final[Mapping[str, Mapping[str, str]]] = {
    "checkout_session": {"merchant": "merchant", "payment": "payment", "payments": "payment"},
    "payment": {
        "session": "checkout_session", "settlement": "settlement", "merchant": "merchant",
    },
    "refund": {
        "payment": "payment", "stray_transfer": "stray_transfer", "merchant": "merchant",
    },
    "stray_transfer": {
        "session": "checkout_session", "payment": "payment", "refund": "refund",
        "merchant": "merchant",
    },
    "settlement": {"lines": "line", "payout": "payout", "merchant": "merchant"},
    "line": {"payment": "payment"},
    "payout": {
        "settlement": "settlement", "carried_into": "settlement", "merchant": "merchant",
    },
    "merchant": {},
}  # fmt: skip
"""kind → field → the kind that it names by id, or holds as it is."""
SHAPES: Final[Mapping[str, str]] = {
    "checkout_session": "CheckoutSession",
    "payment": "Payment",
    "refund": "Refund",
    "stray_transfer": "StrayTransfer",
    "settlement": "Settlement",
    "line": "SettlementLine",
    "payout": "Payout",
    "merchant": "Merchant",
}
"""kind → the name of its shape."""
READ_BY: Final[Mapping[str, str]] = {
    "checkout_session": "/v1/checkout/sessions/{session_id}",
    "payment": "/v1/payments/{payment_id}",
    "refund": "/v1/refunds/{refund_id}",
    "stray_transfer": "/v1/stray_transfers/{stray_id}",
    "settlement": "/v1/settlements/{settlement_id}",
    "payout": "/v1/payouts/{payout_id}",
    "merchant": "/v1/merchants/{merchant_id}",
}
"""Who may call this may have the object in another one's answer."""
_ACTS: Final = ("cancel", "resolve")


class ExpandUnknown(SandboxError):
    """The answer has no such field, or one that names nothing."""

    status, code = 422, "expand_unknown"
    fields = ("/query/expand",)

    def __init__(self, path: str, known: Sequence[str]) -> None:
        super().__init__(
            f"{path} cannot be expanded here; these can: {', '.join(known) or 'none'}",
            path=path,
            known=list(known),
        )


class ExpandTooDeep(SandboxError):
    """Deeper, or more at once, than an answer is made for."""

    status, code = 422, "expand_too_deep"
    fields = ("/query/expand",)

    def __init__(self, path: str) -> None:
        super().__init__(
            f"at most {MAX_PATHS} paths of {MAX_LEVELS} levels: {path}",
            path=path,
            max_levels=MAX_LEVELS,
            max_paths=MAX_PATHS,
        )


@dataclass(frozen=True, slots=True)
class Reader:
    """By whose rights objects are read; `merchant` None: everybody's."""

    merchant: str | None
    base_url: str


Loader = Callable[[AsyncSession, list[str], Reader], Awaitable[dict[str, dict[str, Any]]]]
"""The objects of these ids that the reader may see, by id; bound by wiring to the slices."""


@dataclass(slots=True)
class _Step:
    """One field of objects of one kind, and the fields of what it leads to."""

    kind: str
    steps: "dict[str, _Step]"


def asked(request: Request) -> dict[str, _Step] | None:
    """What the request wants expanded, or None. Raises `ExpandUnknown`, `ExpandTooDeep`."""
    if b"expand" not in request.scope.get("query_string", b""):
        return None
    query = request.query_params
    paths = [*query.getlist("expand[]"), *query.getlist("expand")]
    if not paths:
        return None
    template = request.scope["route"].path
    kind = root(template)
    in_list = is_list(request.method, template)
    steps: dict[str, _Step] = {}
    for path in paths:
        names = path.split(".")
        if in_list and names[0] == "data":
            names = names[1:]
        elif in_list:
            raise ExpandUnknown(path[:200], [f"data.{one}" for one in FIELDS.get(kind, ())])
        if len(names) > MAX_LEVELS or len(paths) > MAX_PATHS:
            raise ExpandTooDeep(path[:200])
        _follow(path, names, kind, steps)
    return steps


def is_list(method: str, template: str) -> bool:
    """Whether the route answers with a list."""
    return method == "GET" and "{" not in template


def root(template: str) -> str:
    """The kind that a route answers with, alone or in a list; "" for one that has no fields."""
    head, _, act = template.rpartition("/")
    path = head if act in _ACTS else template
    for kind, route in READ_BY.items():
        if path in (route, route.rpartition("/")[0]):
            return kind
    return ""


def _follow(path: str, names: list[str], kind: str, steps: dict[str, _Step]) -> None:
    for name in names:
        known = FIELDS.get(kind, {})
        if name not in known:
            raise ExpandUnknown(path[:200], sorted(known))
        kind = known[name]
        steps = steps.setdefault(name, _Step(kind, {})).steps


def check(steps: Mapping[str, _Step], caller: Principal) -> None:
    """Refuse what the role or the key may not read. Raises `Forbidden`, `PermissionMissing`."""
    for step in steps.values():
        route = READ_BY.get(step.kind)
        if route is not None:
            if caller.role not in RULES[("GET", route)]:
                raise Forbidden(caller.role, f"GET {route}")
            held = None if caller.key is None else caller.key.permissions
            permission = permissions.needed("GET", route)
            if caller.key is not None and not permissions.allows(held, permission):
                raise permissions.PermissionMissing(permission, caller.key.id)
        check(step.steps, caller)


async def expanded(
    request: Request, caller: Principal, response: Response, steps: Mapping[str, _Step]
) -> Response:
    """The answer with what was asked for; a refusal stays as it is."""
    if response.status_code >= 300 or response.media_type != "application/json":
        return response
    body = orjson.loads(response.body)
    roots = body["data"] if body.get("object") == "list" else [body]
    loaders: Mapping[str, Loader] = request.app.state.expanders
    reader = Reader(caller.merchant, request.app.state.settings.base_url)
    database: Database = request.app.state.database
    async with database.transaction() as db:
        await _expand(db, loaders, reader, roots, steps)
    kept = {name: text for name, text in response.headers.items() if name != "content-length"}
    return JSONResponse(body, response.status_code, kept)


async def _expand(
    db: AsyncSession,
    loaders: Mapping[str, Loader],
    reader: Reader,
    nodes: Sequence[dict[str, Any]],
    steps: Mapping[str, _Step],
) -> None:
    for name, step in steps.items():
        ids = sorted({node[name] for node in nodes if isinstance(node.get(name), str)})
        found: dict[str, dict[str, Any]] = {}
        for first in range(0, len(ids), _IDS_PER_READ):
            read = await loaders[step.kind](db, ids[first : first + _IDS_PER_READ], reader)
            # An object may hold the same part twice: what is expanded in one is not in the other.
            found |= orjson.loads(orjson.dumps(read))
        for node in nodes:
            if isinstance(node.get(name), str):
                node[name] = found.get(node[name], node[name])
        if step.steps:
            await _expand(db, loaders, reader, list(_held(nodes, name)), step.steps)


def _held(nodes: Sequence[dict[str, Any]], name: str) -> Iterator[dict[str, Any]]:
    for node in nodes:
        value = node.get(name)
        yield from (one for one in (value if isinstance(value, list) else [value])
                    if isinstance(one, dict))  # fmt: skip
