"""Test wallets: where their keys are kept."""

from pathlib import Path

import pytest

from sandbox.cli.wallets import BadWalletName, wallet

ENDPOINTS = {"solana_rpc": "http://127.0.0.1:1", "evm_rpc": "http://127.0.0.1:1"}
CHAINS = ("solana", "evm")


@pytest.mark.parametrize("chain", CHAINS)
@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "/x", ".x", "a\0b", "x" * 65])
def test_a_name_that_leads_out_of_the_folder_is_refused(
    tmp_path: Path, chain: str, name: str
) -> None:
    with pytest.raises(BadWalletName):
        wallet(ENDPOINTS, tmp_path / "data", chain, name)
    assert list(tmp_path.rglob("*")) == []


@pytest.mark.parametrize("chain", CHAINS)
def test_a_wallet_is_the_same_each_time_and_only_its_owner_reads_it(
    tmp_path: Path, chain: str
) -> None:
    first, again = (wallet(ENDPOINTS, tmp_path, chain, "Айгүл-2") for _ in range(2))
    assert first.address == again.address
    [file] = (tmp_path / "wallets").iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
