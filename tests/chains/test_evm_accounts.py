"""What signing loads, and what it must not."""

import subprocess
import sys

# A process of its own: in this one others have loaded everything.
PROGRAM = """
import sys
import sandbox.worker
from sandbox.chains.evm.accounts import Account
from eth_account.signers.local import LocalAccount

dear = {"web3", "py_ecc.bls", "py_ecc.bls12_381"} & set(sys.modules)
assert not dear, f"the worker loads {dear}"
assert isinstance(Account.create(), LocalAccount)
kept = Account.encrypt(b"\\x01" * 32, "word", iterations=2)
assert bytes(Account.decrypt(kept, "word")) == b"\\x01" * 32

from py_ecc.bls import G2ProofOfPossession
from py_ecc.bls12_381 import curve_order
from sandbox.chains.evm import accounts

assert G2ProofOfPossession.SkToPk(1), "who asks for the curve itself gets the real one"
assert curve_order == accounts._ORDER
"""


def test_a_worker_loads_no_curve_of_validators_and_whoever_asks_for_it_gets_the_real_one() -> None:
    run = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
