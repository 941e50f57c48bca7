"""I8, the lab's part: faucet grants are as the log tells them."""

from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.core.checks import Check, no_faults
from sandbox.eventlog.told import Told, moment

_GRANTS = Told(
    "faucet_grant",
    ("faucet.%",),
    {
        "chain": "r.chain",
        "address": "r.address",
        "amount_tiyn": "r.amount_tiyn",
        "status": "r.status",
        "tx": "r.tx",
        "reason": "r.reason",
        "created_at": moment("created_at"),
    },
    rows="r.status <> 'pending'",
)


async def grants_as_told(db: AsyncSession) -> list[Check]:
    """I8: every grant that ended, as the log last told it."""
    return await no_faults(db, "I8", "faucet grants are as the log tells", _GRANTS.statement)
