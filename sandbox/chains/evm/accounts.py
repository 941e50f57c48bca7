"""Keys and signatures of eth-account, loaded without what only validators' keystores need.

Those are files of Ethereum's validators (EIP-2335). The tables of their curve, BLS12-381, would be
computed at each import: a fifth of a process's start.
"""

import sys
from types import ModuleType

_UNUSED = ("py_ecc.bls", "py_ecc.bls12_381")
_ORDER = 0x73EDA753299D7D483339D80809A1D80553BDA402FFFE5BFEFFFFFFFF00000001


def _load() -> None:
    if "eth_keyfile" in sys.modules or any(name in sys.modules for name in _UNUSED):
        return
    signatures, curve = map(ModuleType, _UNUSED)
    vars(signatures)["G2ProofOfPossession"], vars(curve)["curve_order"] = None, _ORDER
    sys.modules.update(zip(_UNUSED, (signatures, curve), strict=True))
    try:
        # Untyped, and wanted only to be loaded before eth_account asks for it.
        import eth_keyfile  # type: ignore[import-not-found,unused-ignore]  # noqa: F401 - as above
    finally:
        # Whoever computes on the curve itself gets the real ones.
        for name in _UNUSED:
            del sys.modules[name]


_load()

# Not before.
from eth_account import Account  # noqa: E402  see above
from eth_account.signers.local import LocalAccount  # noqa: E402  see above

__all__ = ["Account", "LocalAccount"]
