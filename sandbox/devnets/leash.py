"""Runs one command that must not outlive its parent, optionally without root's identity.

Executed by path with `python -I -S`, so it imports the standard library only. A wrapper instead of
`preexec_fn`, because a change of credentials clears the parent-death signal: it is set last here.
"""

import ctypes
import os
import signal
import sys

NOBODY = 65534
_CLONE_NEWUSER = 0x10000000
_PR_SET_PDEATHSIG = 1


def _libc_call(name: str, *args: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*args) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")


def _enter_namespace() -> None:
    """Become 65534 in a user namespace of its own; files written stay the caller's outside."""
    uid, gid = os.geteuid(), os.getegid()
    _libc_call("unshare", _CLONE_NEWUSER)
    for name, line in (
        ("setgroups", "deny"),
        ("uid_map", f"{NOBODY} {uid} 1"),
        ("gid_map", f"{NOBODY} {gid} 1"),
    ):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
            file.write(line)


def _become_nobody() -> None:
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)


def main(args: list[str]) -> None:
    """`leash.py <parent pid> <signal> same|namespace|nobody <command...>`."""
    parent, death_signal, identity, *command = args
    if identity == "namespace":
        _enter_namespace()
    elif identity == "nobody":
        _become_nobody()
    if sys.platform == "linux":
        _libc_call("prctl", _PR_SET_PDEATHSIG, int(signal.Signals[death_signal]), 0, 0, 0)
    if os.getppid() != int(parent):  # it died before the signal was armed
        sys.exit(f"leash: parent {parent} is gone")
    os.execvp(command[0], command)  # noqa: S606  a shell would stand between parent and child


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except OSError as error:
        sys.exit(f"leash: {error}")
