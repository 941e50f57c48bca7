"""The event log, which is the settlement log: leaves, positions, checkpoints, proofs."""
