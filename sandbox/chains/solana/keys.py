"""The private keys of a world on Solana: one file, mode 0600, that only grows.

A role may have had several keys: which one counts is what the mint's account says, so a key is
looked up by its address. A new one is on disk before anybody is told of it.
"""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from types import MappingProxyType

from solders.keypair import Keypair

from contracts.solana_mint import MintAuthorities
from contracts.token import Roles, TokenSpec
from sandbox.core import chance

FILE, SPONSOR_FILE = "solana.json", "solana-sponsor.json"
UNREADABLE = (OSError, ValueError, KeyError, TypeError, AttributeError)
"""What reading a missing or damaged key file may raise."""
_MINT = "mint"
AUTHORITIES = (
    "mint_authority",
    "metadata_authority",
    "freeze_authority",
    "permanent_delegate",
    "pause_authority",
)
"""The roles whose holder the mint's account names; the others are accounts of their own."""


class SolanaKeys:
    """Every key of a world, by name and by address. Never shown: `repr` hides them."""

    def __init__(self, path: Path, spec: TokenSpec, found: Mapping[str, Keypair]) -> None:
        self._path, self._names = path, _names(spec)
        self._by_name: dict[str, Keypair] = {}
        self._by_address: dict[str, Keypair] = {}
        self._take(found)
        self.mint = found[_MINT]
        self.treasury, self.fee_payer = self.first("treasury"), self.first("fee_payer")

    def __repr__(self) -> str:
        return f"SolanaKeys({len(self._by_name)} keys)"

    def first(self, role: str) -> Keypair:
        """The key that a new token is made with for `role`."""
        return self._by_name[self._names[role]]

    def authorities(self) -> MintAuthorities:
        """Who a new mint names."""
        return MintAuthorities(
            mint=self.first("mint_authority").pubkey(),
            metadata=self.first("metadata_authority").pubkey(),
            freeze=self.first("freeze_authority").pubkey(),
            delegate=self.first("permanent_delegate").pubkey(),
            pause=self.first("pause_authority").pubkey(),
        )

    def of(self, address: str) -> Keypair | None:
        """The key of this address if it is ours; another process may have added it meanwhile.

        Raises `UNREADABLE`.
        """
        if address not in self._by_address:
            self._take(_read(self._path))
        return self._by_address.get(address)

    def next(self, role: str, reference: str) -> Keypair:
        """The key that `role` gets by the rotation `reference`: always the same one.

        It is on disk, synced, when this returns. Raises `UNREADABLE`.
        """
        name = f"{self._names[role]}.{reference}"
        if name not in self._by_name:
            self._take(_add(self._path, [name], self._by_name))
        return self._by_name[name]

    def names(self) -> dict[str, str]:
        """Address → name of the key."""
        return {str(pair.pubkey()): name for name, pair in self._by_name.items()}

    def _take(self, found: Mapping[str, Keypair]) -> None:
        """What was read before stays: an older file may have been put in its place meanwhile."""
        self._by_name |= found
        self._by_address |= {str(pair.pubkey()): pair for pair in found.values()}


def load(keys_dir: Path, spec: TokenSpec) -> SolanaKeys:
    """The keys that `load_or_create` made; raises `FileNotFoundError` when it did not."""
    path = keys_dir / FILE
    return SolanaKeys(path, spec, _read(path))


def load_or_create(keys_dir: Path, spec: TokenSpec) -> SolanaKeys:
    """The keys of this world; missing ones are made and stored before they are used."""
    path = keys_dir / FILE
    return SolanaKeys(path, spec, _add(path, [_MINT, *sorted(set(_names(spec).values()))]))


def load_sponsor(keys_dir: Path) -> Keypair | None:
    """The key that pays the fees of customers; None where nobody made one.

    In a file of its own, because the API signs with it and with nothing else. It has no power over
    the token, and what it can lose is some native coin.
    """
    path = keys_dir / SPONSOR_FILE
    return _read(path)["sponsor"] if path.exists() else None


def load_or_create_sponsor(keys_dir: Path) -> Keypair:
    """The same, made on the first call."""
    return _add(keys_dir / SPONSOR_FILE, ["sponsor"])["sponsor"]


def _names(spec: TokenSpec) -> dict[str, str]:
    return {role.name: getattr(spec.roles, role.name) for role in fields(Roles)}


def _read(path: Path) -> dict[str, Keypair]:
    stored = json.loads(path.read_text())
    return {name: Keypair.from_bytes(bytes(raw)) for name, raw in stored.items()}


def _add(
    path: Path, names: list[str], held: Mapping[str, Keypair] = MappingProxyType({})
) -> dict[str, Keypair]:
    """The file's keys and those held, with one under each of these names; none is ever lost."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _alone(path):
        found = {**held, **(_read(path) if path.exists() else {})}
        if missing := [name for name in names if name not in found]:
            found |= {name: _made(name) for name in missing}
            _store(path, found)
    return found


def _made(name: str) -> Keypair:
    return Keypair.from_seed(chance.key_bytes("solana", name))


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """One writer at a time: what two read and both replaced would lose a key."""
    handle = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _store(path: Path, found: Mapping[str, Keypair]) -> None:
    content = json.dumps({name: list(bytes(pair)) for name, pair in found.items()})
    draft = path.with_suffix(".new")
    draft.unlink(missing_ok=True)
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    # The name, too, must outlive a power cut: what the chain names next is in the new file.
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
