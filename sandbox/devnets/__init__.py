"""Local chains, embedded PostgreSQL and the supervisor that starts the stack; imports core only."""
