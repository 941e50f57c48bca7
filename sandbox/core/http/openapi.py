"""What the OpenAPI document says beyond the routes' own types: keys, roles, refusals, examples."""

import json
from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from importlib.resources import files
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute

from sandbox.core.api_version import VERSIONS
from sandbox.core.http import answers, expand, words
from sandbox.core.http.fidelity import HEADER, parts_of
from sandbox.core.http.idempotency import EXEMPT, MAX_KEY_LENGTH
from sandbox.core.http.roles import RULES

_TEXT = {"type": "string"}
_PROBLEM = {
    "type": "object",
    "required": [
        "type", "title", "status", "detail", "instance", "code", "param", "retryable", "messages",
        "request_id", "request_log_url", "doc_url",
    ],
    "properties": {
        "type": {"type": "string", "examples": ["urn:kzte-sandbox:problem:payment_not_final"]},
        "title": {"type": "string", "examples": ["Conflict"]},
        "status": {"type": "integer", "examples": [409]},
        "detail": {"type": "string", "description": "English, for developers"},
        "instance": {"type": "string", "examples": ["/v1/refunds"]},
        "code": {"type": "string", "description": "stable; decide by this member"},
        "param": {
            "type": ["string", "null"],
            "description": "JSON pointer to the one field at fault, its place first",
            "examples": ["/body/amount_tiyn"],
        },
        "retryable": {
            "enum": [True, False, "unknown"],
            "description": "true: send the same again with the same key, it may succeed;"
            " false: change what is wrong and use a new key; unknown: a repeat does no harm",
        },
        "messages": {
            "type": "object",
            "required": ["kk", "ru", "en"],
            "properties": {"kk": _TEXT, "ru": _TEXT, "en": _TEXT},
            "description": "may be shown to anybody",
        },
        "request_id": {"type": "string", "examples": ["req_4f2c9d1e8b7a605f3c2d1e0f"]},
        "request_log_url": {
            "type": "string", "examples": ["/v1/request_logs/req_4f2c9d1e8b7a605f3c2d1e0f"],
        },
        "doc_url": {"type": "string", "examples": ["/docs/errors#payment_not_final"]},
        "errors": {
            "type": "array",
            "items": {"type": "object", "properties": {"param": _TEXT, "message": _TEXT}},
        },
    },
    "description": "Problem details (RFC 9457); more members explain single refusals.",
}  # fmt: skip
_FIDELITY = {
    "description": "What the answer touched, and what of it is real (RFC 9651 dictionary);"
    " `GET /v1/sandbox/fidelity` and docs/fidelity.md say what differs",
    "schema": {"type": "string"},
    "example": "database=real, clock=simulated, bank=simulated",
}
_REFUSED = {
    "description": "Refused by name",
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
}


def _raw(media_type: str, description: str) -> dict[str, Any]:
    form = {"format": "binary"} if media_type == "application/octet-stream" else {}
    content = {media_type: {"schema": {"type": "string", **form}}}
    return {"description": description, "content": content}


def _refused_as(code: str, description: str) -> dict[str, Any]:
    schema = {
        "allOf": [
            {"$ref": "#/components/schemas/Problem"},
            {"properties": {"code": {"const": code}}},
        ]
    }
    return {"description": description, "content": {"application/problem+json": {"schema": schema}}}


def _as_in(description: str, example: Mapping[str, Any]) -> dict[str, Any]:
    content = {"application/json": {"example": dict(example)}}
    return {"description": description, "content": content}


