"""Who takes part: merchants with their plans, and the API keys of every role."""
