"""Signing runs in native code. Without `coincurve` nothing warns: it is about ten times slower."""

from eth_account import Account
from eth_keys import keys
from eth_keys.backends import CoinCurveECCBackend


def test_keys_are_used_by_coincurve() -> None:
    assert isinstance(keys.backend, CoinCurveECCBackend)


def test_accounts_sign_and_recover_by_coincurve() -> None:
    assert isinstance(Account._keys.backend, CoinCurveECCBackend)
    assert isinstance(Account.from_key(b"\1" * 32)._key_obj.backend, CoinCurveECCBackend)
