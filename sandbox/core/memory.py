"""What long-lived processes do about garbage collection."""

import gc


def freeze() -> None:
    """Leave what is loaded by now out of every later collection, and let collections begin.

    The libraries alone are 200,000 objects: looking through them stopped everything for 0.1 s,
    again and again under load, and took a quarter of each start while they were loaded; the front
    doors disable it until they are. Some 3,000 of the objects are garbage, and stay.
    """
    gc.freeze()
    gc.enable()
