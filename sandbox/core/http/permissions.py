"""What a restricted key may do: `<resource>:read` or `<resource>:write`, below its role.

A resource is the first part of an address after `/v1`: `payments:read`, `checkout:write`. Writing
includes reading; `*` stands for every resource. A key without a list may do all its role may.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final

from sandbox.core.errors import SandboxError
from sandbox.core.http.roles import RULES

EVERYTHING: Final = "*"


def resource_of(path: str) -> str:
    """The resource of a route's template."""
    return path.removeprefix("/v1").split("/")[1].partition(".")[0]


@lru_cache(512)
def needed(method: str, path: str) -> str:
    """The permission that a call of this route takes."""
    act = "read" if method in ("GET", "HEAD") else "write"
    return f"{resource_of(path)}:{act}"


KNOWN: Final = [
    f"{EVERYTHING}:read",
    f"{EVERYTHING}:write",
    *sorted(
        {
            needed(method, path)
            for (method, path), rule in RULES.items()
            if "public" not in rule and "{" not in resource_of(path)
        }
    ),
]
"""Every permission that some route takes."""


class PermissionUnknown(SandboxError):
    """No permission has this name."""

    status, code = 422, "permission_unknown"
    fields = ("permissions",)

    def __init__(self, unknown: list[str]) -> None:
        super().__init__(f"no permission {', '.join(unknown)}", unknown=unknown, known=KNOWN)


class PermissionNotGrantable(SandboxError):
    """A key hands out no permission that it lacks, and none for longer than it lives itself."""

    status, code = 403, "permission_not_grantable"
    fields = ("permissions",)

    def __init__(self, missing: list[str]) -> None:
        super().__init__(f"the key that asks lacks {', '.join(missing)}", missing=missing)


class PermissionMissing(SandboxError):
    """The key's role may call this route; the key itself was restricted to less."""

    status, code = 403, "permission_missing"

    def __init__(self, permission: str, key: str) -> None:
        super().__init__(
            f"this key is restricted and lacks {permission}", permission=permission, key=key
        )


def allows(held: Sequence[str] | None, permission: str) -> bool:
    """Whether a key with these permissions has this one; None is a key without restrictions."""
    if held is None or permission in held:
        return True
    resource, act = permission.split(":")
    wider = {f"{EVERYTHING}:{act}", f"{EVERYTHING}:write", f"{resource}:write"}
    return not wider.isdisjoint(held)


def missing(asked: Iterable[str] | None, held: Sequence[str] | None) -> list[str]:
    """What a key that holds `held` cannot hand out of what is `asked`; None asks for everything."""
    wanted = [f"{EVERYTHING}:write"] if asked is None else asked
    return [one for one in wanted if not allows(held, one)]


def known(asked: Iterable[str]) -> list[str]:
    """The permissions, each once, in one order. Raises `PermissionUnknown`."""
    found = sorted(set(asked))
    unknown = [one for one in found if one not in KNOWN]
    if unknown:
        raise PermissionUnknown(unknown)
    return found
