"""Runs one command that ends when its parent does, however that ends (Linux only).

Executed by path with `python -I -S`: it imports the standard library only.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main(args: list[str]) -> None:
    """`leash.py <parent pid> <command...>`."""
    parent, *command = args
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
    if os.getppid() != int(parent):  # it died before the signal was armed
        sys.exit(f"parent {parent} is gone")
    os.execvp(command[0], command)  # noqa: S606  a shell would stand between parent and child


if __name__ == "__main__":
    main(sys.argv[1:])
