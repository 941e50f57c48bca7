"""Every invariant recomputed on request: the sandbox proves its own books."""
