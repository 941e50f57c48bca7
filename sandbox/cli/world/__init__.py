"""The supervisor's part in snapshots, restores and forks (ADR 0026)."""
