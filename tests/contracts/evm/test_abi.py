"""The shipped ABI is the standards', and both forms of the signed calls are in it (T07, T26)."""

import re
from typing import Any

import pytest

from contracts import evm
from tests.contracts.evm.calls import signature

STANDARD = """
function name() view returns (string)
function symbol() view returns (string)
function decimals() view returns (uint8)
function currency() view returns (string)
function version() view returns (string)
function totalSupply() view returns (uint256)
function balanceOf(address) view returns (uint256)
function allowance(address, address) view returns (uint256)
function transfer(address to, uint256 value) returns (bool)
function transferFrom(address from, address to, uint256 value) returns (bool)
function approve(address spender, uint256 value) returns (bool)
function increaseAllowance(address spender, uint256 added) returns (bool)
function decreaseAllowance(address spender, uint256 taken) returns (bool)
function mint(address to, uint256 value, bytes32 reference) returns (bool)
function burn(uint256 value, bytes32 reference) returns (bool)
function confiscate(address from, address to, uint256 value, bytes32 caseId) returns (bool)
function rescueERC20(address token, address to, uint256 value)
function configureMinter(address minter, uint256 allowance) returns (bool)
function removeMinter(address minter) returns (bool)
function paused() view returns (bool)
function isFrozen(address) view returns (bool)
function authorizationState(address, bytes32) view returns (bool)
function nonces(address) view returns (uint256)
function DOMAIN_SEPARATOR() view returns (bytes32)
function eip712Domain() view returns (bytes1, string, string, uint256, address, bytes32, uint256[])
function PERMIT_TYPEHASH() view returns (bytes32)
function TRANSFER_WITH_AUTHORIZATION_TYPEHASH() view returns (bytes32)
function RECEIVE_WITH_AUTHORIZATION_TYPEHASH() view returns (bytes32)
function CANCEL_AUTHORIZATION_TYPEHASH() view returns (bytes32)
function permit(address owner, address spender, uint256 value, uint256 deadline, bytes signature)
function permit(address owner, address spender, uint256 value, uint256 deadline, uint8 v, bytes32 r, bytes32 s)
function transferWithAuthorization(address from, address to, uint256 value, uint256 validAfter, uint256 validBefore, bytes32 nonce, bytes signature)
function transferWithAuthorization(address from, address to, uint256 value, uint256 validAfter, uint256 validBefore, bytes32 nonce, uint8 v, bytes32 r, bytes32 s)
function receiveWithAuthorization(address from, address to, uint256 value, uint256 validAfter, uint256 validBefore, bytes32 nonce, bytes signature)
function receiveWithAuthorization(address from, address to, uint256 value, uint256 validAfter, uint256 validBefore, bytes32 nonce, uint8 v, bytes32 r, bytes32 s)
function cancelAuthorization(address authorizer, bytes32 nonce, bytes signature)
function cancelAuthorization(address authorizer, bytes32 nonce, uint8 v, bytes32 r, bytes32 s)
event Transfer(address indexed from, address indexed to, uint256 value)
event Approval(address indexed owner, address indexed spender, uint256 value)
event AuthorizationUsed(address indexed authorizer, bytes32 indexed nonce)
event AuthorizationCanceled(address indexed authorizer, bytes32 indexed nonce)
event Mint(address indexed minter, address indexed to, uint256 value, bytes32 indexed reference)
event Burn(address indexed burner, uint256 value, bytes32 indexed reference)
event Confiscated(address indexed from, address indexed to, uint256 value, bytes32 indexed caseId)
"""  # noqa: E501 - a declaration a line, as explorers show them

KZTE = evm.load("kzte")


def human(entry: dict[str, Any], names: bool) -> str:
    inputs = ", ".join(
        " ".join(
            [item["type"]]
            + (["indexed"] if item.get("indexed") else [])
            + ([item["name"]] if names else [])
        )
        for item in entry["inputs"]
    )
    text = f"{entry['type']} {entry['name']}({inputs})"
    if entry.get("stateMutability") == "view":
        text += " view"
    if outputs := entry.get("outputs"):
        text += f" returns ({', '.join(item['type'] for item in outputs)})"
    return text


@pytest.mark.parametrize("line", STANDARD.strip().splitlines())
def test_it_has_the_standards_entry_names_included(line: str) -> None:
    # Getters of mappings have no standard names for what is looked up.
    named = not re.search(r"\((address|address, (address|bytes32))\) view", line)
    entries = [e for e in KZTE.abi if e["type"] in ("function", "event")]
    assert line in [human(dict(entry), named) for entry in entries]


@pytest.mark.parametrize("name", evm.CONTRACTS)
def test_no_name_ends_with_the_underscore_that_stands_for_a_reserved_word(name: str) -> None:
    def names(entry: Any) -> list[str]:
        if isinstance(entry, list):
            return [found for item in entry for found in names(item)]
        if isinstance(entry, dict):
            below = [found for value in entry.values() for found in names(value)]
            return [entry["name"], *below] if "name" in entry else below
        return []

    assert not [found for found in names(list(evm.load(name).abi)) if found.endswith("_")]


@pytest.mark.parametrize("name", evm.CONTRACTS)
def test_no_two_entries_have_one_signature(name: str) -> None:
    found = [signature(e) for e in evm.load(name).abi if e["type"] == "function"]
    assert len(found) == len(set(found))


@pytest.mark.parametrize("name", ["kzte", "deposits"])
def test_nothing_in_it_takes_native_coin(name: str) -> None:
    assert "payable" not in [entry.get("stateMutability") for entry in evm.load(name).abi]
