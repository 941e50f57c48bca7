"""The private keys of a world on an EVM chain: one file, mode 0600, made once.

`token.toml` names a key for each role; the token refuses an address that holds another role.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

from contracts.token import EvmRoles, TokenSpec
from sandbox.chains.evm.accounts import Account, LocalAccount
from sandbox.core import chance

FILE = "evm.json"


@dataclass(frozen=True, slots=True)
class EvmKeys:
    """Role → key. Never shown: `repr` hides them.

    The minter mints, the treasury pays and burns, the relayer deploys, sweeps and pays the gas.
    """

    admin: LocalAccount = field(repr=False)
    master_minter: LocalAccount = field(repr=False)
    pauser: LocalAccount = field(repr=False)
    freezer: LocalAccount = field(repr=False)
    confiscator: LocalAccount = field(repr=False)
    rescuer: LocalAccount = field(repr=False)
    minter: LocalAccount = field(repr=False)
    treasury: LocalAccount = field(repr=False)
    relayer: LocalAccount = field(repr=False)

    def accounts(self) -> dict[str, LocalAccount]:
        """Role → key."""
        return {role.name: getattr(self, role.name) for role in fields(self)}

    def addresses(self) -> dict[str, str]:
        """Role → address, lower case."""
        return {role: account.address.lower() for role, account in self.accounts().items()}


def load(keys_dir: Path, spec: TokenSpec) -> EvmKeys:
    """The keys that `load_or_create` made; raises `FileNotFoundError` when it did not."""
    return _keys(json.loads((keys_dir / FILE).read_text()), spec)


def load_or_create(keys_dir: Path, spec: TokenSpec) -> EvmKeys:
    """The keys of this world; missing ones are made and stored before they are used."""
    path = keys_dir / FILE
    found: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    if missing := set(_names(spec).values()) - set(found):
        found |= {name: "0x" + chance.key_bytes("evm", name).hex() for name in sorted(missing)}
        _store(path, found)
    return _keys(found, spec)


def _names(spec: TokenSpec) -> dict[str, str]:
    return {role.name: getattr(spec.evm.roles, role.name) for role in fields(EvmRoles)}


def _keys(found: Mapping[str, str], spec: TokenSpec) -> EvmKeys:
    by_role = {role: Account.from_key(found[name]) for role, name in _names(spec).items()}
    return EvmKeys(**by_role)


def _store(path: Path, found: Mapping[str, str]) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_suffix(".new")
    draft.unlink(missing_ok=True)
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(json.dumps(found))
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
