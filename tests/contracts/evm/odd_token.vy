#pragma version 0.4.3
# A token that answers as `mode` says: 0 true, 1 false, 2 nothing at all, 3 reverts, 4 moves
# nothing and says true.

event Transfer:
    sender: indexed(address)
    receiver: indexed(address)
    value: uint256

balanceOf: public(HashMap[address, uint256])
rescuer: public(address)
mode: public(uint256)


@deploy
def __init__(rescuer: address):
    self.rescuer = rescuer


@external
def behave(mode: uint256):
    self.mode = mode


@external
def give(to: address, amount: uint256):
    self.balanceOf[to] += amount


@external
@raw_return
def transfer(to: address, amount: uint256) -> Bytes[32]:
    if self.mode == 3:
        raise "odd: no"
    if self.mode == 1:
        return abi_encode(False)
    if self.mode != 4:
        self.balanceOf[msg.sender] -= amount
        self.balanceOf[to] += amount
        log Transfer(sender=msg.sender, receiver=to, value=amount)
    if self.mode == 2:
        return b""
    return abi_encode(True)
