#pragma version 0.4.3
"""
@title KZTE: a tenge stablecoin (ERC-20, EIP-2612, EIP-3009, EIP-5267).
@notice Names that Vyper reserves end with an underscore here (`from_`, `value_`); the build takes
        it off, so that the ABI has the standards' names.
@license Apache-2.0
"""

from ethereum.ercs import IERC20

import kzte_domain as domain
import kzte_roles as roles

initializes: domain
initializes: roles

implements: IERC20

exports: domain.__interface__
exports: roles.__interface__

event Transfer:
    from_: indexed(address)
    to: indexed(address)
    value: uint256

event Approval:
    owner: indexed(address)
    spender: indexed(address)
    value: uint256

event Mint:
    minter: indexed(address)
    to: indexed(address)
    value: uint256
    reference: indexed(bytes32)

event Burn:
    burner: indexed(address)
    value: uint256
    reference: indexed(bytes32)

event Confiscated:
    from_: indexed(address)
    to: indexed(address)
    value: uint256
    caseId: indexed(bytes32)

event Rescued:
    token: indexed(address)
    to: indexed(address)
    value: uint256

event AuthorizationUsed:
    authorizer: indexed(address)
    nonce: indexed(bytes32)

event AuthorizationCanceled:
    authorizer: indexed(address)
    nonce: indexed(bytes32)

PERMIT_TYPEHASH: public(constant(bytes32)) = keccak256(
    "Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)"
)
TRANSFER_WITH_AUTHORIZATION_TYPEHASH: public(constant(bytes32)) = keccak256(
    "TransferWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)"
)
RECEIVE_WITH_AUTHORIZATION_TYPEHASH: public(constant(bytes32)) = keccak256(
    "ReceiveWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)"
)
CANCEL_AUTHORIZATION_TYPEHASH: public(constant(bytes32)) = keccak256(
    "CancelAuthorization(address authorizer,bytes32 nonce)"
)

symbol: public(immutable(String[10]))
decimals: public(immutable(uint8))
currency: public(immutable(String[3]))

totalSupply: public(uint256)
balanceOf: public(HashMap[address, uint256])
allowance: public(HashMap[address, HashMap[address, uint256]])

nonces: public(HashMap[address, uint256])
authorizationState: public(HashMap[address, HashMap[bytes32, bool]])
isReferenceUsed: public(HashMap[bytes32, bool])


@deploy
def __init__(
    name_: String[64],
    symbol_: String[10],
    decimals_: uint8,
    currency_: String[3],
    version_: String[8],
    holders: roles.Holders,
):
    """
    @param version_ Of the EIP-712 domain; wallets sign it.
    @param holders One address per role, each another one.
    """
    domain.__init__(name_, version_)
    roles.__init__(holders)
    symbol = symbol_
    decimals = decimals_
    currency = currency_


# ERC-20


@external
def transfer(to: address, value_: uint256) -> bool:
    roles._require_not_paused()
    self._transfer(msg.sender, to, value_)
    return True


@external
def transferFrom(from_: address, to: address, value_: uint256) -> bool:
    """
    @notice An allowance of 2**256 - 1 is never used up.
    """
    roles._require_not_paused()
    roles._require_not_frozen(msg.sender)
    allowed: uint256 = self.allowance[from_][msg.sender]
    assert value_ <= allowed, "kzte: transfer amount exceeds allowance"

    if allowed != max_value(uint256):
        self.allowance[from_][msg.sender] = allowed - value_
    self._transfer(from_, to, value_)
    return True


@external
def approve(spender: address, value_: uint256) -> bool:
    """
    @notice Also for frozen parties: approving moves nothing.
    """
    roles._require_not_paused()
    self._approve(msg.sender, spender, value_)
    return True


@external
def increaseAllowance(spender: address, added: uint256) -> bool:
    roles._require_not_paused()
    allowed: uint256 = self.allowance[msg.sender][spender]
    assert added <= max_value(uint256) - allowed, "kzte: allowance overflow"

    self._approve(msg.sender, spender, allowed + added)
    return True


@external
def decreaseAllowance(spender: address, taken: uint256) -> bool:
    roles._require_not_paused()
    allowed: uint256 = self.allowance[msg.sender][spender]
    assert taken <= allowed, "kzte: allowance below zero"

    self._approve(msg.sender, spender, allowed - taken)
    return True


# Issuing and redeeming. A reference names what happened at the bank, and is used once.


@external
def mint(to: address, value_: uint256, reference: bytes32) -> bool:
    """
    @param reference Of the issuance that this mint carries out.
    """
    roles._require_minter()
    roles._require_not_paused()
    roles._require_not_frozen(msg.sender)
    roles._require_not_frozen(to)
    assert to != empty(address), "kzte: mint to the zero address"
    assert value_ > 0, "kzte: mint amount is zero"
    assert value_ <= max_value(uint256) - self.totalSupply, "kzte: supply overflow"

    self._use_reference(reference)
    roles._spend_minter_allowance(msg.sender, value_)
    self.totalSupply += value_
    self.balanceOf[to] += value_
    log Mint(minter=msg.sender, to=to, value=value_, reference=reference)
    log Transfer(from_=empty(address), to=to, value=value_)
    return True


