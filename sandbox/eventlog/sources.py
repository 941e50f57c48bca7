"""Where a verifier or an exporter reads a log from: a running sandbox, or a folder of files."""

import re
import time
from pathlib import Path
from typing import Final, Protocol

import httpx2

TIMEOUT_S = 30.0
MAX_FILE_BYTES = 256 * (2 + 65_535)
_OF_AN_EPOCH: Final = re.compile(r"e[0-9]+")
# An epoch that was left a moment ago is being written as files.
_SEALING_TRIES: Final = 150
_SEALING_PAUSE_S: Final = 0.2


class Unreadable(Exception):
    """The log could not be read there, which is not the same as a bad log."""


class Refused(Unreadable):
    """The log's owner does not show this to us."""


class Source(Protocol):
    def read(self, path: str) -> bytes | None:
        """The bytes of one resource of the log, None when there is none. Raises `Unreadable`."""

    def epoch(self, number: int) -> "Source | None":
        """The log of another epoch that is kept beside this one, None when there is none."""


class Folder:
    """The static files that `sandbox log export` writes."""

    def __init__(self, root: Path) -> None:
        self.root = root
        if not root.is_dir():
            raise Unreadable(f"no folder {root}")

    def epoch(self, number: int) -> "Folder | None":
        """Within the export of the epoch that lives, or beside the folder of a former one."""
        root = self.root.absolute()
        beside = [root.parent] if _OF_AN_EPOCH.fullmatch(root.name) else []
        for folder in (root, *beside):
            if (folder / f"e{number}").is_dir():
                return Folder(folder / f"e{number}")
        return None

    def read(self, path: str) -> bytes | None:
        try:
            return (self.root / path).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise Unreadable(f"{path}: {error}") from error


class Running:
    """A sandbox that answers HTTP; entries need the key of a regulator.

    The log of the world that lives, or of one epoch.
    """

    def __init__(
        self,
        url: str,
        api_key: str | None,
        client: httpx2.Client | None = None,
        *,
        epoch: int | None = None,
    ) -> None:
        self._url, self._key = url, api_key
        self._prefix = url.rstrip("/") + ("/log/" if epoch is None else f"/log/e{epoch}/")
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._client = client or httpx2.Client(timeout=TIMEOUT_S, trust_env=False)

    def epoch(self, number: int) -> "Running":
        return Running(self._url, self._key, self._client, epoch=number)

    def read(self, path: str) -> bytes | None:
        for _ in range(_SEALING_TRIES):
            answer = self._get(path)
            if answer.status_code != 503 or "epoch_being_sealed" not in answer.text:
                break
            time.sleep(_SEALING_PAUSE_S)
        if answer.status_code == 404:
            return None
        if answer.status_code in (401, 403):
            raise Refused(f"{self._prefix}{path} answers {answer.status_code}")
        if answer.status_code != 200:
            raise Unreadable(f"{self._prefix}{path} answers {answer.status_code}")
        if len(answer.content) > MAX_FILE_BYTES:
            raise Unreadable(f"{self._prefix}{path} is longer than any tile")
        return answer.content

    def _get(self, path: str) -> httpx2.Response:
        try:
            return self._client.get(self._prefix + path, headers=self._headers)
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise Unreadable(f"{self._prefix}{path}: {error!r}") from error

    def close(self) -> None:
        self._client.close()
