"""Named failures of the local machinery: what went wrong and what the user can do about it."""


class DevnetError(Exception):
    """A part of the stack cannot run; `code` is stable, `remedy` is an instruction to the user."""

    code = "devnet_failed"

    def __init__(self, message: str, remedy: str) -> None:
        self.message, self.remedy = message, remedy
        super().__init__(f"{message} ({remedy})")
