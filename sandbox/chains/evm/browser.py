"""What a wallet in the buyer's browser is asked for, to pay on an EVM chain."""

from sandbox.chains.evm import tx
from sandbox.chains.port import BrowserPayment

# EIP-3085. Wallets show the coin of the fees by it; no devnet has another.
_COIN = {"name": "Ether", "symbol": "ETH", "decimals": 18}


def payment(
    chain_id: int, token: str, recipient: str, amount_units: int, public_rpc: str
) -> BrowserPayment:
    """An ERC-20 transfer; `public_rpc` is empty where payers must know the chain already."""
    network = {
        "chainId": hex(chain_id),
        "chainName": f"KZTE sandbox {chain_id}",
        "nativeCurrency": _COIN,
        "rpcUrls": [public_rpc],
    }
    return BrowserPayment(
        chain_id=chain_id,
        to=token,
        data="0x" + tx.call_data("transfer(address,uint256)", recipient, amount_units).hex(),
        balance_of="0x" + tx.selector("balanceOf(address)").hex(),
        amount_units=amount_units,
        network=network if public_rpc else None,
    )
