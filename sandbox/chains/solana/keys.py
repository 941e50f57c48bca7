"""The private keys of a world on Solana: one file, mode 0600, made once."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

from solders.keypair import Keypair

from contracts.solana_mint import MintAuthorities
from contracts.token import Roles, TokenSpec

FILE = "solana.json"
_MINT = "mint"


@dataclass(frozen=True, slots=True)
class SolanaKeys:
    """Role → key pair. Never shown: `repr` hides them."""

    mint: Keypair = field(repr=False)
    mint_authority: Keypair = field(repr=False)
    metadata_authority: Keypair = field(repr=False)
    freeze_authority: Keypair = field(repr=False)
    permanent_delegate: Keypair = field(repr=False)
    pause_authority: Keypair = field(repr=False)
    treasury: Keypair = field(repr=False)
    fee_payer: Keypair = field(repr=False)

    def authorities(self) -> MintAuthorities:
        return MintAuthorities(
            mint=self.mint_authority.pubkey(),
            metadata=self.metadata_authority.pubkey(),
            freeze=self.freeze_authority.pubkey(),
            delegate=self.permanent_delegate.pubkey(),
            pause=self.pause_authority.pubkey(),
        )


def load(keys_dir: Path, spec: TokenSpec) -> SolanaKeys:
    """The keys that `load_or_create` made; raises `FileNotFoundError` when it did not."""
    stored = json.loads((keys_dir / FILE).read_text())
    return _keys({name: Keypair.from_bytes(bytes(raw)) for name, raw in stored.items()}, spec)


def load_or_create(keys_dir: Path, spec: TokenSpec) -> SolanaKeys:
    """The keys of this world; missing ones are made and stored before they are used."""
    path = keys_dir / FILE
    found: dict[str, Keypair] = {}
    if path.exists():
        stored = json.loads(path.read_text())
        found = {name: Keypair.from_bytes(bytes(raw)) for name, raw in stored.items()}
    names = {_MINT, *(getattr(spec.roles, role.name) for role in fields(Roles))}
    if missing := names - set(found):
        found |= {name: Keypair() for name in sorted(missing)}
        _store(path, found)
    return _keys(found, spec)


def _keys(found: Mapping[str, Keypair], spec: TokenSpec) -> SolanaKeys:
    by_role = {role.name: found[getattr(spec.roles, role.name)] for role in fields(Roles)}
    return SolanaKeys(mint=found[_MINT], **by_role)


def _store(path: Path, found: Mapping[str, Keypair]) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    content = json.dumps({name: list(bytes(pair)) for name, pair in found.items()})
    draft = path.with_suffix(".new")
    draft.unlink(missing_ok=True)
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
