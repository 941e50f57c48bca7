"""A running sandbox as commands see it: `endpoints.json`, and its API with the right key."""

import os
import re
import secrets
import time
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

import httpx2

from sandbox.core.errors import SandboxError
from sandbox.devnets import datadir

JsonObject = dict[str, Any]
RECORDER = "SANDBOX_RECORDER"
"""The variable that tells commands within `sandbox record` where the recorder listens."""
Role = Literal["operator", "issuer", "regulator", "merchant"]
Query = str | int | list[str]
Found = TypeVar("Found")
_PATH = re.compile(r"(/(?!\.{1,2}(/|$))[A-Za-z0-9_.-]+)+")


class NotRunning(SandboxError):
    """No sandbox is up on this data directory."""

    code = "not_running"

    def __init__(self, data_dir: Path) -> None:
        super().__init__(
            f"no sandbox runs on {data_dir}: start one with `sandbox up --data-dir {data_dir}`"
        )


class ApiError(SandboxError):
    """The API refused; its own words are passed on, with what was probably meant."""

    def __init__(self, problem: JsonObject, sent: JsonObject | None = None) -> None:
        said = [f"{problem.get('code')}: {problem.get('detail')}"]
        said += [f"{one['param']}: {one['message']}" for one in problem.get("errors", ())]
        hint = _hint(problem.get("known"), sent or {})
        if hint not in said[0]:
            said.append(hint)
        super().__init__("; ".join(said))
        self.problem = problem
        self.code = str(problem.get("code"))
        self.status = int(problem.get("status", 500))


def _problem(answer: httpx2.Response) -> JsonObject:
    """The refusal; of what answers otherwise than the API does, its status."""
    try:
        found: JsonObject = answer.json()
    except ValueError:
        detail = f"{answer.url} answers {answer.status_code} without JSON: is it a sandbox?"
        return {"code": "no_problem_details", "detail": detail, "status": answer.status_code}
    return found


class NotAnId(SandboxError):
    """What was given as an id would lead to another route, or to none."""

    code = "not_an_id"

    def __init__(self, path: str) -> None:
        super().__init__(
            f"nothing has the path {path!r}: an id or a name has letters, digits, - _ and . only"
        )


def _hint(known: Any, sent: JsonObject) -> str:
    """Of the names that there are, those like one that was sent; all when none is."""
    if not isinstance(known, list) or not all(isinstance(one, str) for one in known):
        return ""
    wrong = [value for value in sent.values() if isinstance(value, str) and value not in known]
    near = [name for value in wrong for name in get_close_matches(value, known, 3, 0.7)]
    return f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(known)}"


class NoAnswer(SandboxError):
    """`endpoints.json` is there but nobody listens: the sandbox was killed, or still starts."""

    code = "no_answer"

    def __init__(self, url: str) -> None:
        super().__init__(f"the sandbox does not answer at {url}: try again in a moment")


class GaveUp(SandboxError):
    """What was waited for did not happen in time."""

    code = "gave_up_waiting"

    def __init__(self, what: str, seconds: float) -> None:
        super().__init__(f"waited {seconds:.0f} s for {what}; see the logs in the data directory")


class Running:
    """The endpoints of a running sandbox, and calls to its API."""

    def __init__(self, endpoints: JsonObject) -> None:
        self.endpoints = endpoints
        # Longer than the audit's patience with itself.
        self._http = httpx2.Client(
            base_url=endpoints["api"], timeout=httpx2.Timeout(330, connect=5)
        )

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    @classmethod
    def of(cls, data_dir: Path) -> Self:
        """The sandbox of this data directory. Raises `NotRunning`.

        Within `sandbox record` its API is asked through the recorder.
        A killed supervisor leaves its file behind, with ports that may be anybody's by now.
        """
        try:
            endpoints = datadir.read_endpoints(data_dir)
            if endpoints is None or datadir.holder(data_dir) is None:
                raise NotRunning(data_dir)
        except OSError:
            raise NotRunning(data_dir) from None
        return cls({**endpoints, "api": os.environ.get(RECORDER, endpoints["api"])})

    @classmethod
    def for_caller(cls, data_dir: Path, key: str | None) -> Self:
        """The sandbox of this directory, with `key` as the merchant's. Raises `NotRunning`."""
        running = cls.of(data_dir)
        if key is None:
            return running
        running.close()
        return running.as_merchant(key)

    def as_merchant(self, key: str) -> Self:
        """The same sandbox, where `merchant` is whoever has this key."""
        return type(self)({**self.endpoints, "keys": {**self.endpoints["keys"], "merchant": key}})

    def key(self, role: Role) -> str:
        """The seeded key of a role."""
        found: str = self.endpoints["keys"][role]
        return found

    def get(self, path: str, role: Role = "operator", /, **query: Query) -> Any:
        """What the API answers to GET. Raises `ApiError`, `NoAnswer`, `GaveUp`."""
        return self._call("GET", path, role, params=query)

    def post(self, path: str, body: JsonObject, role: Role = "operator") -> Any:
        """What the API answers to POST. Raises `ApiError`, `NoAnswer`, `GaveUp`."""
        return self._call("POST", path, role, json=body)

    def delete(self, path: str, role: Role = "operator") -> Any:
        """What the API answers to DELETE. Raises `ApiError`, `NoAnswer`, `GaveUp`."""
        return self._call("DELETE", path, role)

    def text(self, path: str, role: Role = "operator", /, **query: str | int) -> str:
        """The same for a route that answers text."""
        answer: str = self._asked("GET", path, role, params=query).text
        return answer

    def _call(self, method: str, path: str, role: Role, **options: Any) -> Any:
        return self._asked(method, path, role, **options).json()

    def _asked(self, method: str, path: str, role: Role, **options: Any) -> httpx2.Response:
        if not _PATH.fullmatch(path):
            raise NotAnId(path)
        headers = {
            "Authorization": f"Bearer {self.key(role)}",
            "Idempotency-Key": secrets.token_urlsafe(24),
        }
        try:
            answer = self._http.request(method, path, headers=headers, **options)
        except httpx2.ConnectError:
            raise NoAnswer(self.endpoints["api"]) from None
        except httpx2.TransportError as error:
            raise GaveUp(f"{self.endpoints['api']} ({error})", 0) from None
        if answer.is_error:
            raise ApiError(_problem(answer), options.get("json"))
        return answer

    def advance(self, seconds: int) -> JsonObject:
        """Move the sandbox clock forward."""
        moved: JsonObject = self.post("/v1/sandbox/clock", {"advance_s": seconds})
        return moved

    def quiesce(self, timeout_s: int = 60) -> JsonObject:
        """Wait until nothing is pending."""
        quiet: JsonObject = self.post("/v1/sandbox/quiesce", {"timeout_s": timeout_s})
        return quiet


def wait_for(
    what: str, look: Callable[[], Found], done: Callable[[Found], bool], timeout_s: float = 60
) -> Found:
    """Look again and again until `done`; raises `GaveUp`."""
    deadline = time.monotonic() + timeout_s
    while not done(found := look()):
        if time.monotonic() > deadline:
            raise GaveUp(what, timeout_s)
        time.sleep(0.05)
    return found
