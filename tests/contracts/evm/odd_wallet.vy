#pragma version 0.4.3
# A smart wallet (ERC-1271) that answers as `mode` says.

interface IToken:
    def balanceOf(holder: address) -> uint256: view

OWNER: immutable(address)
TOKEN: immutable(address)
mode: public(uint256)
written: public(uint256)


@deploy
def __init__(owner: address, token: address):
    OWNER = owner
    TOKEN = token


@external
def behave(mode: uint256):
    self.mode = mode


@external
@raw_return
def isValidSignature(digest: bytes32, signature: Bytes[2048]) -> Bytes[96]:
    valid: Bytes[32] = abi_encode(0x1626ba7e)
    if self.mode == 0 and self._is_owners(digest, signature):
        return valid
    if self.mode == 1:  # the right four bytes, dirt behind them
        return concat(0x1626ba7e, b"\x01", x"000000000000000000000000000000000000000000000000000000")
    if self.mode == 2:  # four bytes only
        return b"\x16\x26\xba\x7e"
    if self.mode == 3:  # two words
        return concat(valid, valid)
    if self.mode == 4:
        raise "wallet: no"
    if self.mode == 5:
        self.written += 1
        return valid
    if self.mode == 6:  # reads the token, as spending limits do
        if staticcall IToken(TOKEN).balanceOf(self) > 0:
            return valid
    if self.mode == 7:  # nothing
        return b""
    if self.mode == 8:  # says yes to anything
        return valid
    if self.mode == 9:  # three words
        return concat(valid, valid, valid)
    return abi_encode(0xffffffff)


@internal
@view
def _is_owners(digest: bytes32, signature: Bytes[2048]) -> bool:
    if len(signature) < 65:
        return False
    r: uint256 = convert(slice(signature, 0, 32), uint256)
    s: uint256 = convert(slice(signature, 32, 32), uint256)
    v: uint256 = convert(slice(signature, 64, 1), uint256)
    return ecrecover(digest, v, r, s) == OWNER
