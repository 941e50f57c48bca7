"""Recordings: their file, what is on it, and how two of them are compared."""
