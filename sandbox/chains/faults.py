"""A failure of the worker's own at a block: what halts a chain when it comes three times."""

from typing import Final

from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.core import switches

BLOCK_FAILED: Final = "worker.block_failed"

MEANINGS: Final = {
    BLOCK_FAILED: "N times the worker cannot handle a block with something in it; at the third"
    " time in a row at one block it halts: it follows the chain no further, and minting is off",
}


class BlockFailed(Exception):
    """The failure that was asked for."""

    def __init__(self) -> None:
        super().__init__(f"simulated: {BLOCK_FAILED}")


def switch_of(chain: str) -> str:
    """The name of the chain's own switch."""
    return f"{BLOCK_FAILED}:{chain}"


async def strikes(db: AsyncSession, chain: str) -> bool:
    """Whether the failure strikes now; it then counts as one of its times."""
    return bool(await switches.strike(db, switch_of(chain)))
