"""Which object an event is about, for whoever wants events of one object in order. Pure."""

from collections.abc import Mapping
from typing import Any

# A payment and a stray transfer go with their session; a refund with what is given back.
_LEADS = ("session", "payment", "stray_transfer", "settlement")


def subject_of(type_: str, data: Mapping[str, Any]) -> str:
    """The id that events of one object share; the type where there is no object."""
    if data.get("object") != "checkout_session":
        for name in _LEADS:
            if isinstance(found := data.get(name), str):
                return found
    own = data.get("id")
    return own if isinstance(own, str) else type_
