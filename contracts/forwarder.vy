#pragma version 0.4.3
"""
@title What stands behind every deposit address: it hands on what it was sent, and nothing else.
@notice Deposit addresses are minimal proxies to the one instance that the factory deploys. The
        immutables live in that instance's code, so they hold in every proxy; there is no storage,
        no owner and no key. Called by anyone but the factory it refuses, also directly.
@license Apache-2.0
"""

from ethereum.ercs import IERC20

FACTORY: public(immutable(address))
TOKEN: public(immutable(IERC20))
TREASURY: public(immutable(address))


@deploy
def __init__(token: IERC20, treasury: address):
    FACTORY = msg.sender
    TOKEN = token
    TREASURY = treasury


@external
@payable
def __default__():
    """
    @notice Native coin can lie here before there is any code, so it is let in afterwards too.
    """
    assert len(msg.data) == 0, "deposits: unknown function"


@external
def forward(amount: uint256):
    assert msg.sender == FACTORY, "deposits: caller is not the factory"
    assert extcall TOKEN.transfer(TREASURY, amount), "deposits: transfer refused"


@external
def release(token: address, to: address, amount: uint256):
    """
    @notice A stray: another token, or native coin when `token` is zero.
    """
    assert msg.sender == FACTORY, "deposits: caller is not the factory"
    assert token != TOKEN.address, "deposits: the token can only be swept"
    if token == empty(address):
        raw_call(to, b"", value=amount)
    else:
        assert extcall IERC20(token).transfer(
            to, amount, default_return_value=True
        ), "deposits: transfer refused"
