"""Solana as a ground of scenarios: wallets and raw transactions, slots made by hand."""

import re
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote

from solders.hash import Hash
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from contracts import token as spec
from contracts.solana_mint import MintAuthorities, create_mint, final_size
from sandbox.chains import service
from sandbox.chains.port import Chain, Command
from sandbox.chains.solana import tx, wallet
from sandbox.chains.solana.chain import SolanaChain
from sandbox.chains.solana.deploy import deploy
from sandbox.chains.solana.keys import load_sponsor
from sandbox.chains.solana.rpc import Rpc
from sandbox.chains.solana.wallet import SolanaWallet
from sandbox.core.db import Database
from tests.scenarios.ground import Option

GAS_LAMPORTS = 10 * tx.LAMPORTS_PER_SOL
OTHER_UNITS = 10**6
_CONFIRMED = {"commitment": "confirmed"}
# Solana Pay 1.1, transfer request.
_URL = re.compile(r"solana:(?P<recipient>[1-9A-HJ-NP-Za-km-z]{32,44})\?(?P<query>[^#\s]+)")


class SolanaGround:
    """`deploy` makes it usable."""

    name, native = "solana", "SOL"
    chain: SolanaChain

    def __init__(self, rpc_url: str) -> None:
        self.rpc_url, self._rpc = rpc_url, Rpc(rpc_url)
        self._keys: dict[str, Keypair] = {}
        self._wallets: dict[str, SolanaWallet] = {}
        self._node = ""
        self._closing = AsyncExitStack()
        self._closing.push_async_callback(self._rpc.aclose)

    @property
    def treasury(self) -> str:
        [found] = self.chain.own_addresses()
        return found

    async def deploy(self, database: Database, keys_dir: Path, node: str) -> None:
        deployment, keys = await deploy(database, self.rpc_url, keys_dir, spec.load())
        sponsor = load_sponsor(keys_dir)
        self.chain, self._node = SolanaChain(node, deployment, keys, sponsor=sponsor), node
        self._closing.push_async_callback(self.chain.aclose)
        self._mint = str(deployment.config["mint"])
        self._token = tx.Token(Pubkey.from_string(self._mint), self.chain.decimals)

    async def check_deployment(self, database: Database, keys_dir: Path, node: str) -> None:
        await deploy(database, node, keys_dir, spec.load())

    async def restarted(self, database: Database) -> Chain:
        async with database.transaction() as db:
            return SolanaChain(self._node, await service.deployment(db, self.name))

    async def aclose(self) -> None:
        await self._closing.aclose()

    async def run(self) -> None:
        await self._rpc.call("sandbox_resume")

    async def stand_still(self) -> None:
        await self._rpc.call("sandbox_pause")

    async def mine(self, blocks: int = 1) -> None:
        await self._rpc.call("sandbox_advanceSlots", {"slots": blocks})

    async def reorg(self, blocks: int, mode: Literal["drop", "reinclude"]) -> None:
        await self._rpc.call("sandbox_reorg", {"slots": blocks, "mode": mode})
        await self.mine(blocks)

    async def payer(self) -> str:
        key = Keypair()
        one = SolanaWallet(self.rpc_url, key)
        self._keys[one.address], self._wallets[one.address] = key, one
        self._closing.push_async_callback(one.aclose)
        await self._rpc.call("requestAirdrop", one.address, GAS_LAMPORTS)
        return one.address

    async def pay(self, payer: str, option: Option, units: int) -> str:
        return await self._wallets[payer].pay(option["url"], amount_units=units, wait=False)

    async def pay_together(self, payer: str, parts: Sequence[tuple[Option, int]]) -> str:
        acts = [
            tx.transfer_units(
                self._token,
                Pubkey.from_string(payer),
                Pubkey.from_string(option["recipient"]),
                units,
                [Pubkey.from_string(option["reference"])],
            )
            for option, units in parts
        ]
        return await self._wallets[payer].send(acts, wait=False)

    async def pay_by_hand(self, payer: str, url: str) -> str:
        found = _URL.fullmatch(url)
        assert found is not None, url
        pairs = [part.split("=", 1) for part in found["query"].split("&")]
        said = {key: unquote(value) for key, value in pairs}
        assert len(said) == len(pairs), "a key twice"
        assert set(said) == {"amount", "spl-token", "reference", "memo"}
        whole, _, rest = said["amount"].partition(".")
        units = int(whole) * 10**self._token.decimals
        units += int((rest or "0").ljust(self._token.decimals, "0"))
        token = tx.Token(Pubkey.from_string(said["spl-token"]), self._token.decimals)
        source, to = Pubkey.from_string(payer), Pubkey.from_string(found["recipient"])
        reference = Pubkey.from_string(said["reference"])
        acts = [
            tx.memo(said["memo"]),
            tx.transfer_units(token, source, to, units, [reference]),
        ]
        return await self._wallets[payer].send(acts, wait=False)

    async def force(self, payer: str, to: str, units: int) -> str:
        source, recipient = Pubkey.from_string(payer), Pubkey.from_string(to)
        acts = [
            tx.create_token_account(source, recipient, self._token),
            tx.transfer_units(self._token, source, recipient, units),
        ]
        return await self._force([self._keys[payer]], acts)

    async def send_coin(self, payer: str, to: str, amount: int) -> str:
        source, recipient = Pubkey.from_string(payer), Pubkey.from_string(to)
        return await self._wallets[payer].send([tx.give_sol(source, recipient, amount)], wait=False)

    async def other_token(self, payer: str) -> str:
        owner, mint = self._keys[payer], Keypair()
        key = owner.pubkey()
        about = replace(spec.load(), name="Another token", symbol="OTHER")
        rent = await self._rpc.call("getMinimumBalanceForRentExemption", final_size(about))
        may = MintAuthorities(key, key, key, key, key)
        other = tx.Token(mint.pubkey(), about.decimals)
        made = create_mint(about, key, mint.pubkey(), may, rent)
        await self._force([owner, mint], made)
        acts = [
            tx.create_token_account(key, key, other),
            tx.create_token_account(key, Pubkey.from_string(self.treasury), other),
            tx.mint_to(other, key, key, OTHER_UNITS),
        ]
        await self._force([owner], acts)
        await self.mine()
        return str(mint.pubkey())

    async def send_other(self, payer: str, token: str, option: Option, amount: int) -> str:
        act = tx.transfer_units(
            tx.Token(Pubkey.from_string(token), self._token.decimals),
            Pubkey.from_string(payer),
            Pubkey.from_string(option["recipient"]),
            amount,
            [Pubkey.from_string(option["reference"])],
        )
        return await self._wallets[payer].send([act], wait=False)

    async def order(self, command: Command) -> str:
        signed = await self.chain.prepare(command)
        await self.chain.broadcast(signed)
        return signed.tx_id

    async def raw(self, tx: str) -> Any:
        options = {**_CONFIRMED, "encoding": "base64", "maxSupportedTransactionVersion": 0}
        found: Mapping[str, Any] = await self._rpc.call("getTransaction", tx, options)
        return found["transaction"][0]

    async def resend(self, raw: Any) -> None:
        options = {"encoding": "base64", "skipPreflight": True}
        await self._rpc.call("sendTransaction", raw, options)

    async def units(self, address: str) -> int:
        return await wallet.balance(self.rpc_url, address, self._mint)

    async def coin(self, address: str) -> int:
        return int((await self._rpc.call("getBalance", address, _CONFIRMED))["value"])

    async def _force(self, signers: list[Keypair], acts: list[Instruction]) -> str:
        answer = (await self._rpc.call("getLatestBlockhash", _CONFIRMED))["value"]
        blockhash = Hash.from_string(answer["blockhash"])
        signed = tx.sign(acts, signers, blockhash, answer["lastValidBlockHeight"])
        await self.chain.broadcast(signed)
        return signed.tx_id