@external
def burn(value_: uint256, reference: bytes32) -> bool:
    """
    @notice A minter burns what it holds itself.
    @param reference Of the settlement or redemption that this burn carries out.
    """
    roles._require_minter()
    roles._require_not_paused()
    roles._require_not_frozen(msg.sender)
    assert value_ > 0, "kzte: burn amount is zero"
    balance: uint256 = self.balanceOf[msg.sender]
    assert value_ <= balance, "kzte: burn amount exceeds balance"

    self._use_reference(reference)
    self.balanceOf[msg.sender] = balance - value_
    self.totalSupply -= value_
    log Burn(burner=msg.sender, value=value_, reference=reference)
    log Transfer(from_=msg.sender, to=empty(address), value=value_)
    return True


# Seizing by order, and returning what was sent here by mistake.


@external
def confiscate(from_: address, to: address, value_: uint256, caseId: bytes32) -> bool:
    """
    @notice Take from a frozen account. Works while paused; the supply stays.
    @param caseId Of the order that says so; one order may need several takings.
    """
    assert msg.sender == roles.confiscator, "kzte: caller is not the confiscator"
    assert roles.isFrozen[from_], "kzte: account is not frozen"
    roles._require_not_frozen(to)
    assert value_ > 0, "kzte: confiscated amount is zero"
    assert caseId != empty(bytes32), "kzte: case is not named"

    log Confiscated(from_=from_, to=to, value=value_, caseId=caseId)
    self._move(from_, to, value_)
    return True


@external
def rescueERC20(token: IERC20, to: address, value_: uint256):
    """
    @notice Other tokens that were sent to this contract. KZTE cannot be sent to it.
    """
    assert msg.sender == roles.rescuer, "kzte: caller is not the rescuer"
    assert to != empty(address), "kzte: rescue to the zero address"

    log Rescued(token=token.address, to=to, value=value_)
    # Some tokens answer nothing; an address without code is refused all the same.
    assert extcall token.transfer(to, value_, default_return_value=True), "kzte: rescue refused"


# Signed by the holder, sent by anyone. The forms with v, r, s are below, in `__default__`.


@external
def permit(
    owner: address, spender: address, value_: uint256, deadline: uint256, signature: Bytes[2048]
):
    self._permit(owner, spender, value_, deadline, signature)


@external
def transferWithAuthorization(
    from_: address,
    to: address,
    value_: uint256,
    validAfter: uint256,
    validBefore: uint256,
    nonce: bytes32,
    signature: Bytes[2048],
):
    """
    @notice Who takes this from the mempool and sends it first changes nothing but the sender.
            Contracts that act on the payment use `receiveWithAuthorization`.
    """
    self._transfer_authorized(
        TRANSFER_WITH_AUTHORIZATION_TYPEHASH,
        from_,
        to,
        value_,
        validAfter,
        validBefore,
        nonce,
        signature,
    )


@external
def receiveWithAuthorization(
    from_: address,
    to: address,
    value_: uint256,
    validAfter: uint256,
    validBefore: uint256,
    nonce: bytes32,
    signature: Bytes[2048],
):
    self._receive_authorized(from_, to, value_, validAfter, validBefore, nonce, signature)


@external
def cancelAuthorization(authorizer: address, nonce: bytes32, signature: Bytes[2048]):
    """
    @notice A relayer may still be first: it is canceled when `AuthorizationCanceled` is final.
    """
    self._cancel(authorizer, nonce, signature)


@external
def __default__():
    """
    @notice The same four with v, r, s in place of the signature: Vyper has no overloading. It must
            be these, since a slice of `msg.data` has a fixed length, and only they do.
    """
    assert len(msg.data) >= 4, "kzte: unknown function"
    selector: bytes4 = convert(slice(msg.data, 0, 4), bytes4)
    owner: address = empty(address)
    other: address = empty(address)
    amount: uint256 = 0
    not_before: uint256 = 0
    until: uint256 = 0
    nonce: bytes32 = empty(bytes32)
    v: uint8 = 0
    r: bytes32 = empty(bytes32)
    s: bytes32 = empty(bytes32)

    if selector == method_id(
        "transferWithAuthorization(address,address,uint256,uint256,uint256,bytes32,uint8,bytes32,bytes32)",
        output_type=bytes4,
    ):
        owner, other, amount, not_before, until, nonce, v, r, s = abi_decode(
            slice(msg.data, 4, 288),
            (address, address, uint256, uint256, uint256, bytes32, uint8, bytes32, bytes32),
        )
        self._transfer_authorized(
            TRANSFER_WITH_AUTHORIZATION_TYPEHASH,
            owner,
            other,
            amount,
            not_before,
            until,
            nonce,
            self._joined(v, r, s),
        )
    elif selector == method_id(
        "receiveWithAuthorization(address,address,uint256,uint256,uint256,bytes32,uint8,bytes32,bytes32)",
        output_type=bytes4,
    ):
        owner, other, amount, not_before, until, nonce, v, r, s = abi_decode(
            slice(msg.data, 4, 288),
            (address, address, uint256, uint256, uint256, bytes32, uint8, bytes32, bytes32),
        )
        self._receive_authorized(
            owner, other, amount, not_before, until, nonce, self._joined(v, r, s)
        )
    elif selector == method_id(
        "cancelAuthorization(address,bytes32,uint8,bytes32,bytes32)", output_type=bytes4
    ):
        owner, nonce, v, r, s = abi_decode(
            slice(msg.data, 4, 160), (address, bytes32, uint8, bytes32, bytes32)
        )
        self._cancel(owner, nonce, self._joined(v, r, s))
    elif selector == method_id(
        "permit(address,address,uint256,uint256,uint8,bytes32,bytes32)", output_type=bytes4
    ):
        owner, other, amount, until, v, r, s = abi_decode(
            slice(msg.data, 4, 224),
            (address, address, uint256, uint256, uint8, bytes32, bytes32),
        )
        self._permit(owner, other, amount, until, self._joined(v, r, s))
    else:
        raise "kzte: unknown function"


