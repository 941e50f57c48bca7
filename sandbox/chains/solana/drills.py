"""What Solana's devnet can make go wrong beyond what every devnet can."""

from collections.abc import Awaitable, Callable, Collection, Mapping

from sandbox.chains.drills import DevnetDrills, Drill
from sandbox.chains.solana.rpc import Rpc


class SolanaDrills(DevnetDrills):
    """Blocks are slots here, and wallets' blockhashes run out."""

    drills: Collection[Drill] = (*DevnetDrills.drills, "rpc_stale", "blockhash_expired")
    blocks = "slots"

    def __init__(self, rpc_url: str, *, chain: str = "solana") -> None:
        super().__init__(Rpc(rpc_url, chain), chain)

    async def _tip(self) -> int:
        """What is processed is the open slot."""
        newest: int = await self._rpc.call("getSlot", {"commitment": "processed"})
        return newest - 1

    @property
    def _setters(self) -> Mapping[Drill, Callable[[int], Awaitable[None]]]:
        return {
            **super()._setters,
            "rpc_stale": self._stale,
            "blockhash_expired": self._expire,
        }

    async def _stale(self, slots: int) -> None:
        fault = {"kind": "stale", "slots": slots} if slots else {"kind": "off"}
        await self._control("sandbox_setRpcFault", fault)

    async def _expire(self, times: int) -> None:
        if times:
            await self._control("sandbox_expireBlockhashes")
