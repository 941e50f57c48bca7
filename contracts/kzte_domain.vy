#pragma version 0.4.3
"""
@title What KZTE holders sign, and who signed it: EIP-712 domain, ECDSA and smart wallets.
@license Apache-2.0
"""

DOMAIN_TYPEHASH: constant(bytes32) = keccak256(
    "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
)
# Half of the order of secp256k1: a signature with a larger s has a twin with a smaller one (EIP-2).
HALF_ORDER: constant(
    uint256
) = 57896044618658097711785492504343953926418782139537452191302581570759080747168
ERC1271_VALID: constant(bytes4) = 0x1626ba7e

name: public(immutable(String[64]))
version: public(immutable(String[8]))
NAME_HASH: immutable(bytes32)
VERSION_HASH: immutable(bytes32)
DEPLOYED_CHAIN_ID: immutable(uint256)
DEPLOYED_SEPARATOR: immutable(bytes32)


@deploy
def __init__(name_: String[64], version_: String[8]):
    name = name_
    version = version_
    NAME_HASH = keccak256(name_)
    VERSION_HASH = keccak256(version_)
    DEPLOYED_CHAIN_ID = chain.id
    DEPLOYED_SEPARATOR = keccak256(
        abi_encode(DOMAIN_TYPEHASH, NAME_HASH, VERSION_HASH, chain.id, self)
    )


@external
@view
def DOMAIN_SEPARATOR() -> bytes32:
    return self._separator()


@external
@view
def eip712Domain() -> (
    bytes1, String[64], String[8], uint256, address, bytes32, DynArray[uint256, 1]
):
    """
    @notice What wallets must sign under (EIP-5267): no salt, no extensions.
    """
    return 0x0f, name, version, chain.id, self, empty(bytes32), []


@internal
@view
def _separator() -> bytes32:
    # After a fork of the chain the old signatures must not count on the new branch.
    if chain.id == DEPLOYED_CHAIN_ID:
        return DEPLOYED_SEPARATOR
    return keccak256(abi_encode(DOMAIN_TYPEHASH, NAME_HASH, VERSION_HASH, chain.id, self))


@internal
@view
def _require_signature(signer: address, struct_hash: bytes32, signature: Bytes[2048]):
    digest: bytes32 = keccak256(concat(b"\x19\x01", self._separator(), struct_hash))
    # ECDSA first: an EIP-7702 account has code, and yet its owner signs with a plain key.
    assert self._is_ecdsa(signer, digest, signature) or self._is_erc1271(
        signer, digest, signature
    ), "kzte: invalid signature"


@internal
@pure
def _is_ecdsa(signer: address, digest: bytes32, signature: Bytes[2048]) -> bool:
    if len(signature) != 65:
        return False
    r: uint256 = convert(slice(signature, 0, 32), uint256)
    s: uint256 = convert(slice(signature, 32, 32), uint256)
    v: uint256 = convert(slice(signature, 64, 1), uint256)
    if s > HALF_ORDER or v not in [27, 28]:
        return False
    recovered: address = ecrecover(digest, v, r, s)
    # The precompile's answer to nonsense is the zero address, which must never sign.
    return recovered != empty(address) and recovered == signer


@internal
@view
def _is_erc1271(signer: address, digest: bytes32, signature: Bytes[2048]) -> bool:
    if not signer.is_contract:
        return False
    success: bool = False
    answer: Bytes[64] = b""
    # Room for more than one word, so that a longer answer is seen to be longer.
    success, answer = raw_call(
        signer,
        abi_encode(
            digest, signature, method_id=method_id("isValidSignature(bytes32,bytes)")
        ),
        max_outsize=64,
        is_static_call=True,
        revert_on_failure=False,
    )
    return success and answer == abi_encode(ERC1271_VALID)