@internal
def _permit(
    owner: address, spender: address, amount: uint256, deadline: uint256, signature: Bytes[2048]
):
    roles._require_not_paused()
    assert block.timestamp <= deadline, "kzte: permit is expired"
    nonce: uint256 = self.nonces[owner]
    domain._require_signature(
        owner,
        keccak256(abi_encode(PERMIT_TYPEHASH, owner, spender, amount, nonce, deadline)),
        signature,
    )

    self.nonces[owner] = nonce + 1
    self._approve(owner, spender, amount)


@internal
def _receive_authorized(
    from_: address,
    to: address,
    amount: uint256,
    valid_after: uint256,
    valid_before: uint256,
    nonce: bytes32,
    signature: Bytes[2048],
):
    assert msg.sender == to, "kzte: caller is not the payee"
    self._transfer_authorized(
        RECEIVE_WITH_AUTHORIZATION_TYPEHASH,
        from_,
        to,
        amount,
        valid_after,
        valid_before,
        nonce,
        signature,
    )


@internal
def _transfer_authorized(
    typehash: bytes32,
    from_: address,
    to: address,
    amount: uint256,
    valid_after: uint256,
    valid_before: uint256,
    nonce: bytes32,
    signature: Bytes[2048],
):
    # Facilitators map these texts by the words after the colon: they are an interface.
    roles._require_not_paused()
    assert block.timestamp > valid_after, "kzte: authorization is not yet valid"
    assert block.timestamp < valid_before, "kzte: authorization is expired"
    self._require_unused(from_, nonce)
    domain._require_signature(
        from_,
        keccak256(
            abi_encode(typehash, from_, to, amount, valid_after, valid_before, nonce)
        ),
        signature,
    )

    self.authorizationState[from_][nonce] = True
    log AuthorizationUsed(authorizer=from_, nonce=nonce)
    self._transfer(from_, to, amount)


@internal
def _cancel(authorizer: address, nonce: bytes32, signature: Bytes[2048]):
    roles._require_not_paused()
    self._require_unused(authorizer, nonce)
    domain._require_signature(
        authorizer,
        keccak256(abi_encode(CANCEL_AUTHORIZATION_TYPEHASH, authorizer, nonce)),
        signature,
    )

    self.authorizationState[authorizer][nonce] = True
    log AuthorizationCanceled(authorizer=authorizer, nonce=nonce)


@internal
def _transfer(from_: address, to: address, amount: uint256):
    roles._require_not_frozen(from_)
    roles._require_not_frozen(to)
    self._move(from_, to, amount)


@internal
def _move(from_: address, to: address, amount: uint256):
    assert to != empty(address), "kzte: transfer to the zero address"
    balance: uint256 = self.balanceOf[from_]
    assert amount <= balance, "kzte: transfer amount exceeds balance"

    self.balanceOf[from_] = balance - amount
    self.balanceOf[to] += amount
    log Transfer(from_=from_, to=to, value=amount)


@internal
def _approve(owner: address, spender: address, amount: uint256):
    assert spender != empty(address), "kzte: approve to the zero address"

    self.allowance[owner][spender] = amount
    log Approval(owner=owner, spender=spender, value=amount)


@internal
def _use_reference(reference: bytes32):
    assert reference != empty(bytes32), "kzte: reference is empty"
    assert not self.isReferenceUsed[reference], "kzte: reference is used"

    self.isReferenceUsed[reference] = True


@internal
@view
def _require_unused(authorizer: address, nonce: bytes32):
    assert not self.authorizationState[authorizer][nonce], "kzte: authorization is used"


@internal
@pure
def _joined(v: uint8, r: bytes32, s: bytes32) -> Bytes[65]:
    return concat(r, s, convert(v, bytes1))
