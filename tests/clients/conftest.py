"""The fixtures of the chains' tests."""

from tests.chains.evm_fixtures import evm_rpc, evm_world
from tests.chains.solana_fixtures import solana_rpc, solana_world

__all__ = ["evm_rpc", "evm_world", "solana_rpc", "solana_world"]
