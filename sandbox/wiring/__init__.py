"""Puts a world together: picks adapters from settings and hands the slices to one another.

The only place that knows every slice. `world` opens it, `background` is what goes on in it,
`checks` look it through, `web` is what the API has of it, and `told` what events tell of it.
"""

from sandbox.wiring.background import Loop, known_keys, loops
from sandbox.wiring.checks import audit_checks, reconciled_checks
from sandbox.wiring.told import TOLD
from sandbox.wiring.web import EXPANDERS, ROUTERS, app_state
from sandbox.wiring.world import World, open_world, prepare

__all__ = [
    "EXPANDERS",
    "ROUTERS",
    "TOLD",
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
