"""The seed of a world, kept beside it: a world made with one seed cannot go on with another."""

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.core import chance, clock
from sandbox.core.errors import SandboxError


class OtherSeed(SandboxError):
    """What there is was drawn from another seed, or from none."""

    status, code = 409, "other_seed"

    def __init__(self, there: int | None, asked: int | None) -> None:
        made = "without a seed" if there is None else f"with the seed {there}"
        wanted = "none" if asked is None else str(asked)
        super().__init__(
            f"this world was made {made}, not with {wanted}: start it as it was made, or choose"
            " an empty data directory"
        )


async def keep(db: AsyncSession, seed: int | None) -> None:
    """Let a new world be of `seed`, its clock standing at `chance.START`. Raises `OtherSeed`."""
    there = await db.scalar(text("SELECT value FROM seed"))
    if there == seed:
        return
    if there is not None or await db.scalar(text("SELECT count(*) FROM chain_deployment")):
        raise OtherSeed(there, seed)
    await db.execute(text("INSERT INTO seed (id, value) VALUES (1, :seed)"), {"seed": seed})
    await clock.stand(db, chance.START)
