"""Calls with random arguments, now and then with bytes that no library would send."""

import random
from collections.abc import Mapping, Sequence
from typing import Any

from tests.contracts.evm.calls import Contract, types
from tests.contracts.evm.world import MAX

AMOUNTS = (0, 1, 9, 100, MAX)


def random_call(
    chance: random.Random, target: Contract, known: Mapping[str, Sequence[Any]]
) -> tuple[str, bytes]:
    """The name of a function of `target`, and calldata for it; `known` has values by type."""
    entry = chance.choice([e for e in target.abi if e["type"] == "function"])
    values: list[Any] = []
    for kind in types(entry["inputs"]):
        if kind.endswith("[]"):
            values.append(chance.choices(known[kind[:-2]], k=chance.randrange(4)))
        else:
            values.append(chance.choice(known.get(kind, AMOUNTS)))
    data = target.calldata(entry["name"], *values)
    if chance.random() < 0.1:
        data = data[: chance.randrange(len(data))] + chance.randbytes(chance.randrange(40))
    return entry["name"], data
