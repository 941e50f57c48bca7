"""Every refusal as problem details (RFC 9457), with a stable `code` and the request's id."""

from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import DBAPIError
from starlette.exceptions import HTTPException

from sandbox.core.db import is_disconnect, unavailable
from sandbox.core.errors import SandboxError

log = structlog.get_logger()


def problem(
    request: Request, status: int, code: str, detail: str, values: dict[str, Any] | None = None
) -> JSONResponse:
    """A problem document: `type`, `title`, `status`, `detail`, `instance`, `code`, `request_id`."""
    request_id: str = getattr(request.state, "request_id", "")
    body = {
        "type": f"urn:kzte-sandbox:problem:{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "instance": request.url.path,
        "code": code,
        "request_id": request_id,
        **(values or {}),
    }
    # The answer of a bug is made outside of `RequestIdMiddleware`.
    headers = {"Request-Id": request_id} if status == 500 else {}
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if status == 503:
        headers["Retry-After"] = "1"
    return JSONResponse(body, status, headers, media_type="application/problem+json")


def refusal(request: Request, error: SandboxError) -> JSONResponse:
    """The problem document of a named refusal."""
    return problem(request, error.status, error.code, error.detail, error.values)


def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
    """What does not fit the schema: 422, each field by JSON pointer; the input is not echoed."""
    errors = [
        {"param": "/" + "/".join(str(part) for part in item["loc"]), "message": item["msg"]}
        for item in error.errors()
    ]
    return problem(
        request, 422, "invalid_request", "the request does not fit the schema", {"errors": errors}
    )


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

    async def on_bug(request: Request, error: Exception) -> JSONResponse:
        if isinstance(error, DBAPIError | OSError) and is_disconnect(error):
            return refusal(request, unavailable(error))
        id_ = getattr(request.state, "request_id", None)
        log.error("unhandled", path=request.url.path, error=repr(error), request_id=id_)
        return problem(request, 500, "internal_error", "this is a bug of the sandbox; see its log")

    app.add_exception_handler(SandboxError, on_refusal)
    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(DBAPIError, on_bug)
    app.add_exception_handler(Exception, on_bug)