_WORLD = {
    "object": "world",
    "epoch": 2,
    "now": "2026-11-20T10:00:00.412Z",
    "restored": "before-refunds",
    "took_ms": 297,
}
_FORK = {
    "object": "fork",
    "name": "before-refunds",
    "data_dir": "/home/me/shop/.sandbox/forks/second",
}
_OBJECT: Mapping[str, Any] = {"content": {"application/json": {}}}
_EXPLANATION = {
    "200": {
        "description": "The explanation in the form and language asked for",
        "content": {
            "application/json": {},
            "text/plain": {"schema": {"type": "string"}},
            "image/svg+xml": {"schema": {"type": "string"}},
        },
    }
}
_EXPLAINED = [f"{method} {path}" for method, path in RULES if path.endswith("/explain")]
# What operations answer beyond what their routes' types say. The refusals from 500 on that a
# client may meet by what it asks are here and nowhere else (CONTRACT 10).
_ANSWERS: Mapping[str, Mapping[str, dict[str, Any]]] = {
    "GET /readyz": {"503": {"description": "Not ready; the body says what is missing", **_OBJECT}},
    "GET /metrics": {"200": _raw("text/plain", "Figures in the text format of Prometheus")},
    "GET /log/tile/entries/{path}": {
        "200": _raw("application/octet-stream", "The bundle, as C2SP tlog-tiles has it")
    },
    "GET /log/tile/{level}/{path}": {
        "200": _raw("application/octet-stream", "The tile, as C2SP tlog-tiles has it")
    },
    "GET /log/e{epoch}/checkpoint": {
        "503": _refused_as("epoch_being_sealed", "It was left a moment ago: ask again")
    },
    "GET /log/e{epoch}/vkey": {
        "503": _refused_as("epoch_being_sealed", "It was left a moment ago: ask again")
    },
    "GET /log/e{epoch}/tile/entries/{path}": {
        "200": _raw("application/octet-stream", "The bundle, as C2SP tlog-tiles has it"),
        "503": _refused_as("epoch_being_sealed", "It was left a moment ago: ask again"),
    },
    "GET /log/e{epoch}/tile/{level}/{path}": {
        "200": _raw("application/octet-stream", "The tile, as C2SP tlog-tiles has it"),
        "503": _refused_as("epoch_being_sealed", "It was left a moment ago: ask again"),
    },
    "GET /v1/settlements/{settlement_id}/report": {
        "200": {
            "description": "The report in the form asked for",
            "content": {
                "application/json": {},
                "text/csv": {"schema": {"type": "string"}},
                "text/html": {"schema": {"type": "string"}},
            },
        }
    },
    "POST /v1/checkout/sessions": {
        "200": {"description": "The open session with this reference, as it was made", **_OBJECT}
    },
    "POST /v1/reserve/deposits": {
        "200": {"description": "The deposit known by this bank reference", **_OBJECT}
    },
    "POST /v1/sandbox/faucet": {
        "503": _refused_as("float_refilling", "More is being minted: ask again")
    },
    **{
        operation: {
            **answers,
            "501": _refused_as("no_supervisor", "Whoever started it keeps no snapshots"),
            "507": _refused_as("no_room", "The disk would be full in the middle of it"),
        }
        for operation, answers in (
            ("GET /v1/sandbox/snapshots", {}),
            ("POST /v1/sandbox/snapshots", {}),
            ("DELETE /v1/sandbox/snapshots/{name}", {}),
            (
                "POST /v1/sandbox/snapshots/{name}/restore",
                {"200": _as_in("The world that lives now", _WORLD)},
            ),
            (
                "POST /v1/sandbox/reset",
                {"200": _as_in("The world that lives now", _WORLD | {"restored": "initial"})},
            ),
            ("POST /v1/sandbox/forks", {"201": _as_in("The folder is whole", _FORK)}),
        )
    },
    **dict.fromkeys(_EXPLAINED, _EXPLANATION),
    "POST /v1/sandbox/triggers": {
        "504": _refused_as("scenario_stuck", "`did` says how far the scenario came")
    },
    "POST /v1/sandbox/quiesce": {"504": _refused_as("still_busy", "`left` names what is not done")},
}
# Operations that answer an object which another one's example shows.
_SHOWN_BY: Mapping[str, str] = {
    **dict.fromkeys(
        (
            "POST /v1/reserve/redemptions/{redemption_id}/retry",
            "POST /v1/reserve/redemptions/{redemption_id}/cancel",
            "POST /v1/reserve/burns/{stray_id}/redeem",
        ),
        "GET /v1/reserve/redemptions/{redemption_id}",
    ),
    **dict.fromkeys(
        (
            "POST /v1/reserve/moves/{move_id}/retry",
            "POST /v1/reserve/moves/{move_id}/cancel",
            "POST /v1/reserve/moves/{move_id}/give_back",
        ),
        "GET /v1/reserve/moves/{move_id}",
    ),
    **dict.fromkeys(
        (
            "POST /v1/reserve/reversals/{reversal_id}/cover",
            "POST /v1/reserve/reversals/{reversal_id}/repay",
            "POST /v1/reserve/reversals/{reversal_id}/write_off",
            "POST /v1/reserve/reversals/{reversal_id}/undo_write_off",
        ),
        "GET /v1/reserve/reversals/{reversal_id}",
    ),
    "POST /v1/sandbox/faults": "GET /v1/sandbox/faults",
    **dict.fromkeys(_EXPLAINED, "GET /v1/payments/{payment_id}/explain"),
}
_IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": True,
    "description": "A new one for each new intention; a repeat gets the first answer.",
    "schema": {"type": "string", "minLength": 1, "maxLength": MAX_KEY_LENGTH},
    "example": "order-1001",
}


_VERSION = {
    "name": "Sandbox-Version",
    "in": "header",
    "required": False,
    "description": "The version of the answer's shape; without it the one that the key pins.",
    "schema": {"type": "string", "enum": list(VERSIONS)},
}
_KINDS = {shape: kind for kind, shape in expand.SHAPES.items()}
_EXPAND = {
    "name": "expand[]",
    "in": "query",
    "required": False,
    "schema": {
        "type": "array",
        "maxItems": expand.MAX_PATHS,
        "items": {"type": "string", "maxLength": 200},
    },
}


