"""The EVM devnet: the real anvil behind a JSON-RPC front that paces, journals and guards it.

It knows nothing of KZTE: it is an EVM chain like any other.
"""
