"""What a merchant runs: speaks HTTP only, imports nothing of the sandbox."""
