"""What carries a command out on Solana: its instructions, and the keys that the mint names."""

from dataclasses import dataclass
from typing import Any

from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from sandbox.chains.errors import KeyFileDamaged, KeyNotHeld, NotRotatable, RoleGivenUp
from sandbox.chains.port import ChainUnavailable, Command
from sandbox.chains.solana import tx
from sandbox.chains.solana.keys import AUTHORITIES, UNREADABLE, SolanaKeys
from sandbox.chains.solana.rpc import Rpc
from sandbox.chains.solana.state import (
    Mint,
    account_data,
    is_account_frozen,
    parse_mint,
    token_amount,
)

GAS_LAMPORTS = tx.LAMPORTS_PER_SOL
# More accounts than these would not fit into one transaction of 1,232 bytes.
MAX_GATHERED, MAX_SEIZED = 10, 6
_CONFIRMED: dict[str, Any] = {"commitment": "confirmed"}
# `AuthorityType` of the program. The text in the mint has an authority of its own beside 12.
_METADATA_POINTER = 12
_KINDS = {
    "mint_authority": 0,
    "freeze_authority": 1,
    "permanent_delegate": 8,
    "metadata_authority": _METADATA_POINTER,
    "pause_authority": 16,
}


@dataclass(frozen=True, slots=True)
class Acts:
    """The instructions, the acting one last, and who signs beside the fee payer."""

    instructions: list[Instruction]
    signers: list[Keypair]


@dataclass(frozen=True, slots=True)
class Held:
    """A token account of somebody."""

    account: Pubkey
    units: int
    is_frozen: bool


