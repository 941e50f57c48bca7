"""Where simulated customers keep their keys."""

import errno
from pathlib import Path

import pytest

from sandbox.chains import customers
from sandbox.chains.customers import Keys, MannerUnknown
from sandbox.chains.evm.customers import EvmCustomers
from sandbox.chains.solana.customers import SolanaCustomers

NOWHERE = "http://127.0.0.1:1"
KINDS = [SolanaCustomers, EvmCustomers]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_customer_is_the_same_in_every_process(
    kind: type[SolanaCustomers] | type[EvmCustomers], tmp_path: Path
) -> None:
    first, again = kind(NOWHERE, tmp_path / "wallets"), kind(NOWHERE, tmp_path / "wallets")
    assert first.address("sim-short") == again.address("sim-short") != first.address("sim-over")
    for file in (tmp_path / "wallets").iterdir():
        assert file.stat().st_mode & 0o777 == 0o600
    await first.aclose()
    await again.aclose()


@pytest.mark.parametrize(
    ("kind", "manner", "option"),
    [
        (SolanaCustomers, "token_contract", {"url": "solana:x"}),
        (
            EvmCustomers,
            "bare",
            {
                "url": "ethereum:0x5fbdb2315678afecb367f032d93f642f64180aa3@1/transfer"
                "?address=0x5fbdb2315678afecb367f032d93f642f64180aa3"
            },
        ),
    ],
)
async def test_what_no_wallet_of_a_chain_can_do_is_refused_before_anything_is_sent(
    kind: type[SolanaCustomers] | type[EvmCustomers],
    manner: customers.Manner,
    option: dict[str, str],
    tmp_path: Path,
) -> None:
    people = kind(NOWHERE, tmp_path)
    assert manner not in people.manners
    with pytest.raises(MannerUnknown):
        await people.pay("sim-x", option, 1, manner)
    await people.aclose()


def test_where_nothing_may_be_written_keys_live_as_long_as_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(path: Path, make: object) -> str:
        raise OSError(errno.EROFS, "read-only", str(path))

    monkeypatch.setattr(customers, "stored", refused)
    keys, texts = Keys(tmp_path), iter(("first", "second"))
    assert [keys.text("a.json", lambda: next(texts)) for _ in range(2)] == ["first", "first"]
    assert Keys(tmp_path).text("a.json", lambda: next(texts)) == "second"
