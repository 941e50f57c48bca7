"""What the suite needs around a chain: people with wallets, and time that passes.

A chain joins the suite with one class here and one fixture parameter.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

from eth_account import Account
from eth_account.signers.local import LocalAccount
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from sandbox.chains.evm.calls import BURN
from sandbox.chains.evm.chain import EvmChain
from sandbox.chains.evm.keys import EvmKeys
from sandbox.chains.evm.rpc import Node
from sandbox.chains.evm.tx import WEI_PER_COIN, ZERO, Act, Fees, call_data, sign
from sandbox.chains.evm.wallet import EvmWallet
from sandbox.chains.memory import MemoryChain, new_address
from sandbox.chains.port import Block, Chain, Command, ReceiveOption, Signed
from sandbox.chains.solana import tx
from sandbox.chains.solana.chain import SolanaChain
from sandbox.chains.solana.rpc import Rpc
from sandbox.chains.solana.wallet import SolanaWallet

DEADLINE_S = 20


class World(Protocol):
    """A chain with the token on it, holders, and a way to wait."""

    chain: Chain
    not_payable: tuple[str, ...]
    """Addresses of other chains, and of this one's that no money may go to."""
    holders_burn: bool
    """Whether the token lets its holders burn what is theirs."""
    seizes_frozen_only: bool
    """Whether the token takes only from holders who are frozen."""

    async def holder(self) -> str:
        """A new holder who can pay for transactions of its own."""
        ...

    async def confirmed(self, tx_id: str) -> Block:
        """Wait for the block that holds the transaction; its contents."""
        ...

    async def final(self, tx_id: str) -> Block:
        """The same until it is final."""
        ...

    async def pay(self, holder: str, option: ReceiveOption, amount_units: int) -> str:
        """The holder pays by the option; returns the tx id."""
        ...

    async def burn(self, holder: str, amount_units: int) -> str:
        """The holder burns units of its own."""
        ...

    async def send_unchecked(self, holder: str, recipient: str, amount_units: int) -> str:
        """A transfer of the holder that the chain may well refuse in its block."""
        ...

    async def outlive(self, signed: Signed) -> None:
        """Let time pass until the transaction can no longer be included, at final."""
        ...

    async def gas_of(self, holder: str) -> int: ...


async def carry_out(world: World, command: Command) -> str:
    """Prepare and send a command; returns its tx id."""
    signed = await world.chain.prepare(command)
    await world.chain.broadcast(signed)
    return signed.tx_id


async def funded(world: World, amount_units: int) -> str:
    """A holder with units, which are final."""
    holder = await world.holder()
    command = Command("mint", f"iss_{holder[:16]}", holder, amount_units)
    await world.final(await carry_out(world, command))
    return holder


class MemoryWorld:
    """Time passes when somebody waits."""

    not_payable: tuple[str, ...] = ("0x" + "ab" * 20,)
    holders_burn = True

    def __init__(self, chain: MemoryChain) -> None:
        self.memory = chain
        self.seizes_frozen_only = chain.seizes_frozen_only
        self.chain: Chain = chain

    async def holder(self) -> str:
        return new_address()

    async def confirmed(self, tx_id: str) -> Block:
        self.memory.mine()
        return await _block_of(self.chain, tx_id)

    async def final(self, tx_id: str) -> Block:
        self.memory.mine_final()
        return await _block_of(self.chain, tx_id)

    async def pay(self, holder: str, option: ReceiveOption, amount_units: int) -> str:
        to = option.fields.get("recipient") or option.fields["address"]
        return self.memory.pay(holder, str(to), amount_units, option.keys)

    async def burn(self, holder: str, amount_units: int) -> str:
        return self.memory.burn_own(holder, amount_units)

    async def send_unchecked(self, holder: str, recipient: str, amount_units: int) -> str:
        return self.memory.pay(holder, recipient, amount_units)

    async def outlive(self, signed: Signed) -> None:
        self.memory.mine(40)

    async def gas_of(self, holder: str) -> int:
        return self.memory.gas(holder)


