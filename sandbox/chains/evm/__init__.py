"""KZTE on an EVM chain: the adapter of the `Chain` port, deployment, wallet, operators."""
