#pragma version 0.4.3
"""
@title Who may do what with KZTE, who is frozen, and whether everything stands still.
@notice Every power has a key of its own: an address that holds one role is refused for any other,
        so that no single stolen key can both freeze and take, or both allow minting and mint.
@license Apache-2.0
"""

struct Holders:
    admin: address
    masterMinter: address
    pauser: address
    freezer: address
    confiscator: address
    rescuer: address

event AdminProposed:
    admin: indexed(address)
    pending: indexed(address)

event RoleChanged:
    role: String[16]
    previous: indexed(address)
    current: indexed(address)

event MinterConfigured:
    minter: indexed(address)
    allowance: uint256

event MinterRemoved:
    minter: indexed(address)

event Paused:
    pauser: indexed(address)

event Unpaused:
    pauser: indexed(address)

event Frozen:
    account: indexed(address)

event Unfrozen:
    account: indexed(address)

admin: public(address)
pendingAdmin: public(address)
masterMinter: public(address)
pauser: public(address)
freezer: public(address)
confiscator: public(address)
rescuer: public(address)

isMinter: public(HashMap[address, bool])
minterAllowance: public(HashMap[address, uint256])

paused: public(bool)
isFrozen: public(HashMap[address, bool])


@deploy
def __init__(holders: Holders):
    self.admin = self._free(holders.admin)
    self.masterMinter = self._free(holders.masterMinter)
    self.pauser = self._free(holders.pauser)
    self.freezer = self._free(holders.freezer)
    self.confiscator = self._free(holders.confiscator)
    self.rescuer = self._free(holders.rescuer)
    # Wallets that misread a payment link send to the token's own address: refused, not lost.
    self.isFrozen[self] = True


# Admin: names the others, in two steps for itself.


@external
def proposeAdmin(account: address):
    """
    @notice The admin stays until `account` accepts. Zero withdraws what was proposed.
    """
    self._require_admin()
    if account != empty(address):
        self._free(account)

    self.pendingAdmin = account
    log AdminProposed(admin=self.admin, pending=account)


@external
def acceptAdmin():
    """
    @notice Only the proposed admin; it may have been given another role since it was proposed.
    """
    assert msg.sender == self.pendingAdmin, "kzte: caller is not the pending admin"
    self._free(msg.sender)

    previous: address = self.admin
    self.admin = msg.sender
    self.pendingAdmin = empty(address)
    log RoleChanged(role="admin", previous=previous, current=msg.sender)


@external
def updateMasterMinter(account: address):
    self._require_admin()
    previous: address = self.masterMinter
    self.masterMinter = self._free(account)
    log RoleChanged(role="masterMinter", previous=previous, current=account)


@external
def updatePauser(account: address):
    self._require_admin()
    previous: address = self.pauser
    self.pauser = self._free(account)
    log RoleChanged(role="pauser", previous=previous, current=account)


@external
def updateFreezer(account: address):
    self._require_admin()
    previous: address = self.freezer
    self.freezer = self._free(account)
    log RoleChanged(role="freezer", previous=previous, current=account)


@external
def updateConfiscator(account: address):
    self._require_admin()
    previous: address = self.confiscator
    self.confiscator = self._free(account)
    log RoleChanged(role="confiscator", previous=previous, current=account)


@external
def updateRescuer(account: address):
    self._require_admin()
    previous: address = self.rescuer
    self.rescuer = self._free(account)
    log RoleChanged(role="rescuer", previous=previous, current=account)


# Minters: each may mint up to its allowance, and burn what it holds itself. A minter with an
# allowance of zero only burns.


@external
def configureMinter(minter: address, allowance: uint256) -> bool:
    """
    @notice Make `minter` a minter with exactly this allowance, whatever it had before.
    """
    self._require_master_minter()
    self._require_not_paused()
    if not self.isMinter[minter]:
        self._free(minter)

    self.isMinter[minter] = True
    self._set_minter_allowance(minter, allowance)
    return True


@external
def increaseMinterAllowance(minter: address, added: uint256) -> bool:
    """
    @notice Unlike `configureMinter` this cannot undo a mint that is on its way.
    """
    self._require_master_minter()
    self._require_not_paused()
    assert self.isMinter[minter], "kzte: account is not a minter"
    allowance: uint256 = self.minterAllowance[minter]
    assert added <= max_value(uint256) - allowance, "kzte: allowance overflow"

    self._set_minter_allowance(minter, allowance + added)
    return True


@external
def decreaseMinterAllowance(minter: address, taken: uint256) -> bool:
    """
    @notice Down to zero at most. Works while paused, as taking power away always does.
    """
    self._require_master_minter()
    assert self.isMinter[minter], "kzte: account is not a minter"

    self._set_minter_allowance(minter, self.minterAllowance[minter] - min(taken, self.minterAllowance[minter]))
    return True


@external
def removeMinter(minter: address) -> bool:
    """
    @notice It can neither mint nor burn from here on. Works while paused.
    """
    self._require_master_minter()

    self.isMinter[minter] = False
    self.minterAllowance[minter] = 0
    log MinterRemoved(minter=minter)
    return True


# Stopping everybody, and stopping one holder.


@external
def pause():
    assert msg.sender == self.pauser, "kzte: caller is not the pauser"

    self.paused = True
    log Paused(pauser=msg.sender)


@external
def unpause():
    assert msg.sender == self.pauser, "kzte: caller is not the pauser"

    self.paused = False
    log Unpaused(pauser=msg.sender)


@external
def freeze(account: address):
    """
    @notice `account` neither sends nor receives. Role holders can be frozen and keep their role.
    """
    assert msg.sender == self.freezer, "kzte: caller is not the freezer"

    self.isFrozen[account] = True
    log Frozen(account=account)


@external
def unfreeze(account: address):
    assert msg.sender == self.freezer, "kzte: caller is not the freezer"
    assert account != self, "kzte: the token itself stays frozen"

    self.isFrozen[account] = False
    log Unfrozen(account=account)


@internal
def _set_minter_allowance(minter: address, allowance: uint256):
    self.minterAllowance[minter] = allowance
    log MinterConfigured(minter=minter, allowance=allowance)


@internal
def _spend_minter_allowance(minter: address, amount: uint256):
    allowance: uint256 = self.minterAllowance[minter]
    assert amount <= allowance, "kzte: mint amount exceeds the minter's allowance"

    self.minterAllowance[minter] = allowance - amount


@internal
@view
def _free(account: address) -> address:
    assert account != empty(address), "kzte: role for the zero address"
    assert (
        account
        not in [
            self.admin,
            self.masterMinter,
            self.pauser,
            self.freezer,
            self.confiscator,
            self.rescuer,
        ]
        and not self.isMinter[account]
    ), "kzte: account already holds a role"
    return account


@internal
@view
def _require_admin():
    assert msg.sender == self.admin, "kzte: caller is not the admin"


@internal
@view
def _require_master_minter():
    assert msg.sender == self.masterMinter, "kzte: caller is not the master minter"


@internal
@view
def _require_minter():
    assert self.isMinter[msg.sender], "kzte: caller is not a minter"


@internal
@view
def _require_not_paused():
    assert not self.paused, "kzte: paused"


@internal
@view
def _require_not_frozen(account: address):
    assert not self.isFrozen[account], "kzte: account is frozen"
