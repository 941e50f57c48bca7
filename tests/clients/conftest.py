"""The Solana fixtures of the chains' tests."""

from tests.chains.solana_fixtures import solana_rpc, solana_world

__all__ = ["solana_rpc", "solana_world"]
