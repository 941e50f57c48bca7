"""KZTE on Solana: the adapter of the `Chain` port, deployment and wallet."""
