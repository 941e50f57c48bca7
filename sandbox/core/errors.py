"""The base of every named refusal. What has no name is a bug and stays a 500."""


class SandboxError(Exception):
    """A refusal with a stable code, an HTTP status and the values that explain it.

    Subclasses set `status` and `code`; `values` become extra members of the problem
    document (RFC 9457, section 3.2), so they never hold secrets.
    """

    status = 400
    code = "bad_request"

    def __init__(self, detail: str, **values: object) -> None:
        super().__init__(detail)
        self.detail = detail
        self.values = values


class NotFound(SandboxError):
    """The object does not exist, or is somebody else's: the answer is the same for both."""

    status, code = 404, "not_found"

    def __init__(self, kind: str, id_: str) -> None:
        super().__init__(f"no {kind} {id_}", kind=kind, id=id_)


class Unavailable(SandboxError):
    """A part the sandbox depends on does not answer; the same request may be sent again."""

    status, code = 503, "unavailable"

    def __init__(self, part: str) -> None:
        super().__init__(f"{part} does not answer; try again", part=part, retryable=True)
