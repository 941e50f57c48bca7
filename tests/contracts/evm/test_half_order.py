"""Where the two signatures of one message meet (A12). No wallet can be made to sign there, since
what is signed names the signer; so this asks the rule itself, as the token's own module has it."""

from pathlib import Path

import pytest
from eth_keys import keys
from vyper import compile_code
from vyper.compiler.input_bundle import FilesystemInputBundle

import contracts
from contracts.evm import SETTINGS, VYPER, Artifact
from tests.contracts.evm.calls import Contract, deploy
from tests.contracts.evm.world import HALF_ORDER, ORDER, word

ASKED = """
import kzte_domain as domain

initializes: domain

@deploy
def __init__():
    domain.__init__("Anything", "1")

@external
@pure
def is_ecdsa(signer: address, digest: bytes32, signature: Bytes[2048]) -> bool:
    return domain._is_ecdsa(signer, digest, signature)
"""
# The x of a point of the curve (its generator), whose y is even: v is 27.
R, V = 0x79BE667EF9DCBBAC55A06295CE870B07029BFCDB2DCE28D959F2815B16F81798, 27
DIGEST = word("anything")


@pytest.fixture
def rule() -> Contract:
    folder = Path(contracts.__file__).parent
    found = compile_code(
        ASKED, input_bundle=FilesystemInputBundle([folder]), output_formats=["abi", "bytecode"]
    )
    bytecode = bytes.fromhex(found["bytecode"].removeprefix("0x"))
    return deploy(Artifact("asked", found["abi"], bytecode, b"", VYPER, SETTINGS, ""))


@pytest.mark.parametrize(
    ("s", "counts"),
    [(1, True), (HALF_ORDER, True), (HALF_ORDER + 1, False), (ORDER - 1, False)],
)
def test_s_counts_up_to_half_of_the_order_and_no_further(
    rule: Contract, s: int, counts: bool
) -> None:
    signed = keys.Signature(vrs=(V - 27, R, s))
    signer = signed.recover_public_key_from_msg_hash(DIGEST).to_checksum_address()
    signature = R.to_bytes(32, "big") + s.to_bytes(32, "big") + bytes([V])
    assert rule.is_ecdsa(signer, DIGEST, signature) is counts
