"""The data directory: its version, the lock of the one supervisor on it, and its small files."""

import contextlib
import fcntl
import json
import os
import secrets
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from sandbox.devnets.errors import DevnetError
from sandbox.devnets.processes import Process

VERSION: Final = "1"
_LOCK: Final = "supervisor.lock"
_ENDPOINTS: Final = "endpoints.json"


class OtherVersion(DevnetError):
    code = "data_of_another_version"

    def __init__(self, data_dir: Path, found: str) -> None:
        self.found = found
        super().__init__(
            f"{data_dir} holds data of version {found!r}, this sandbox reads version {VERSION}",
            f"move {data_dir} away to begin anew, or use the sandbox that made it",
        )


class NotADataDir(DevnetError):
    code = "not_a_data_dir"

    def __init__(self, data_dir: Path, why: str) -> None:
        super().__init__(
            f"{data_dir} cannot be a data directory: {why}",
            "give --data-dir a new or an empty folder that you may write to",
        )


class AlreadyUp(DevnetError):
    code = "already_up"

    def __init__(self, data_dir: Path, pid: int | None) -> None:
        self.pid = pid
        super().__init__(
            f"a sandbox already runs on {data_dir} (pid {pid or 'not known yet'})",
            f"use it, stop it with `sandbox down --data-dir {data_dir}`, "
            "or give this one another --data-dir",
        )


def nearest(data_dir: Path) -> Path:
    """The data directory, or else the nearest parent that there is, as far as one may look."""
    return next(path for path in (data_dir, *data_dir.parents) if os.path.exists(path))


def check_usable(data_dir: Path) -> None:
    """Say what `open_data_dir` would say, and make nothing. Raises OtherVersion, NotADataDir."""
    found = nearest(data_dir)
    try:
        data_dir.lstat()
        if found != data_dir:
            raise NotADataDir(data_dir, "it is a link to nothing")
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:
        raise NotADataDir(data_dir, str(error)) from None
    if not found.is_dir():
        raise NotADataDir(data_dir, f"{found} is not a folder")
    if not os.access(found, os.R_OK | os.W_OK | os.X_OK):
        raise NotADataDir(data_dir, f"you may not write to {found}")
    # Root may write to /proc and /sys, but they hold no files.
    if os.statvfs(found).f_blocks == 0:
        raise NotADataDir(data_dir, f"nothing can be kept at {found}")
    if found != data_dir:
        return
    try:
        version = _version(data_dir)
    except (OSError, ValueError) as error:
        raise NotADataDir(data_dir, str(error)) from None
    if version is not None and version != VERSION:
        raise OtherVersion(data_dir, version)


def has_data(data_dir: Path) -> bool:
    """Whether a sandbox was ever started there. Raises NotADataDir when one may not look."""
    try:
        return (data_dir / "version").exists()
    except OSError as error:
        raise NotADataDir(data_dir, str(error)) from None


def _version(data_dir: Path) -> str | None:
    """The version that a folder says it has; None of an empty one. Raises NotADataDir, OSError."""
    file = data_dir / "version"
    if file.exists():
        return file.read_text().strip()
    # `version.*` is another first start that is at this very point.
    if any(not entry.name.startswith("version") for entry in data_dir.iterdir()):
        raise NotADataDir(data_dir, "it has content but no version file")
    return None


def open_data_dir(data_dir: Path) -> Path:
    """Make or check the data directory and answer its absolute path.

    Raises OtherVersion, NotADataDir. A folder with other content is left as it is.
    """
    data_dir = data_dir.absolute()
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = _version(data_dir)
        if found is None:
            write_private(data_dir / "version", VERSION + "\n")
            found = _version(data_dir)
        if found != VERSION:
            raise OtherVersion(data_dir, str(found))
        (data_dir / "logs").mkdir(mode=0o700, exist_ok=True)
    except (OSError, ValueError) as error:
        raise NotADataDir(data_dir, str(error)) from None
    return data_dir


@contextlib.contextmanager
def held(data_dir: Path) -> Iterator[None]:
    """Be the one supervisor of this directory; raises AlreadyUp.

    The kernel drops the lock of a killed holder, so that no lock is ever stale; pid and start in
    the file are for `holder`.
    """
    # Never unlinked: whoever opened the old file would hold a lock on nothing.
    try:
        descriptor = os.open(data_dir / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise NotADataDir(data_dir, str(error)) from None
    with open(descriptor, "r+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            first = holder(data_dir)
            raise AlreadyUp(data_dir, first.pid if first else None) from None
        me = Process.of(os.getpid())
        assert me is not None
        # Here and not before: PostgreSQL as uid 65534 opens the way to its own folder again.
        data_dir.chmod(0o700)
        _rewrite(file, json.dumps(asdict(me)))
        try:
            yield
        finally:
            _rewrite(file, "")


def _rewrite(file: Any, text: str) -> None:
    file.seek(0)
    file.truncate()
    file.write(text)
    file.flush()


def holder(data_dir: Path) -> Process | None:
    """The live supervisor of this directory. Raises NotADataDir when one may not look."""
    process = Process.read(_read(data_dir, _LOCK))
    return process if process and process.alive() else None


def write_endpoints(data_dir: Path, endpoints: Mapping[str, Any]) -> Path:
    """Say where everything answers; the file holds keys, hence mode 0600."""
    path = data_dir / _ENDPOINTS
    write_private(path, json.dumps(endpoints, indent=1) + "\n")
    return path


def read_endpoints(data_dir: Path) -> dict[str, Any] | None:
    """What `write_endpoints` wrote; None while the sandbox is not up. Raises NotADataDir."""
    found = _read(data_dir, _ENDPOINTS)
    return found if isinstance(found, dict) else None


def remove_endpoints(data_dir: Path) -> None:
    (data_dir / _ENDPOINTS).unlink(missing_ok=True)


def mark_sealing(data_dir: Path, epoch: int) -> None:
    """Say that the log of this epoch is about to be left: its files are not whole yet."""
    logs = data_dir / "log"
    logs.mkdir(mode=0o700, exist_ok=True)
    (logs / f"e{epoch}.sealing").touch(mode=0o600)


def is_sealed(data_dir: Path, epoch: int) -> bool:
    """Whether the files of this epoch's log are there: the folder appears when they are whole."""
    return (data_dir / "log" / f"e{epoch}").is_dir()


def unmark_sealing_but(data_dir: Path, epochs: Collection[int]) -> None:
    """Only these epochs are still to be sealed."""
    for marker in (data_dir / "log").glob("e*.sealing"):
        if marker.stem not in {f"e{epoch}" for epoch in epochs}:
            marker.unlink(missing_ok=True)


def write_private(path: Path, text: str) -> None:
    """Replace a file whole, mode 0600: a reader sees the old text or the new, never a part."""
    fresh = path.with_name(f"{path.name}.{secrets.token_hex(4)}.new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def read_json(path: Path) -> Any:
    """None when there is no such file or it holds no JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None


def _read(data_dir: Path, name: str) -> Any:
    try:
        return read_json(data_dir / name)
    except OSError as error:
        raise NotADataDir(data_dir, str(error)) from None
