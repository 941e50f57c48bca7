"""`token.toml`: refusals by field, and what comes with the package."""

from pathlib import Path
from typing import Any

import pytest

from contracts import token

GOOD: dict[str, Any] = {
    "name": "Test",
    "symbol": "T",
    "currency": "KZT",
    "decimals": 2,
    "uri": "https://t.invalid",
    "roles": {
        "mint_authority": "a",
        "metadata_authority": "d",
        "freeze_authority": "b",
        "permanent_delegate": "e",
        "pause_authority": "c",
        "treasury": "t",
        "fee_payer": "f",
    },
    "evm": {
        "version": "1",
        "roles": {
            "admin": "a",
            "master_minter": "b",
            "pauser": "c",
            "freezer": "d",
            "confiscator": "e",
            "rescuer": "g",
            "minter": "h",
            "treasury": "t",
            "relayer": "f",
        },
    },
}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"decimals": 1}, "decimals"),
        ({"decimals": 10}, "decimals"),
        ({"decimals": True}, "decimals"),
        ({"decimals": "2"}, "decimals"),
        ({"name": ""}, "name"),
        ({"symbol": "ELEVENBYTES"}, "symbol"),
        ({"uri": "x" * 201}, "uri"),
        ({"roles": None}, "roles"),
        (
            {"roles": {**GOOD["roles"], "treasury": "f"}},
            "roles.fee_payer and roles.treasury must be different keys",
        ),
        (
            {"roles": {**GOOD["roles"], "permanent_delegate": "b"}},
            "roles.freeze_authority and roles.permanent_delegate must be different keys",
        ),
        ({"roles": {**GOOD["roles"], "treasury": "../x"}}, "roles.treasury"),
        ({"roles": {**GOOD["roles"], "owner": "x"}}, "owner"),
        ({"decimal": 2}, "decimal"),
        ({"currency": "kzt"}, "currency"),
        ({"evm": None}, "evm must be a table"),
        ({"evm": {**GOOD["evm"], "version": "123456789"}}, "version"),
        ({"evm": {**GOOD["evm"], "roles": None}}, "evm.roles must be a table"),
        (
            {"evm": {"version": "1", "roles": {**GOOD["evm"]["roles"], "freezer": "e"}}},
            "evm.roles.confiscator and evm.roles.freezer must be different keys",
        ),
    ],
)
def test_a_bad_field_is_refused_by_name(change: dict[str, Any], field: str) -> None:
    with pytest.raises(token.BadTokenSpec, match=field):
        token.parse({**GOOD, **change})


def test_a_missing_role_is_refused_by_name() -> None:
    roles = {name: key for name, key in GOOD["roles"].items() if name != "pause_authority"}
    with pytest.raises(token.BadTokenSpec, match="pause_authority"):
        token.parse({**GOOD, "roles": roles})


def test_a_file_that_is_not_toml_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "token.toml"
    path.write_text("name = ")
    with pytest.raises(token.BadTokenSpec, match="not TOML"):
        token.load(path)


def test_the_token_that_comes_with_the_package_is_valid() -> None:
    spec = token.load()
    assert (spec.symbol, spec.decimals) == ("KZTE", 2)
    assert spec.roles.mint_authority != spec.roles.pause_authority
