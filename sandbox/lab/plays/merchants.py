"""Merchants: they sign up, change their terms and keys, and are suspended."""

from collections.abc import Mapping
from typing import Final

from sandbox.core import chance
from sandbox.lab.stage import Play, Stage
from sandbox.parties import keys, numbers, plans
from sandbox.parties import seed as parties_seed
from sandbox.parties import service as parties

OVERLAP_S: Final = 60


async def sign_up(stage: Stage) -> str:
    """The id of a merchant of its own."""
    async with stage.database.transaction() as db:
        made = await parties.create_merchant(
            db,
            name="A triggered shop",
            tax_number=_tax_number(),
            account_iban=parties_seed.CAFE_IBAN,
            knp=parties_seed.GOODS_AND_SERVICES_KNP,
            kbe=parties_seed.PRIVATE_FIRM_KBE,
        )
    stage.say(f"signed up {made.id}")
    return made.id


def _tax_number() -> str:
    """A BIN that nobody has: its serial is drawn, its check digit fits."""
    while True:
        eleven = f"260340{int.from_bytes(chance.token_bytes(8)) % 100_000:05d}"
        digit = numbers.check_digit(eleven)
        if digit is not None:
            return f"{eleven}{digit}"


async def _merchant(stage: Stage) -> None:
    await sign_up(stage)


async def _merchant_suspended(stage: Stage) -> None:
    merchant_id = await sign_up(stage)
    async with stage.database.transaction() as db:
        await parties.set_status(db, merchant_id, "suspended", "a triggered suspension")
    stage.say(f"suspended {merchant_id}")


async def _merchant_terms(stage: Stage) -> None:
    merchant_id = await sign_up(stage)
    async with stage.database.transaction() as db:
        await parties.update_merchant(db, merchant_id, {"cut_off": "15:00"})
    async with stage.database.transaction() as db:
        plan = await plans.offer(
            db, merchant_id, fee_bps=50, fixed_tiyn=0, minimum_tiyn=0, from_at=None
        )
    async with stage.database.transaction() as db:
        await plans.consent(db, merchant_id, plan.version)
    stage.say(f"it moved its cut-off, was offered fee plan {plan.version} and consented")


async def _key_rotated(stage: Stage) -> None:
    async with stage.database.transaction() as db:
        key, _ = await keys.create_key(db, "merchant", stage.merchant, name="A triggered key")
    async with stage.database.transaction() as db:
        key = await keys.one(db, key.id, owner=stage.merchant, lock=True)
        await keys.rotate_key(db, key, OVERLAP_S)
    async with stage.database.transaction() as db:
        await keys.revoke_key(db, key.id, owner=stage.merchant)
    stage.say(f"made key {key.id}, gave it a new secret and ended it")


PLAYS: Final[Mapping[str, Play]] = {
    "merchant": _merchant,
    "merchant_suspended": _merchant_suspended,
    "merchant_terms": _merchant_terms,
    "key_rotated": _key_rotated,
}