class Commands:
    """Asks the chain for what a command needs, at confirmed: accounts, and who holds which role."""

    def __init__(self, rpc: Rpc, chain: str, token: tx.Token, keys: SolanaKeys) -> None:
        self._rpc, self._chain, self._token, self._keys = rpc, chain, token, keys
        self._treasury = keys.treasury.pubkey()

    async def acts(self, command: Command) -> Acts:
        """Raises `KeyNotHeld`, `RoleGivenUp`, `NotRotatable`, `ChainUnavailable`."""
        match command.action:
            case "burn":
                act = tx.burn(self._token, self._treasury, command.amount_units)
                gathered = await self._gathered(command.amount_units)
                return Acts([*gathered, act], [self._keys.treasury])
            case "transfer":
                recipient = Pubkey.from_string(command.recipient)
                act = tx.transfer_units(
                    self._token, self._treasury, recipient, command.amount_units
                )
                gathered = await self._gathered(command.amount_units)
                opened = self._opened(recipient, gas=command.gas)
                return Acts([*gathered, *opened, act], [self._keys.treasury])
            case "rotate":
                return await self._rotation(command)
            case "seize":
                return await self._seizure(command)
            case _:
                return await self._by_authority(command)

    async def _by_authority(self, command: Command) -> Acts:
        token, mint = self._token, await self._mint()
        if command.action in ("pause", "resume"):
            key = self._signer(mint, "pause_authority")
            act = tx.pause if command.action == "pause" else tx.resume
            return Acts([act(token, key.pubkey())], [key])
        owner = Pubkey.from_string(command.recipient)
        # Freezing, too, must work for a holder who has received nothing yet.
        before = self._opened(owner, gas=command.gas)
        if command.action == "mint":
            key = self._signer(mint, "mint_authority")
            made = tx.mint_to(token, owner, key.pubkey(), command.amount_units)
            return Acts([*before, made], [key])
        assert command.action in ("freeze", "thaw"), command.action
        key = self._signer(mint, "freeze_authority")
        switch = tx.freeze if command.action == "freeze" else tx.thaw
        account = tx.token_account(owner, token.mint)
        return Acts([*before, switch(token, account, key.pubkey())], [key])

    async def _seizure(self, command: Command) -> Acts:
        """Out of the holder's token accounts, each thawed and frozen again if it was frozen.

        `MAX_SEIZED` of them in one order, the fullest. What is not there is asked for all the
        same: then the chain refuses the whole.
        """
        token, mint = self._token, await self._mint()
        holder, recipient = (Pubkey.from_string(one) for one in (command.holder, command.recipient))
        usual = tx.token_account(holder, token.mint)
        held = {one.account: one for one in await self._held(holder)}
        first = held.pop(usual, Held(usual, 0, False))
        others = sorted(held.values(), key=lambda one: -one.units)
        parts, missing = [(first, min(first.units, command.amount_units))], command.amount_units
        missing -= parts[0][1]
        for one in others[: MAX_SEIZED - 1]:
            taken = min(one.units, missing)
            if taken:
                parts.append((one, taken))
                missing -= taken
        parts[0] = (first, parts[0][1] + missing)
        delegate = self._signer(mint, "permanent_delegate")
        signers = [delegate]
        steps = [*self._opened(holder), *self._opened(recipient)]
        for one, units in parts:
            if units == 0:
                continue
            take = tx.take_units(token, one.account, recipient, delegate.pubkey(), units)
            if not one.is_frozen:
                steps.append(take)
                continue
            # The permanent delegate does not beat a freeze (SOLANA.md, section 0).
            freezer = self._signer(mint, "freeze_authority")
            if freezer not in signers:
                signers.append(freezer)
            thaw = tx.thaw(token, one.account, freezer.pubkey())
            freeze = tx.freeze(token, one.account, freezer.pubkey())
            steps += [thaw, take, freeze]
        return Acts(steps, signers)

    async def _rotation(self, command: Command) -> Acts:
        """The new key is on disk before this returns; it signs only once the mint names it."""
        role = command.role
        if role not in AUTHORITIES:
            raise NotRotatable(self._chain, role, AUTHORITIES)
        mint = await self._mint()
        key = self._signer(mint, role)
        try:
            new = self._keys.next(role, command.reference).pubkey()
        except UNREADABLE as error:
            raise KeyFileDamaged(self._chain, role) from error
        acts = [tx.set_authority(self._token, _KINDS[role], key.pubkey(), new)]
        signers = [key]
        if role == "metadata_authority":
            pointer = self._signer(mint, "metadata_pointer")
            acts = [
                tx.set_authority(self._token, _METADATA_POINTER, pointer.pubkey(), new),
                tx.set_metadata_authority(self._token, key.pubkey(), new),
            ]
            signers = [key] if pointer == key else [key, pointer]
        return Acts(acts, signers)

    async def _gathered(self, needed_units: int) -> list[Instruction]:
        """What brings `needed_units` into the treasury's associated account, if they lie elsewhere.

        A customer may pay by handing over a whole token account: its units are the treasury's,
        but no command spends them from where they are.
        """
        usual = tx.token_account(self._treasury, self._token.mint)
        units = {
            one.account: one.units for one in await self._held(self._treasury) if not one.is_frozen
        }
        missing = needed_units - units.pop(usual, 0)
        steps: list[Instruction] = []
        for account, amount in sorted(units.items(), key=lambda found: -found[1]):
            if missing <= 0 or len(steps) == MAX_GATHERED:
                break
            steps.append(tx.gather_units(self._token, account, self._treasury, amount))
            missing -= amount
        return steps

    def _opened(self, owner: Pubkey, *, gas: bool = False) -> list[Instruction]:
        payer = self._keys.fee_payer.pubkey()
        steps = [tx.create_token_account(payer, owner, self._token)]
        if gas:
            steps.append(tx.give_sol(payer, owner, GAS_LAMPORTS))
        return steps

    def _signer(self, mint: Mint, role: str) -> Keypair:
        """The key of the address that the chain names: what we believe of it counts for nothing."""
        address = mint.authorities[role]
        if not address:
            raise RoleGivenUp(self._chain, role)
        try:
            key = self._keys.of(address)
        except UNREADABLE as error:
            raise KeyFileDamaged(self._chain, role) from error
        if key is None:
            raise KeyNotHeld(self._chain, role, address)
        return key

    async def _mint(self) -> Mint:
        options = {**_CONFIRMED, "encoding": "base64"}
        answer = await self._rpc.call("getAccountInfo", str(self._token.mint), options)
        if answer["value"] is None:
            raise ChainUnavailable(self._chain)
        return parse_mint(account_data(answer["value"]))

    async def _held(self, owner: Pubkey) -> list[Held]:
        view = {**_CONFIRMED, "encoding": "base64"}
        of_token = {"mint": str(self._token.mint)}
        answer = await self._rpc.call("getTokenAccountsByOwner", str(owner), of_token, view)
        return [
            Held(Pubkey.from_string(one["pubkey"]), token_amount(data), is_account_frozen(data))
            for one in answer["value"]
            for data in [account_data(one["account"])]
        ]
