"""How a merchant wants to be settled: mode, wallets, refund reserve. Batches made later obey."""

from collections.abc import Mapping
from typing import Literal

from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.chains.port import Chain
from sandbox.parties import service as parties
from sandbox.parties.models import Merchant
from sandbox.settlement.errors import (
    SplitShareWrong,
    WalletChainUnknown,
    WalletIsOurs,
    WalletMissing,
)

Mode = Literal["payout", "hold", "split"]


async def choose(
    db: AsyncSession,
    merchant_id: str,
    chains: Mapping[str, Chain],
    *,
    mode: Mode,
    split_bps: int | None,
    wallets: Mapping[str, str],
    refund_reserve_tiyn: int,
) -> Merchant:
    """Replace the merchant's terms as a whole; batches that exist keep theirs.

    `split_bps` is the share paid out in tenge. A chain without a wallet is paid out in tenge.
    Raises `NotFound`, `MerchantClosed`, `WalletMissing`, `WalletChainUnknown`, `WalletIsOurs`,
    `SplitShareWrong`, `UnknownRecipient`.
    """
    if (mode == "split") != (split_bps is not None):
        raise SplitShareWrong(mode)
    if mode != "payout" and not wallets:
        raise WalletMissing(mode)
    checked = {}
    for name, address in sorted(wallets.items()):
        if name not in chains:
            raise WalletChainUnknown(name, sorted(chains))
        checked[name] = chains[name].check_recipient(address)
        if checked[name] in chains[name].own_addresses():
            raise WalletIsOurs(name, address)
    return await parties.update_merchant(
        db,
        merchant_id,
        {
            "settlement_mode": mode,
            "split_bps": split_bps,
            "wallets": checked,
            "refund_reserve_tiyn": refund_reserve_tiyn,
        },
    )
