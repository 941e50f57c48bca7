"""Whose the tokens are, as the books know it: the leaves of an attestation's trees of claims."""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.core import chance
from sandbox.reserve import sumtree

EXTERNAL = "external"

# A batch's units are its merchant's until they are burned.
_CLAIMS = text(
    "SELECT split_part(a.asset, '.', 2) AS chain, a.code, b.posted, s.merchant"
    " FROM account a JOIN balance b ON b.account_id = a.id"
    " LEFT JOIN settlement s ON a.code = 'settling:' || s.id"
    " WHERE b.posted <> 0 AND (a.book = 'claims' AND a.code <> 'custody'"
    " OR a.book = 'token' AND starts_with(a.code, 'external:'))"
)


@dataclass(frozen=True, slots=True)
class Claim:
    """What one holder is owed on one chain, in base units; `salt` hides whose leaf it is."""

    chain: str
    holder: str
    units: int
    salt: bytes

    @property
    def leaf(self) -> sumtree.Node:
        return sumtree.leaf(self.holder, self.units, self.salt)


def merchant_holder(merchant_id: str) -> str:
    """The name under which a merchant's claims are summed up."""
    return f"merchant:{merchant_id}"


async def read(db: AsyncSession, chains: Collection[str]) -> dict[str, list[Claim]]:
    """The claims of each chain in one statement, so at one moment, by the hashes of their leaves.

    A merchant's are one leaf: captured, in settlement, and its refund reserve. All holders
    outside are one, as are suspense and float. Raises `sumtree.BadSum` for a negative claim.
    """
    units: dict[tuple[str, str], int] = defaultdict(int)
    for chain in chains:
        units[chain, EXTERNAL] = 0
    for row in await db.execute(_CLAIMS):
        units[row.chain, _holder(row.code, row.merchant)] += row.posted
    made = [
        Claim(chain, holder, amount, chance.token_bytes(sumtree.SALT_SIZE))
        for (chain, holder), amount in units.items()
    ]
    # The order must not tell who is whose neighbour, and salted hashes are in no order.
    made.sort(key=lambda claim: claim.leaf.hash)
    return {chain: [claim for claim in made if claim.chain == chain] for chain in chains}


def _holder(code: str, settled_merchant: str | None) -> str:
    kind, _, owner = code.partition(":")
    if kind in ("merchant", "refund-reserve"):
        return merchant_holder(owner)
    if kind == "settling" and settled_merchant is not None:
        return merchant_holder(settled_merchant)
    return kind


async def keep(db: AsyncSession, attestation: str, claims: dict[str, list[Claim]]) -> None:
    """Store the leaves, so that holders can be shown their branches later."""
    rows = [
        (claim.chain, place, claim.holder, claim.units, claim.salt)
        for leaves in claims.values()
        for place, claim in enumerate(leaves)
    ]
    chains, places, holders, units, salts = zip(*rows, strict=True)
    await db.execute(
        text(
            "INSERT INTO attested_claim (attestation, chain, place, holder, units, salt)"
            " SELECT :id, * FROM unnest(CAST(:chains AS text[]), CAST(:places AS int[]),"
            " CAST(:holders AS text[]), CAST(:units AS bigint[]), CAST(:salts AS bytea[]))"
        ),
        {
            "id": attestation,
            "chains": list(chains),
            "places": list(places),
            "holders": list(holders),
            "units": list(units),
            "salts": list(salts),
        },
    )


async def kept(db: AsyncSession, attestation: str) -> dict[str, list[Claim]]:
    """The leaves of an attestation, by chain, in the order of its trees."""
    rows = await db.execute(
        text(
            "SELECT chain, holder, units, salt FROM attested_claim WHERE attestation = :id"
            " ORDER BY chain, place"
        ),
        {"id": attestation},
    )
    found: dict[str, list[Claim]] = {}
    for row in rows:
        claim = Claim(row.chain, row.holder, row.units, row.salt)
        found.setdefault(row.chain, []).append(claim)
    return found
