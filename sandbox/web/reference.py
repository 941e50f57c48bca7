"""`/docs`: the OpenAPI document as one page, without scripts and without a network.

Swagger's page is fetched from a content network, which a sandbox may not need.
"""

import json
import re
import shlex
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from markupsafe import Markup, escape

from sandbox.core.http import refusals
from sandbox.web.routes import templates

router = APIRouter(include_in_schema=False)

METHODS = ("post", "get", "delete")
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none';"
        " frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_VALUE = re.compile(r"\{(\w+)[^}]*\}")
_LIST = Markup("list")
_CODE, _STRONG = re.compile(r"`([^`]+)`"), re.compile(r"\*\*([^*]+)\*\*")


@router.get("/")
async def root() -> RedirectResponse:
    """Who opens the address in a browser looks for this page."""
    return RedirectResponse("/docs")


@router.get("/docs")
async def reference(request: Request) -> HTMLResponse:
    """The whole API on one page."""
    document = request.app.openapi()
    html = templates.get_template("reference.html").render(
        info=document["info"],
        intro=prose(document["info"]["description"]),
        groups=groups(document, str(request.base_url).rstrip("/")),
        shapes=shapes(document),
    )
    return HTMLResponse(html, headers=_HEADERS)


@router.get("/docs/errors")
async def errors() -> HTMLResponse:
    """Every refusal with its texts; a problem document's `doc_url` leads to its line here."""
    html = templates.get_template("errors.html").render(
        refusals=refusals.listed(), unfilled=_unfilled
    )
    return HTMLResponse(html, headers=_HEADERS)


def _unfilled(text: str) -> Markup:
    """A refusal's text with the names of its values in their places."""
    # Safe: the text was escaped before its places became tags.
    return Markup(_VALUE.sub(r"<var>\1</var>", str(escape(text))))  # noqa: S704  it is escaped


def groups(document: dict[str, Any], base_url: str) -> dict[str, list[dict[str, Any]]]:
    """What the page shows of each operation, by tag, in the order of the document's tags."""
    found: dict[str, list[dict[str, Any]]] = {tag["name"]: [] for tag in document["tags"]}
    for path, operations in document["paths"].items():
        for method in METHODS:
            if method in operations:
                operation = operations[method]
                shown = _operation(document, base_url, method, path, operation)
                found[operation["tags"][0]].append(shown)
    return found


def shapes(document: dict[str, Any]) -> list[dict[str, Any]]:
    """What answers are made of, by name: each once, where operations and members link to it."""
    found = []
    for name, schema in sorted(document["components"]["schemas"].items()):
        if schema["properties"].get("object", {}).get("const") == "list" or name.endswith("In"):
            continue
        members = [
            _member(member, of, required=member in schema.get("required", ()))
            for member, of in schema["properties"].items()
        ]
        text = prose(schema.get("description", ""))
        found.append({"id": _anchor(name), "name": name, "text": text, "members": members})
    return found


def _member(name: str, schema: dict[str, Any], *, required: bool) -> dict[str, Any]:
    text = schema.get("description", "")
    if values := _values(schema):
        text = f"{text}: {' | '.join(f'`{value}`' for value in values)}"
    return {"name": name, "type": kind(schema), "required": required, "text": _marked(text)}


def _values(schema: dict[str, Any]) -> list[str]:
    """The states that a member may have; its one value, if it always has the same."""
    if "const" in schema:
        return [json.dumps(schema["const"]).strip('"')]
    if "items" in schema:
        return _values(schema["items"])
    if "enum" in schema:
        return [json.dumps(value).strip('"') for value in schema["enum"]]
    return [value for one in schema.get("anyOf", ()) for value in _values(one)]


def kind(schema: dict[str, Any]) -> Markup:
    """The type of a member as the page shows it: names of shapes are links to them."""
    for either in ("anyOf", "oneOf", "allOf"):
        if either in schema:
            return Markup(" or ").join(kind(one) for one in schema[either])
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return Markup('<a href="#{}">{}</a>').format(_anchor(name), name)
    if schema.get("type") == "array":
        return Markup("list of {}").format(kind(schema["items"])) if "items" in schema else _LIST
    if isinstance(schema.get("additionalProperties"), dict):
        return Markup("map to {}").format(kind(schema["additionalProperties"]))
    named = schema.get("format") if schema.get("type") == "string" else None
    types = schema.get("type", "anything")
    return escape(named or (types if isinstance(types, str) else " or ".join(types)))


