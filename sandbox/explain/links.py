"""Where an object is read, for whoever may read it."""

from sandbox.explain.paths import OBJECTS, PATHS
from sandbox.explain.words import Link

_NOT_FOR_MERCHANTS = ("ledger_entry", "deposit", "issuance", "redemption", "bridge_move")


def link(object_: str, id_: str, viewer: str | None) -> Link:
    """A link for a merchant (its id) or, None, for who sees everything."""
    if viewer is not None and object_ in _NOT_FOR_MERCHANTS:
        return Link(object_, id_, "")
    return Link(object_, id_, f"{PATHS[object_]}/{id_}")


def of_id(id_: str, viewer: str | None) -> Link | None:
    """The same for an id whose prefix says what it is."""
    object_ = OBJECTS.get(id_.partition("_")[0])
    return None if object_ is None else link(object_, id_, viewer)
