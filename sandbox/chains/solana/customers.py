"""Simulated customers on Solana, and the ways in which their wallets shape a payment."""

import contextlib
import struct
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from contracts import token as spec
from contracts.solana_mint import MintAuthorities, create_mint, final_size
from sandbox.chains.customers import MANNERS, Keys, Manner, MannerUnknown, Option
from sandbox.chains.json_rpc import NodeRefused
from sandbox.chains.solana import tx
from sandbox.chains.solana.rpc import Rpc
from sandbox.chains.solana.wallet import SolanaWallet, kept_key, parse_url

_COMPUTE_BUDGET = Pubkey.from_string("ComputeBudget111111111111111111111111111111")
_COMPUTE_UNITS, _MICRO_LAMPORTS = 200_000, 1_000
_DUST_UNITS, _COIN = 1, 10**6
_OTHER_UNITS = 10**12
_CONFIRMED = {"commitment": "confirmed", "encoding": "base64"}


class SolanaCustomers:
    """Keys as `solana-keygen` writes them, in `folder`. Close it with `aclose`."""

    manners: Collection[Manner] = tuple(one for one in MANNERS if one != "token_contract")

    def __init__(self, rpc_url: str, folder: Path, *, chain: str = "solana") -> None:
        self.chain, self._url, self._keys = chain, rpc_url, Keys(folder)
        self._rpc = Rpc(rpc_url, chain)
        self._wallets: dict[str, SolanaWallet] = {}

    async def aclose(self) -> None:
        await self._rpc.aclose()
        for one in self._wallets.values():
            await one.aclose()

    def address(self, name: str) -> str:
        return str(self._key(name).pubkey())

    async def units(self, name: str, option: Option) -> int:
        return await self._wallet(name).units(option["mint"])

    async def pay(
        self, name: str, option: Option, units: int, manner: Manner = "plain"
    ) -> Sequence[str]:
        wallet = self._wallet(name)
        match manner:
            case "plain":
                return [await wallet.pay(option["url"], amount_units=units)]
            case "spoofed":
                dust = await wallet.send(self._dust(name, option))
                return [dust, await wallet.pay(option["url"], amount_units=units)]
            case "native_coin":
                to = Pubkey.from_string(option["recipient"])
                return [await wallet.send([tx.give_sol(self._key(name).pubkey(), to, _COIN)])]
            case "other_token":
                return [await self._other_token(name, option, units)]
            case "no_memo" | "no_reference" | "bare" | "extra" | "guarded":
                return [await wallet.send(self._shaped(name, option, units, manner))]
            case _:
                raise MannerUnknown(self.chain, manner)

    async def pay_together(self, name: str, parts: Sequence[tuple[Option, int]]) -> str:
        acts = [self._transfer(name, option, units) for option, units in parts]
        return await self._wallet(name).send(acts)

    async def pay_sponsored(self, name: str, option: Option, units: int, offered: str) -> str:
        return await self._wallet(name).pay_sponsored(option["url"], offered, amount_units=units)

    async def give(self, name: str, to: str, option: Option, units: int) -> str:
        token, mine = self._token(option), self._key(name).pubkey()
        recipient = Pubkey.from_string(to)
        opened = tx.create_token_account(mine, recipient, token)
        given = tx.transfer_units(token, mine, recipient, units)
        return await self._wallet(name).send([opened, given])

    async def resend(self, tx: str) -> None:
        about = {**_CONFIRMED, "maxSupportedTransactionVersion": 0}
        found = await self._rpc.call("getTransaction", tx, about)
        options = {"encoding": "base64", "skipPreflight": True}
        with contextlib.suppress(NodeRefused):
            await self._rpc.call("sendTransaction", found["transaction"][0], options)

    # Inside.

    def _key(self, name: str) -> Keypair:
        return kept_key(self._keys, name)

    def _wallet(self, name: str) -> SolanaWallet:
        if name not in self._wallets:
            self._wallets[name] = SolanaWallet(self._url, self._key(name))
        return self._wallets[name]

    def _token(self, option: Option) -> tx.Token:
        return tx.Token(Pubkey.from_string(option["mint"]), spec.load().decimals)

    def _transfer(
        self, name: str, option: Option, units: int, *, referenced: bool = True
    ) -> Instruction:
        asked = parse_url(option["url"])
        references = asked.references if referenced else ()
        mine = self._key(name).pubkey()
        return tx.transfer_units(self._token(option), mine, asked.recipient, units, references)

    def _shaped(self, name: str, option: Option, units: int, manner: Manner) -> list[Instruction]:
        is_referenced = manner not in ("no_reference", "bare")
        acts = [self._transfer(name, option, units, referenced=is_referenced)]
        if manner not in ("no_memo", "bare"):
            acts.insert(0, tx.memo(option["memo"]))
        mine = self._key(name).pubkey()
        if manner == "extra":
            acts.append(tx.memo("paid with a wallet that signs its own name"))
        if manner == "guarded":
            # As wallets wrap what they sign: limits before, a check of the payer's own account
            # behind. The programs that check (Lighthouse) are not on a devnet, so the last one
            # stands in for them: it names the payer's account and changes nothing.
            limit = Instruction(_COMPUTE_BUDGET, struct.pack("<BI", 2, _COMPUTE_UNITS), [])
            price = Instruction(_COMPUTE_BUDGET, struct.pack("<BQ", 3, _MICRO_LAMPORTS), [])
            acts = [limit, price, *acts, tx.give_sol(mine, mine, 0)]
        return acts

    def _dust(self, name: str, option: Option) -> list[Instruction]:
        """Dust to somebody else, by the session's own reference."""
        mine, token = self._key(name).pubkey(), self._token(option)
        stranger = self._key(f"{name}-stranger").pubkey()
        spoofed = tx.transfer_units(token, mine, stranger, _DUST_UNITS)
        reference = AccountMeta(Pubkey.from_string(option["reference"]), False, False)
        carrying = Instruction(
            spoofed.program_id, bytes(spoofed.data), [*spoofed.accounts, reference]
        )
        return [tx.create_token_account(mine, stranger, token), carrying]

    async def _other_token(self, name: str, option: Option, units: int) -> str:
        """A token of the customer's own making, sent exactly as the option says."""
        mine, wallet = self._key(name).pubkey(), self._wallet(name)
        mint = self._key(f"{name}-other-token")
        about = replace(spec.load(), name="Another token", symbol="OTHER")
        other = tx.Token(mint.pubkey(), about.decimals)
        recipient = Pubkey.from_string(option["recipient"])
        known = await self._rpc.call("getAccountInfo", str(mint.pubkey()), _CONFIRMED)
        if known["value"] is None:
            rent = await self._rpc.call("getMinimumBalanceForRentExemption", final_size(about))
            may = MintAuthorities(mine, mine, mine, mine, mine)
            made = create_mint(about, mine, mint.pubkey(), may, rent)
            await wallet.send(made, signers=[mint])
            opened = [tx.create_token_account(mine, to, other) for to in (mine, recipient)]
            await wallet.send([*opened, tx.mint_to(other, mine, mine, _OTHER_UNITS)])
        references = [Pubkey.from_string(option["reference"])]
        act = tx.transfer_units(other, mine, recipient, units, references)
        return await wallet.send([tx.memo(option["memo"]), act])
