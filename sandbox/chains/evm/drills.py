"""What an EVM devnet can make go wrong: what every devnet can."""

from sandbox.chains.drills import DevnetDrills
from sandbox.chains.evm.rpc import Node


class EvmDrills(DevnetDrills):
    """Transactions name no blockhash here, so none runs out."""

    def __init__(self, rpc_url: str, *, chain: str = "evm") -> None:
        super().__init__(Node(rpc_url, chain), chain)

    async def _tip(self) -> int:
        return int(await self._rpc.call("eth_blockNumber"), 16)