class SolanaWorld:
    """A devnet of its own slots; holders are keys that this world keeps."""

    not_payable: tuple[str, ...] = ("0x" + "ab" * 20,)
    holders_burn = True
    seizes_frozen_only = False

    def __init__(self, rpc_url: str, chain: SolanaChain, token: tx.Token) -> None:
        self.chain: Chain = chain
        self._url, self.token, self._rpc = rpc_url, token, Rpc(rpc_url)
        self._wallets: dict[str, SolanaWallet] = {}
        self._keys: dict[str, Keypair] = {}

    async def aclose(self) -> None:
        for wallet in self._wallets.values():
            await wallet.aclose()
        await self._rpc.aclose()

    def key(self, holder: str) -> Keypair:
        return self._keys[holder]

    async def holder(self) -> str:
        key = Keypair()
        wallet = SolanaWallet(self._url, key)
        self._wallets[wallet.address], self._keys[wallet.address] = wallet, key
        await self._rpc.call("requestAirdrop", wallet.address, 10**9)
        await _until(wallet.lamports)
        return wallet.address

    async def confirmed(self, tx_id: str) -> Block:
        await _until(lambda: self._is_at(tx_id, ("confirmed", "finalized")))
        return await _block_of(self.chain, tx_id)

    async def final(self, tx_id: str) -> Block:
        await _until(lambda: self._is_at(tx_id, ("finalized",)))
        return await _block_of(self.chain, tx_id)

    async def pay(self, holder: str, option: ReceiveOption, amount_units: int) -> str:
        wallet = self._wallets[holder]
        return await wallet.pay(str(option.fields["url"]), amount_units=amount_units)

    async def burn(self, holder: str, amount_units: int) -> str:
        act = tx.burn(self.token, Pubkey.from_string(holder), amount_units)
        return await self._wallets[holder].send([act])

    async def send_unchecked(self, holder: str, recipient: str, amount_units: int) -> str:
        source, to = Pubkey.from_string(holder), Pubkey.from_string(recipient)
        acts = [
            tx.create_token_account(source, to, self.token),
            tx.transfer_units(self.token, source, to, amount_units),
        ]
        return await self.send(holder, acts)

    async def send(self, holder: str, acts: list[Instruction], *more: Keypair) -> str:
        """Any transaction of a holder, without preflight, so that failures reach the chain."""
        blockhash, valid_until = await self.chain._recent_blockhash()  # type: ignore[attr-defined]  # Solana's own
        signed = tx.sign(acts, [self._keys[holder], *more], blockhash, valid_until)
        await self.chain.broadcast(signed)
        return signed.tx_id

    async def outlive(self, signed: Signed) -> None:
        await self._rpc.call("sandbox_expireBlockhashes")
        await self._rpc.call("sandbox_advanceSlots", {"slots": 40})

    async def gas_of(self, holder: str) -> int:
        balance: int = (await self._rpc.call("getBalance", holder))["value"]
        return balance

    async def _is_at(self, tx_id: str, levels: tuple[str, ...]) -> bool:
        [status] = (await self._rpc.call("getSignatureStatuses", [tx_id]))["value"]
        return status is not None and status["confirmationStatus"] in levels


class EvmWorld:
    """A devnet that mines by itself; holders are keys that this world keeps."""

    holders_burn = False
    seizes_frozen_only = True

    def __init__(self, rpc_url: str, chain: EvmChain, keys: EvmKeys, token: str) -> None:
        self.evm, self.keys, self.token = chain, keys, token
        self.chain: Chain = chain
        self.url, self.node = rpc_url, Node(rpc_url)
        misspelt = "0x" + "aB" + "ab" * 19
        self.not_payable: tuple[str, ...] = (
            ZERO,
            token,
            "0x" + "ab" * 19,
            misspelt,
            "0X" + "ab" * 20,
        )
        self._wallets: dict[str, EvmWallet] = {}
        self.accounts: dict[str, LocalAccount] = {}

    async def aclose(self) -> None:
        for wallet in self._wallets.values():
            await wallet.aclose()
        await self.node.aclose()

    def wallet(self, holder: str) -> EvmWallet:
        return self._wallets[holder]

    async def holder(self) -> str:
        account = Account.create()
        wallet = EvmWallet(self.url, account)
        self._wallets[wallet.address], self.accounts[wallet.address] = wallet, account
        await self.node.call("anvil_setBalance", wallet.address, hex(WEI_PER_COIN))
        return wallet.address

    async def confirmed(self, tx_id: str) -> Block:
        await _until(lambda: self.height_of(tx_id))
        return await _block_of(self.chain, tx_id)

    async def final(self, tx_id: str) -> Block:
        async def is_final() -> bool:
            height = await self.height_of(tx_id)
            return height is not None and height <= (await self.chain.heads()).final

        await _until(is_final)
        return await _block_of(self.chain, tx_id)

    async def pay(self, holder: str, option: ReceiveOption, amount_units: int) -> str:
        url = str(option.fields["url"])
        return await self._wallets[holder].pay(url, amount_units=amount_units)

    async def burn(self, holder: str, amount_units: int) -> str:
        data = call_data(BURN, amount_units, b"\1" * 32)
        return await self._wallets[holder].send(self.token, data, gas=100_000, wait=False)

    async def send_unchecked(self, holder: str, recipient: str, amount_units: int) -> str:
        data = call_data("transfer(address,uint256)", recipient, amount_units)
        return await self._wallets[holder].send(self.token, data, gas=100_000, wait=False)

    async def outlive(self, signed: Signed) -> None:
        """Use its nonce for something else, unless it is used already."""
        signer, _, nonce = signed.slots[-1].rpartition(":")
        [key] = [k for k in self.keys.accounts().values() if k.address.lower() == signer]
        act = Act(signer, b"", 21_000)
        _, raw = sign(key, 31337, int(nonce), act, Fees(10**11, 10**10))
        await self.node.attempt([("eth_sendRawTransaction", ["0x" + raw.hex()])])

        async def is_used() -> bool:
            used: str = await self.node.call("eth_getTransactionCount", signer, "finalized")
            return int(used, 16) > int(nonce)

        await _until(is_used)

    async def gas_of(self, holder: str) -> int:
        return await self._wallets[holder].wei()

    async def height_of(self, tx_id: str) -> int | None:
        receipt = await self.node.call("eth_getTransactionReceipt", tx_id)
        return None if receipt is None else int(receipt["blockNumber"], 16)


async def _until(reached: Callable[[], Awaitable[object]]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not await reached():
            await asyncio.sleep(0.01)


async def _block_of(chain: Chain, tx_id: str) -> Block:
    """The block that holds the transaction, looked for from the head down."""
    heads = await chain.heads()
    for last in range(heads.confirmed, -1, -64):
        for block in await chain.blocks(max(0, last - 63), last):
            if tx_id in block.txs:
                return block
    raise AssertionError(f"{tx_id} is in no block")
