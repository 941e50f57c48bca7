"""Test wallets of people: one key per chain and name, made on first use (mode 0600)."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from sandbox.chains.customers import Keys
from sandbox.chains.errors import NotSponsored
from sandbox.chains.evm import wallet as evm
from sandbox.chains.solana import wallet as solana
from sandbox.cli import seeds
from sandbox.cli.endpoints import JsonObject
from sandbox.core.errors import SandboxError

Endpoints = Mapping[str, str]
_NAME = re.compile(r"[\w-][\w.-]{0,63}")


class BadWalletName(SandboxError):
    """The name is a file's, and must not lead anywhere else."""

    code = "bad_wallet_name"

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name!r} names no wallet: 1 to 64 letters, digits, - _ and . (not first)"
        )


class Wallet(Protocol):
    """A person's key on one chain. `option` is the session's way to be paid there."""

    address: str
    gets_coin_at_once: bool
    """Whether the faucet's tokens and its coin come in one transaction."""

    async def units(self, option: JsonObject) -> int:
        """Units of the option's token held, at confirmed."""
        ...

    async def pay(self, option: JsonObject, units: int) -> str:
        """Pay the option's URL, `units` of it, and wait until it is confirmed; the tx id."""
        ...

    async def needs_sponsor(self) -> bool:
        """Whether it has no coin for a fee, where others may pay that."""
        ...

    async def pay_sponsored(self, option: JsonObject, units: int, offered: str) -> str:
        """Pay with a transaction that the sandbox offers, its fee paid; the tx id."""
        ...


class SolanaPerson:
    """Its file is one of `solana-keygen`."""

    gets_coin_at_once = True

    def __init__(self, rpc: str, folder: Path, name: str) -> None:
        self._rpc = rpc
        self._key = solana.kept_key(Keys(folder), name, seed=seeds.of(folder.parent))
        self.address = str(self._key.pubkey())

    async def units(self, option: JsonObject) -> int:
        return await solana.balance(self._rpc, self.address, option["mint"])

    async def pay(self, option: JsonObject, units: int) -> str:
        return await solana.pay(self._rpc, self._key, option["url"], amount_units=units)

    async def needs_sponsor(self) -> bool:
        return await solana.lamports(self._rpc, self.address) == 0

    async def pay_sponsored(self, option: JsonObject, units: int, offered: str) -> str:
        return await solana.pay_sponsored(
            self._rpc, self._key, option["url"], offered, amount_units=units
        )


class EvmPerson:
    """Its file holds the private key in hex, as every wallet imports it."""

    gets_coin_at_once = False

    def __init__(self, rpc: str, folder: Path, name: str) -> None:
        self._rpc = rpc
        self._key = evm.kept_key(Keys(folder), name, seed=seeds.of(folder.parent))
        self.address: str = self._key.address

    async def units(self, option: JsonObject) -> int:
        return await evm.balance(self._rpc, self.address, option["token"])

    async def pay(self, option: JsonObject, units: int) -> str:
        return await evm.pay(self._rpc, self._key, option["url"], amount_units=units)

    async def needs_sponsor(self) -> bool:
        """Nobody else's coin pays for it here."""
        return False

    async def pay_sponsored(self, option: JsonObject, units: int, offered: str) -> str:
        raise NotSponsored("evm")


def check_name(name: str) -> None:
    """Raises `BadWalletName`."""
    if not _NAME.fullmatch(name):
        raise BadWalletName(name)


def wallet(endpoints: Endpoints, data_dir: Path, chain: str, name: str) -> Wallet:
    """The test wallet `name` on `chain`. Raises `BadWalletName`; KeyError for an unknown chain."""
    check_name(name)
    kinds: dict[str, Callable[[str, Path, str], Wallet]] = {
        "solana": SolanaPerson,
        "evm": EvmPerson,
    }
    kind = kinds[chain]
    return kind(endpoints[f"{chain}_rpc"], data_dir / "wallets", name)
