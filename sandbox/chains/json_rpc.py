"""JSON-RPC to a chain's node over one kept-alive HTTP client: single calls and batches.

Answers stay raw: the packages of both chains parse them into models that nothing here needs.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

import httpx2
import orjson

from sandbox.chains.port import ChainUnavailable

TIMEOUT_S = 10.0
# Below what servers grant an idle connection (uvicorn: 5 s), so that ours is never the stale one.
KEEPALIVE_S = 4.0
METHOD_NOT_FOUND, INVALID_PARAMS = -32601, -32602

Call = tuple[str, list[Any]]


class NodeRefused(Exception):
    """The node understood and said no."""

    def __init__(self, method: str, code: int, message: str, data: Any = None) -> None:
        self.method, self.code, self.message, self.data = method, code, message, data
        super().__init__(f"{method}: {code} {message}")


class JsonRpc:
    """A node at `url`. Every failure to get an answer is `ChainUnavailable`.

    `passing`: codes of errors that asking again may mend; `max_batch`: calls of one request.
    """

    passing: ClassVar[frozenset[int]]
    max_batch: ClassVar[int]

    def __init__(self, url: str, part: str, *, timeout_s: float = TIMEOUT_S) -> None:
        self.url, self._part = url, part
        self._client = httpx2.AsyncClient(
            timeout=timeout_s,
            trust_env=False,  # a proxy for the outside has no business with a node of ours
            verify=url.startswith("https:"),
            headers={"Content-Type": "application/json"},
            limits=httpx2.Limits(max_connections=16, keepalive_expiry=KEEPALIVE_S),
        )

    async def call(self, method: str, *params: Any) -> Any:
        """One call. Raises `NodeRefused` for an error that asking again does not mend."""
        answer = await self._post(_request(0, method, params))
        return self._result(method, answer)

    async def batch(self, calls: Sequence[Call], *, size: int | None = None) -> list[Any]:
        """Many calls in requests of `size` at most; the results in the order of `calls`."""
        results: list[Any] = []
        for answers, part in await self._answers(calls, size or self.max_batch):
            for (method, _), answer in zip(part, answers, strict=True):
                results.append(self._result(method, answer))
        return results

    async def attempt(self, calls: Sequence[Call]) -> list[NodeRefused | None]:
        """Many calls, of each only whether the node refused it."""
        refused: list[NodeRefused | None] = []
        for answers, part in await self._answers(calls, self.max_batch):
            for (method, _), answer in zip(part, answers, strict=True):
                try:
                    self._result(method, answer)
                    refused.append(None)
                except NodeRefused as error:
                    refused.append(error)
        return refused

    async def aclose(self) -> None:
        await self._client.aclose()

    async def _post(self, body: Any) -> Any:
        try:
            response = await self._client.post(self.url, content=orjson.dumps(body))
            if response.status_code != 200:
                raise ChainUnavailable(self._part)
            return orjson.loads(response.content)
        except (httpx2.HTTPError, OSError, orjson.JSONDecodeError) as error:
            raise ChainUnavailable(self._part) from error

    async def _answers(
        self, calls: Sequence[Call], size: int
    ) -> list[tuple[list[Any], Sequence[Call]]]:
        found = []
        for first in range(0, len(calls), size):
            part = calls[first : first + size]
            body = [_request(n, method, params) for n, (method, params) in enumerate(part)]
            answers = await self._post(body)
            if not isinstance(answers, list) or len(answers) != len(part):
                raise ChainUnavailable(self._part)
            by_id = {answer.get("id"): answer for answer in answers if isinstance(answer, dict)}
            found.append(([by_id.get(n) for n in range(len(part))], part))
        return found

    def _result(self, method: str, answer: Any) -> Any:
        if not isinstance(answer, dict):
            raise ChainUnavailable(self._part)
        if (error := answer.get("error")) is not None:
            code, message = error.get("code", 0), str(error.get("message", ""))
            if code in self.passing:
                raise ChainUnavailable(self._part)
            raise NodeRefused(method, code, message, error.get("data"))
        if "result" not in answer:
            raise ChainUnavailable(self._part)
        return answer["result"]


def _request(id_: int, method: str, params: Sequence[Any]) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": id_, "method": method, "params": list(params)}
