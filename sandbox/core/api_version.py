"""The dated versions of the API: one is pinned per key and per webhook endpoint."""

from typing import Final

VERSIONS: Final = ("2026-11-21",)
"""Every version that is still spoken, oldest first."""

CURRENT: Final = VERSIONS[-1]