def _answer(document: dict[str, Any], schema: dict[str, Any]) -> Markup | None:
    """The shape of an answer in a line; of a list the shape of its objects."""
    name = schema.get("$ref", "").rpartition("/")[2]
    found = document["components"]["schemas"].get(name, {})
    if found.get("properties", {}).get("object", {}).get("const") != "list":
        return kind(schema) if schema else None
    extra = [one for one in found["properties"] if one not in ("object", "data", "has_more")]
    also = Markup("").join(
        Markup(", with <code>{}</code>: {}").format(one, found["properties"][one]["description"])
        for one in extra
    )
    return Markup("{}{}").format(kind(found["properties"]["data"]), also)


def _anchor(shape: str) -> str:
    return f"shape-{shape}"


def _operation(
    document: dict[str, Any], base_url: str, method: str, path: str, operation: dict[str, Any]
) -> dict[str, Any]:
    body = _body(document, operation)
    code, success = next((c, r) for c, r in operation["responses"].items() if c.startswith("2"))
    shown = success.get("content", {}).get("application/json", {})
    answer = shown.get("example")
    return {
        "id": f"{method}-{path.strip('/')}",
        "method": method.upper(),
        "path": path,
        "summary": operation["summary"],
        "text": prose(operation.get("description", "")),
        "roles": operation.get("x-roles", {}),
        "is_public": "security" not in operation,
        "parameters": [_field(p, p["schema"], p["in"]) for p in operation.get("parameters", [])],
        "fields": [
            _field({"name": name, "required": name in body.get("required", ())}, schema, "body")
            for name, schema in body.get("properties", {}).items()
        ],
        "curl": _curl(base_url, method, path, operation, body),
        "status": code,
        "shape": _answer(document, shown.get("schema", {})),
        "answer": json.dumps(answer, ensure_ascii=False, indent=2) if answer else None,
    }


def _body(document: dict[str, Any], operation: dict[str, Any]) -> dict[str, Any]:
    content = operation.get("requestBody", {}).get("content", {})
    schema = content.get("application/json", {}).get("schema", {})
    reference = schema.get("$ref") or next(
        (part["$ref"] for part in schema.get("anyOf", ()) if "$ref" in part), None
    )
    if reference is None:
        return {}
    found: dict[str, Any] = document["components"]["schemas"][reference.rpartition("/")[2]]
    return found


def _field(told: dict[str, Any], schema: dict[str, Any], where: str) -> dict[str, Any]:
    kinds = [part for part in schema.get("anyOf", [schema]) if part.get("type") != "null"]
    kind = kinds[0]
    limits = {
        "at least {}": kind.get("minimum"),
        "at most {}": kind.get("maximum"),
        "at most {} characters": kind.get("maxLength"),
        "default {}": schema.get("default"),
    }
    said = [
        words.format(_plain(value))
        for words, value in limits.items()
        if value not in (None, "", [])
    ]
    if "enum" in kind:
        said.append(" | ".join(map(str, kind["enum"])))
    text = told.get("description") or schema.get("description")
    return {
        "name": told["name"],
        "where": where,
        "type": kind.get("type", ""),
        "required": told.get("required", False),
        "text": _marked("; ".join([*([text.rstrip(".")] if text else []), *said])),
    }


def _plain(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, str) else json.dumps(value)


def _curl(
    base_url: str, method: str, path: str, operation: dict[str, Any], body: dict[str, Any]
) -> str:
    parts = [f"curl -s {base_url}{path}" if "{" not in path else f'curl -s "{base_url}{path}"']
    if method == "delete":
        parts[0] += " -X DELETE"
    if "security" in operation:
        parts.append('-H "Authorization: Bearer $KEY"')
    if method == "post":
        if any(p["name"] == "Idempotency-Key" for p in operation.get("parameters", ())):
            parts.append("-H 'Idempotency-Key: order-1001'")
        sent = json.dumps(body["examples"][0] if body.get("examples") else {}, ensure_ascii=False)
        parts += ["-H 'Content-Type: application/json'", f"-d {shlex.quote(sent)}"]
    return " \\\n     ".join(parts)


def prose(text: str) -> Markup:
    """Paragraphs, `code` and **strong** of a docstring as HTML."""
    return Markup("").join(
        Markup("<p>{}</p>").format(_marked(part)) for part in text.strip().split("\n\n") if part
    )


def _marked(text: str) -> Markup:
    """`code` and **strong** of a line as HTML."""
    part = _CODE.sub(r"<code>\1</code>", str(escape(text)))
    # Safe: the text was escaped before its marks became tags.
    return Markup(_STRONG.sub(r"<strong>\1</strong>", part))  # noqa: S704  it is escaped
