"""The token's specification: `token.toml`, read and checked."""

import re
import tomllib
from dataclasses import dataclass, fields
from importlib.resources import files
from pathlib import Path
from typing import Any

MIN_DECIMALS, MAX_DECIMALS = 2, 9
_KEY_NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")
_CURRENCY = re.compile(r"[A-Z]{3}")


class BadTokenSpec(ValueError):
    """`token.toml` says something that cannot be deployed; the text names the field."""


@dataclass(frozen=True, slots=True)
class Roles:
    """Role → name of the key that holds it; each another key."""

    mint_authority: str
    metadata_authority: str
    freeze_authority: str
    permanent_delegate: str
    pause_authority: str
    treasury: str
    fee_payer: str


@dataclass(frozen=True, slots=True)
class EvmRoles:
    """Role → name of the key that holds it on an EVM chain; each another key."""

    admin: str
    master_minter: str
    pauser: str
    freezer: str
    confiscator: str
    rescuer: str
    minter: str
    treasury: str
    relayer: str


@dataclass(frozen=True, slots=True)
class EvmSpec:
    """`version` is that of the EIP-712 domain."""

    version: str
    roles: EvmRoles


@dataclass(frozen=True, slots=True)
class TokenSpec:
    """What is deployed on every chain. `decimals` ≥ 2: a tiyn is a whole number of units."""

    name: str
    symbol: str
    currency: str
    decimals: int
    uri: str
    roles: Roles
    evm: EvmSpec


def load(path: Path | None = None) -> TokenSpec:
    """The specification at `path`, or the one that comes with this package.

    Raises `BadTokenSpec`.
    """
    content = (path or files("contracts") / "token.toml").read_text("utf-8")
    try:
        return parse(tomllib.loads(content))
    except tomllib.TOMLDecodeError as error:
        raise BadTokenSpec(f"not TOML: {error}") from error


def parse(found: dict[str, Any]) -> TokenSpec:
    """Check the parsed file. Unknown fields are refused: a typing error must not pass silently."""
    _only(found, {"name", "symbol", "currency", "decimals", "uri", "roles", "evm"}, "token.toml")
    decimals = found.get("decimals")
    if type(decimals) is not int or not MIN_DECIMALS <= decimals <= MAX_DECIMALS:
        raise BadTokenSpec(f"decimals must be a whole number {MIN_DECIMALS}..{MAX_DECIMALS}")
    roles = _different(_keys(found, "roles", {field.name for field in fields(Roles)}), "roles.")
    return TokenSpec(
        _text(found, "name", 64),
        _text(found, "symbol", 10),
        _currency(found),
        decimals,
        _text(found, "uri", 200),
        Roles(**roles),
        _evm(found),
    )


def _evm(found: dict[str, Any]) -> EvmSpec:
    evm = found.get("evm")
    if not isinstance(evm, dict):
        raise BadTokenSpec("evm must be a table")
    _only(evm, {"version", "roles"}, "evm")
    roles = _keys(evm, "roles", {field.name for field in fields(EvmRoles)}, "evm.")
    return EvmSpec(_text(evm, "version", 8), EvmRoles(**_different(roles, "evm.roles.")))


def _different(roles: dict[str, str], prefix: str) -> dict[str, str]:
    """A key that leaks must be worth one power, not two."""
    holders: dict[str, str] = {}
    for role, key in roles.items():
        if (other := holders.setdefault(key, role)) != role:
            raise BadTokenSpec(f"{prefix}{other} and {prefix}{role} must be different keys")
    return roles


def _keys(found: dict[str, Any], field: str, names: set[str], prefix: str = "") -> dict[str, str]:
    where, roles = prefix + field, found.get(field)
    if not isinstance(roles, dict):
        raise BadTokenSpec(f"{where} must be a table")
    _only(roles, names, where)
    for role in sorted(names):
        key = roles.get(role)
        if not isinstance(key, str) or not _KEY_NAME.fullmatch(key):
            raise BadTokenSpec(f"{where}.{role} must name a key: lower case, digits, hyphens")
    return {role: roles[role] for role in sorted(names)}


def _currency(found: dict[str, Any]) -> str:
    currency = found.get("currency")
    if not isinstance(currency, str) or not _CURRENCY.fullmatch(currency):
        raise BadTokenSpec("currency must be three upper-case letters (ISO 4217)")
    return currency


def _text(found: dict[str, Any], field: str, most_bytes: int) -> str:
    value = found.get(field)
    if not isinstance(value, str) or not 1 <= len(value.encode()) <= most_bytes:
        raise BadTokenSpec(f"{field} must be text of 1..{most_bytes} bytes")
    return value


def _only(found: dict[str, Any], known: set[str], where: str) -> None:
    if unknown := sorted(set(found) - known):
        raise BadTokenSpec(f"{where} has unknown fields: {', '.join(unknown)}")
