"""I8, the parties' part: merchants are who and what the log says they are."""

from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.core.checks import Check, no_faults
from sandbox.eventlog.told import Told, as_told, moment

_MERCHANTS = Told(
    "merchant",
    ("merchant.created", "merchant.updated", "merchant.status_changed"),
    {
        "knp": "r.knp",
        "kbe": "r.kbe",
        "fee_bps": "r.fee_bps",
        "confirm_policy": "r.confirm_policy",
        "settlement_mode": "r.settlement_mode",
        "split_bps": "r.split_bps",
        "cut_off": "r.cut_off",
        "status": "r.status",
        # What is older than these fields was told without them.
        "schedule": "CASE WHEN o.schedule IS NULL AND r.schedule = 'each_business_day' THEN NULL"
        " ELSE r.schedule END",
        "category": "r.category",
        "district": "r.district",
        "zone": "r.zone",
        "languages": "replace(nullif(r.languages, 'null')::text, ' ', '')",
        "wallets": "CASE WHEN coalesce(o.wallets::jsonb, '{}') = r.wallets THEN o.wallets"
        " ELSE r.wallets::text END",
        "refund_reserve_tiyn": "CASE WHEN o.refund_reserve_tiyn IS NULL"
        " AND r.refund_reserve_tiyn = 0 THEN NULL ELSE r.refund_reserve_tiyn END",
        "created_at": moment("created_at"),
    },
    private={
        "name": ("name",),
        "bin": ("bin",),
        "iban": ("iban",),
        "status_reason": ("status_reason",),
    },
)

_PLANS = Told(
    "fee_plan",
    ("merchant.fee_plan%",),
    {
        "fee_bps": "r.fee_bps",
        "fixed_tiyn": "r.fixed_tiyn",
        "minimum_tiyn": "r.minimum_tiyn",
        "from_at": moment("from_at"),
        "offered_at": moment("offered_at"),
        "consented_at": moment("consented_at"),
        "in_force_at": moment("in_force_at"),
    },
    key="r.merchant || ' ' || r.version",
    told_key="o.merchant || ' ' || o.version",
    fields=("merchant", "version"),
    # What was there before plans had versions is told by its merchant alone.
    rows="r.version > 1",
)
_TOLD = as_told(_MERCHANTS, _PLANS)


async def merchants_as_told(db: AsyncSession) -> list[Check]:
    """I8: terms and accounts of merchants as the log last told them."""
    return await no_faults(db, "I8", "merchants and plans are as the log tells", _TOLD)
