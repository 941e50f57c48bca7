"""What only a sandbox has: a faucet with its float, a clock that moves, a way to wait for rest."""
