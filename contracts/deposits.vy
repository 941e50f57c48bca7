#pragma version 0.4.3
"""
@title One deposit address per checkout session, and the way of its money to the treasury.
@notice An address exists before its code: `keccak256(0xff, this, salt, initcode)`. Anyone may
        sweep, since the token can reach nobody but the treasury, which never changes.
@license Apache-2.0
"""

from ethereum.ercs import IERC20

interface IForwarder:
    def forward(amount: uint256): nonpayable
    def release(token: address, to: address, amount: uint256): nonpayable

interface IRescuable:
    def rescuer() -> address: view

event Swept:
    salt: indexed(bytes32)
    deposit: indexed(address)
    value: uint256

event SweepFailed:
    salt: indexed(bytes32)
    deposit: indexed(address)
    value: uint256
    reason: Bytes[256]

event Rescued:
    salt: indexed(bytes32)
    token: indexed(address)
    to: indexed(address)
    value: uint256

# 55,000 gas each for new addresses: a full batch is half of a block of 30 million.
MAX_BATCH: constant(uint256) = 256

# 5,000 gas each: within what nodes allow for a view.
MAX_COUNTED: constant(uint256) = 2048

TOKEN: public(immutable(IERC20))
TREASURY: public(immutable(address))
FORWARDER: public(immutable(address))
INITCODE_HASH: immutable(bytes32)


@deploy
def __init__(token: IERC20, treasury: address, forwarder_code: Bytes[4096]):
    """
    @param forwarder_code Creation bytecode of `forwarder.vy`, without its arguments.
    """
    assert token.address.is_contract, "deposits: token has no code"
    assert treasury != empty(address), "deposits: treasury is the zero address"
    TOKEN = token
    TREASURY = treasury
    # Deployed from here, so that it takes this contract for its factory.
    FORWARDER = raw_create(forwarder_code, token, treasury)
    # The 54 bytes of `create_minimal_proxy_to`, not the 55 of other libraries.
    INITCODE_HASH = keccak256(
        concat(
            x"602d3d8160093d39f3363d3d373d3d3d363d73",
            convert(FORWARDER, bytes20),
            x"5af43d82803e903d91602b57fd5bf3",
        )
    )


@external
@view
def depositAddress(salt: bytes32) -> address:
    return self._address_of(salt)


@external
@view
def held(salts: DynArray[bytes32, MAX_COUNTED]) -> uint256:
    """
    @return What lies at these addresses together; one that is named twice counts twice.
    """
    total: uint256 = 0
    for salt: bytes32 in salts:
        total += staticcall TOKEN.balanceOf(self._address_of(salt))
    return total


@external
def sweep(salt: bytes32) -> uint256:
    """
    @return What reached the treasury; 0 when the address was empty.
    """
    deposit: address = self._address_of(salt)
    amount: uint256 = staticcall TOKEN.balanceOf(deposit)
    if amount == 0:
        return 0
    self._ensure_code(salt, deposit)

    extcall IForwarder(deposit).forward(amount)
    log Swept(salt=salt, deposit=deposit, value=amount)
    return amount


@external
def sweepMany(salts: DynArray[bytes32, MAX_BATCH]) -> uint256:
    """
    @notice One that fails (a frozen address) is logged and does not stop the others.
    @return What reached the treasury.
    """
    total: uint256 = 0
    for salt: bytes32 in salts:
        deposit: address = self._address_of(salt)
        amount: uint256 = staticcall TOKEN.balanceOf(deposit)
        if amount == 0:
            continue
        self._ensure_code(salt, deposit)

        success: bool = False
        reason: Bytes[256] = b""
        success, reason = raw_call(
            deposit,
            abi_encode(amount, method_id=method_id("forward(uint256)")),
            max_outsize=256,
            revert_on_failure=False,
        )
        if success:
            total += amount
            log Swept(salt=salt, deposit=deposit, value=amount)
        else:
            log SweepFailed(salt=salt, deposit=deposit, value=amount, reason=reason)
    return total


@external
def rescue(salt: bytes32, token: address, to: address, amount: uint256):
    """
    @notice Another token, or native coin (`token` zero), that was sent to a deposit address. Only
            the token's rescuer; the token itself can only be swept.
    """
    rescuer: address = staticcall IRescuable(TOKEN.address).rescuer()
    assert msg.sender == rescuer, "deposits: caller is not the rescuer"
    assert to != empty(address), "deposits: rescue to the zero address"
    deposit: address = self._address_of(salt)
    self._ensure_code(salt, deposit)

    log Rescued(salt=salt, token=token, to=to, value=amount)
    extcall IForwarder(deposit).release(token, to, amount)


@internal
def _ensure_code(salt: bytes32, deposit: address):
    # A second CREATE2 with the same salt would revert.
    if not deposit.is_contract:
        assert create_minimal_proxy_to(FORWARDER, salt=salt) == deposit


@internal
@view
def _address_of(salt: bytes32) -> address:
    hashed: bytes32 = keccak256(concat(x"ff", convert(self, bytes20), salt, INITCODE_HASH))
    return convert(convert(hashed, uint256) & convert(max_value(uint160), uint256), address)
