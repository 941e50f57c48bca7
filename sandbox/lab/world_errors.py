"""What commands on worlds refuse by name (CONTRACT 7)."""

from pathlib import Path
from typing import Final

from sandbox.core.errors import SandboxError

INITIAL: Final = "initial"
"""The snapshot that is made when a world is ready for the first time; `reset` goes back to it."""


class BadSnapshotName(SandboxError):
    status, code = 422, "bad_snapshot_name"

    def __init__(self) -> None:
        super().__init__(
            "a snapshot's name is 1 to 64 letters, digits, - and _, and begins with neither"
        )


class SnapshotExists(SandboxError):
    status, code = 409, "snapshot_exists"

    def __init__(self, name: str) -> None:
        super().__init__(f"there is a snapshot {name} already: delete it first", name=name)


class SnapshotKept(SandboxError):
    """`reset` needs it."""

    status, code = 409, "snapshot_kept"

    def __init__(self) -> None:
        super().__init__(f"the snapshot {INITIAL} stays: `reset` goes back to it", name=INITIAL)


class SnapshotDamaged(SandboxError):
    """A chain has no copy of that name any more: somebody deleted it there."""

    status, code = 409, "snapshot_damaged"

    def __init__(self, name: str) -> None:
        super().__init__(f"a chain has lost its part of the snapshot {name}", name=name)


class TooManySnapshots(SandboxError):
    status, code = 409, "too_many_snapshots"

    def __init__(self, most: int) -> None:
        super().__init__(f"there are {most} snapshots already: delete one", most=most)


class NoRoom(SandboxError):
    """The disk would be full in the middle of it; nothing has changed."""

    status, code = 507, "no_room"

    def __init__(self, needed: int, free: int) -> None:
        super().__init__(
            f"this needs {needed // 1_000_000} MB of disk, {free // 1_000_000} MB are free",
            needed_bytes=needed,
            free_bytes=free,
        )


class NoRoomOnTheWay(NoRoom):
    """A part found the disk full in the middle of it; nothing has changed."""

    def __init__(self, why: str) -> None:
        SandboxError.__init__(self, f"the disk was full in the middle of it: {why}")


class WorldCommandUnderWay(SandboxError):
    """One at a time."""

    status, code = 409, "world_command_under_way"
    again = True

    def __init__(self, what: str) -> None:
        super().__init__(f"a {what} is under way", command=what, retryable=True)


class WorldNotReady(SandboxError):
    """A part that has to be asked is starting."""

    status, code = 503, "world_not_ready"

    def __init__(self, part: str) -> None:
        super().__init__(f"no {part} runs at this moment", part=part, retryable=True)


class WorldNotChanged(SandboxError):
    """Something failed before the point of no return: the world is as it was."""

    status, code = 503, "world_not_changed"

    def __init__(self, why: str) -> None:
        super().__init__(f"the world is as it was: {why}", retryable=True)


class WorldUnfinished(SandboxError):
    """Something failed behind the point of no return; the next start goes on with it."""

    status, code = 503, "world_unfinished"

    def __init__(self, why: str) -> None:
        super().__init__(
            f"the restore cannot be finished now ({why}): the next `sandbox up` goes on with it"
        )


class ForkOutside(SandboxError):
    """Who has a key of the API writes nowhere but where `sandbox up` said."""

    status, code = 403, "fork_outside"

    def __init__(self, asked: str, forks_dir: Path) -> None:
        super().__init__(
            f"a fork is a folder directly below {forks_dir}: give its name alone, begin it with no"
            " dot, or let `sandbox fork` write elsewhere",
            data_dir=asked,
            forks_dir=str(forks_dir),
        )


class BadForkTarget(SandboxError):
    """A fork wants a folder of its own."""

    status, code = 409, "bad_fork_target"

    def __init__(self, data_dir: Path, why: str) -> None:
        super().__init__(f"{data_dir} {why}", data_dir=str(data_dir))