def _expandable(method: str, path: str) -> dict[str, Any] | None:
    """The parameter `expand[]` of a route, None where its answer names nothing."""
    fields = expand.FIELDS.get(expand.root(path), {})
    if not fields:
        return None
    is_list = expand.is_list(method, path)
    known = ", ".join(f"`data.{one}`" if is_list else f"`{one}`" for one in fields)
    said = f"Puts objects in the place of their ids, up to {expand.MAX_LEVELS} levels: {known}."
    return {**_EXPAND, "description": said}


def install(app: FastAPI, routes: Callable[[], Iterable[APIRoute]]) -> None:
    """Let `app.openapi()` describe the whole contract; made once, then kept.

    `routes` are all that the application answers, those of its routers too.
    """
    plain = app.openapi

    def described() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _describe(plain(), routes())
        return app.openapi_schema

    app.openapi = described  # type: ignore[method-assign]  # FastAPI's documented way to extend


def examples() -> Mapping[str, Any]:
    """`METHOD /path` → an answer as a running sandbox gave it; a test keeps them true."""
    text = (files("sandbox.core.http") / "examples.json").read_text("utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


def _describe(document: dict[str, Any], routes: Iterable[APIRoute]) -> dict[str, Any]:
    components = document.setdefault("components", {})
    components.setdefault("schemas", {})["Problem"] = dict(_PROBLEM)
    components["securitySchemes"] = {
        "key": {"type": "http", "scheme": "bearer", "bearerFormat": "sk_sbx_<id>_<secret>"}
    }
    shown = examples()
    for (method, template), rule in RULES.items():
        path = template.replace(":path", "")
        operation = document["paths"].get(path, {}).get(method.lower())
        if operation is None:
            continue
        if "public" not in rule:
            operation["security"] = [{"key": []}]
        operation["x-roles"] = {role: access for role, access in rule.items() if role != "public"}
        responses = operation["responses"]
        responses.pop("422", None)
        responses.update(deepcopy(_ANSWERS.get(f"{method} {path}", {})))
        # Whatever the route, a door may be closed: to a Host, an Origin, a body too large.
        responses["default"] = _REFUSED
        if parts_of(path):
            for code, response in responses.items():
                if code.startswith("2"):
                    response.setdefault("headers", {})[HEADER] = _FIDELITY
        if method == "POST" and path.startswith("/v1/") and path not in EXEMPT:
            operation.setdefault("parameters", []).append(_IDEMPOTENCY_KEY)
        if path.startswith("/v1/"):
            operation.setdefault("parameters", []).append(_VERSION)
        expansion = _expandable(method, template)
        if expansion is not None:
            operation["parameters"].append(expansion)
        name = f"{method} {path}"
        example = shown.get(_SHOWN_BY.get(name, name))
        if example is not None:
            # The route's own comes first; what was known before answers another.
            success = next(code for code in responses if code.startswith("2"))
            content = responses[success].setdefault("content", {})
            content.setdefault("application/json", {})["example"] = example
    _add_shapes(document, routes)
    for name in ("HTTPValidationError", "ValidationError"):
        components["schemas"].pop(name, None)
    _put_into_words(document)
    return document


def _add_shapes(document: dict[str, Any], routes: Iterable[APIRoute]) -> None:
    """Let every JSON answer but refusals refer to its shape, which is a component."""
    shown = {
        (route.path.replace(":path", ""), method.lower()): shape
        for route in routes
        for method in route.methods or ()
        if (shape := answers.shape_of(route.endpoint)) is not None
    }
    schemas, components = answers.schemas(shown.values())
    for name, schema in components.items():
        _let_expand(name, schema)
        document["components"]["schemas"][name] = schema
    for (path, method), shape in shown.items():
        for response in document["paths"][path][method]["responses"].values():
            if "application/json" in response.get("content", {}):
                response["content"]["application/json"]["schema"] = schemas[shape]


def _let_expand(name: str, schema: dict[str, Any]) -> None:
    """An id that `expand[]` may put an object in the place of is the one or the other."""
    for field, kind in expand.FIELDS.get(_KINDS.get(name, ""), {}).items():
        member = schema["properties"][field]
        either = member.get("anyOf", [member])
        if any("pattern" in one for one in either):
            ids = [{key: one[key] for key in one if key != "description"} for one in either]
            named = {"$ref": f"{answers.REF}{expand.SHAPES[kind]}"}
            about = f"{member['description']}; with `expand[]` the object itself"
            schema["properties"][field] = {"oneOf": [*ids, named], "description": about}


def _put_into_words(document: dict[str, Any]) -> None:
    """Say what each group, parameter and member is that its route leaves without a word."""
    document["tags"] = [
        {"name": name, "description": about} for name, about in words.GROUPS.items()
    ]
    for operations in document["paths"].values():
        for operation in operations.values():
            for one in operation.get("parameters", ()):
                if "description" not in one and "description" not in one["schema"]:
                    one |= {"description": words.parameter(one["name"])}
    for model, schema in document["components"]["schemas"].items():
        if "properties" in schema:
            schema["properties"] = {
                name: {"description": words.member(model, name)} | of
                for name, of in schema["properties"].items()
            }
