"""What the EVM contracts can be asked and told: signatures, gas, and who may sign for what."""

from collections.abc import Sequence
from dataclasses import dataclass

from sandbox.chains.evm.accounts import LocalAccount
from sandbox.chains.evm.keys import EvmKeys
from sandbox.chains.evm.tx import call_data, reference_word
from sandbox.chains.port import Command

TOTAL_SUPPLY, BALANCE_OF = "totalSupply()", "balanceOf(address)"
IS_FROZEN, IS_PAUSED = "isFrozen(address)", "paused()"
IS_MINTER = "isMinter(address)"
MINT, BURN = "mint(address,uint256,bytes32)", "burn(uint256,bytes32)"
TRANSFER = "transfer(address,uint256)"
FREEZE, UNFREEZE = "freeze(address)", "unfreeze(address)"
CONFISCATE = "confiscate(address,address,uint256,bytes32)"
PAUSE, UNPAUSE = "pause()", "unpause()"
SWEEP_MANY, HELD = "sweepMany(bytes32[])", "held(bytes32[])"
MAX_COUNTED = 2048
"""Addresses that one `held` takes."""
CONFIGURE_MINTER = "configureMinter(address,uint256)"

# Limits, not prices: an estimate would refuse what must fail on chain. About twice what the
# dearest case takes (EVM.md, sections 6 and 7).
CALL_GAS = 200_000
SWEEP_GAS, SWEEP_GAS_EACH = 100_000, 150_000
GIVE_GAS = 60_000

NONCE_VIEWS = ("finalized", "latest", "pending")


@dataclass(frozen=True, slots=True)
class OperatorState:
    """A key that signs for the sandbox: nonces used at final, in blocks, and with the pool's."""

    role: str
    address: str
    nonce_final: int
    nonce: int
    nonce_pending: int
    balance_wei: int


def of(
    command: Command, keys: EvmKeys, recipient: str, salts: Sequence[bytes], holder: str = ""
) -> tuple[LocalAccount, bytes, int]:
    """(who signs, the call, its gas) for a command; addresses in lower case.

    A rotation is none: the admin's functions would need a new key in every place that knows one.
    """
    units, reference = command.amount_units, reference_word(command.reference)
    match command.action:
        case "mint":
            return keys.minter, call_data(MINT, recipient, units, reference), CALL_GAS
        case "burn":
            return keys.treasury, call_data(BURN, units, reference), CALL_GAS
        case "transfer":
            return keys.treasury, call_data(TRANSFER, recipient, units), CALL_GAS
        case "sweep":
            gas = SWEEP_GAS + SWEEP_GAS_EACH * len(salts)
            return keys.relayer, call_data(SWEEP_MANY, list(salts)), gas
        case "freeze":
            return keys.freezer, call_data(FREEZE, recipient), CALL_GAS
        case "thaw":
            return keys.freezer, call_data(UNFREEZE, recipient), CALL_GAS
        case "seize":
            # The contract takes from frozen holders only: who is not is refused on chain.
            data = call_data(CONFISCATE, holder, recipient, units, reference)
            return keys.confiscator, data, CALL_GAS
        case "pause":
            return keys.pauser, call_data(PAUSE), CALL_GAS
        case "resume":
            return keys.pauser, call_data(UNPAUSE), CALL_GAS
        case "rotate":
            raise AssertionError("refused before it came here")
