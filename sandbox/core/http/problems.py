"""Every refusal as problem details (RFC 9457), with a stable `code` and the request's id."""

from collections.abc import Mapping
from contextlib import suppress
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from sqlalchemy.exc import DBAPIError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from sandbox.core import texts
from sandbox.core.db import is_disconnect, unavailable
from sandbox.core.errors import Retryable, SandboxError, retryable_by_status
from sandbox.core.texts import Language

log = structlog.get_logger()


def problem(
    request: Request,
    status: int,
    code: str,
    detail: str,
    values: Mapping[str, Any] | None = None,
    *,
    retryable: Retryable | None = None,
    param: str | None = None,
) -> JSONResponse:
    """A problem document. `values` are members of its own; none replaces what every one has.

    `detail` is English and for developers; `messages` holds what may be shown to anybody.
    """
    request_id: str = getattr(request.state, "request_id", "")
    values = values or {}
    body: dict[str, Any] = {
        "type": f"urn:kzte-sandbox:problem:{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "instance": request.url.path,
        "code": code,
        "param": param,
        "retryable": retryable_by_status(status) if retryable is None else retryable,
        "messages": messages(code, status, values),
        "request_id": request_id,
        "request_log_url": f"/v1/request_logs/{request_id}",
        "doc_url": f"/docs/errors#{code}",
    }
    body |= {name: value for name, value in values.items() if name not in body}
    # The answer of a bug is made outside of `RequestIdMiddleware`.
    headers = {**_answer_headers(request)} if status == 500 else {}
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if status in (429, 503):
        headers["Retry-After"] = str(values.get("retry_after_s", 1))
    return JSONResponse(body, status, headers, media_type="application/problem+json")


def _answer_headers(request: Request) -> dict[str, str]:
    found: dict[str, str] = getattr(request.state, "answer_headers", {})
    return found


def messages(code: str, status: int, values: Mapping[str, Any]) -> dict[Language, str]:
    """What is said of `code` in each language, or of its status where it has no text of its own.

    A test holds that every refusal has one; an answer does not fail for the lack of it.
    """
    for key in (code, "bad_request" if status < 500 else "internal_error"):
        with suppress(texts.TextMissing):
            return texts.each("errors", key, values)
    raise AssertionError("the catalogs lack what is said of any refusal")


def refusal(request: Request, error: SandboxError) -> JSONResponse:
    """The problem document of a named refusal."""
    return problem(
        request,
        error.status,
        error.code,
        error.detail,
        error.values,
        retryable=error.retryable,
        param=_at_fault(request, error),
    )


def _at_fault(request: Request, error: SandboxError) -> str | None:
    """JSON pointer to the one field that the refusal is about, if the route takes it."""
    named = error.values.get("errors")
    if isinstance(named, list) and len(named) == 1:
        return str(named[0]["param"])
    taken = _taken(request)
    for field in error.at_fault():
        if field.startswith("/"):
            return field
        if field in taken:
            return f"/{taken[field]}/{field}"
    return None


def _taken(request: Request) -> dict[str, str]:
    """Where the route of this request takes which fields."""
    route = request.scope.get("route")
    if not isinstance(route, APIRoute):
        return {}
    where = dict.fromkeys(request.path_params, "path")
    where |= dict.fromkeys((one.alias for one in route.dependant.query_params), "query")
    for body in route.dependant.body_params:
        where |= dict.fromkeys(getattr(body.field_info.annotation, "model_fields", ()), "body")
    return where


def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
    """What does not fit the schema: 422, each field by JSON pointer; the input is not echoed."""
    errors = [
        {"param": "/" + "/".join(map(_step, item["loc"])), "message": item["msg"]}
        for item in error.errors()
    ]
    return problem(
        request,
        422,
        "invalid_request",
        "the request does not fit the schema",
        {"errors": errors},
        param=errors[0]["param"] if len(errors) == 1 else None,
    )


def _step(part: object) -> str:
    return str(part).replace("~", "~0").replace("/", "~1")  # RFC 6901, section 3


def install(app: FastAPI) -> None:
    """Make `app` answer every refusal and every bug as problem details."""

    async def on_refusal(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, SandboxError)
        return refusal(request, error)

    async def on_invalid(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        return invalid(request, error)

    async def on_http(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        code = HTTPStatus(error.status_code).phrase.lower().replace(" ", "_").replace("-", "_")
        return problem(request, error.status_code, code, str(error.detail))

    async def on_gone(request: Request, error: Exception) -> JSONResponse:
        # Nobody gets it but the request log: who sent half a body has left.
        why = "the connection was closed before the whole body had come"
        return problem(request, 400, "bad_request", why)

    async def on_bug(request: Request, error: Exception) -> JSONResponse:
        if isinstance(error, DBAPIError | OSError) and is_disconnect(error):
            return refusal(request, unavailable(error))
        id_ = getattr(request.state, "request_id", None)
        log.error("unhandled", path=request.url.path, error=repr(error), request_id=id_)
        return problem(request, 500, "internal_error", "this is a bug of the sandbox; see its log")

    app.add_exception_handler(SandboxError, on_refusal)
    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(ClientDisconnect, on_gone)
    app.add_exception_handler(DBAPIError, on_bug)
    app.add_exception_handler(Exception, on_bug)
