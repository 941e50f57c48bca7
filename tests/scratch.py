"""Where the folders of tests are: in memory, where there is plenty."""

import contextlib
import os
import tempfile
from pathlib import Path
from typing import Final

MEMORY: Final = Path("/dev/shm")
DISKS: Final = (MEMORY, Path("/var/tmp"), Path(__file__).parent)
_PLENTY_BYTES: Final = 8 << 30


def in_memory() -> None:
    """Let temporary folders of this process and its children be in memory, unless TMPDIR says
    where, or there is little of it.

    A database is a thousand files: on a disk, making and removing one for each test took most of
    the time of a run.
    """
    with contextlib.suppress(OSError):
        if not os.environ.get("TMPDIR") and os.access(MEMORY, os.W_OK):
            free = os.statvfs(MEMORY)
            if free.f_bavail * free.f_frsize >= _PLENTY_BYTES:
                os.environ["TMPDIR"] = str(MEMORY)
                tempfile.tempdir = None
