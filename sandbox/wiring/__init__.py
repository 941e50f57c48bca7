"""Puts a world together: picks adapters from settings and hands the slices to one another.

The only place that knows every slice. `world` opens it, `background` is what goes on in it,
`checks` look it through, and `web` is what the API has of it.
"""

from sandbox.wiring.background import Loop, known_keys, loops
from sandbox.wiring.checks import audit_checks, reconciled_checks
from sandbox.wiring.web import EXPANDERS, ROUTERS, app_state
from sandbox.wiring.world import World, open_world, prepare

__all__ = [
    "EXPANDERS",
    "ROUTERS",
    "Loop",
    "World",
    "app_state",
    "audit_checks",
    "known_keys",
    "loops",
    "open_world",
    "prepare",
    "reconciled_checks",
]
