"""The token as it stands on the chains; imports nothing of the sandbox."""
