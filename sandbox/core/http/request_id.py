"""A `Request-Id` on every response, in every log line and in every problem document.

What else an answer shall say whatever it is, a refusal too, lies in `request.state.answer_headers`.
"""

import secrets

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sandbox.core.log import caused_by


def say(request: Request, name: str, text: str) -> None:
    """Put a header on the answer of this request, whatever it will be."""
    state = request.scope.setdefault("state", {})
    state.setdefault("answer_headers", {})[name] = text


class RequestIdMiddleware:
    """Plain ASGI, so that streams pass through untouched."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = f"req_{secrets.token_hex(12)}"
        more: dict[str, str] = {"Request-Id": request_id}
        scope.setdefault("state", {}).update(request_id=request_id, answer_headers=more)

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    *message["headers"],
                    *((name.lower().encode(), text.encode()) for name, text in more.items()),
                ]
            await send(message)

        with caused_by(request_id):
            await self.app(scope, receive, send_with_id)
