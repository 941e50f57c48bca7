"""The `sandbox` command line."""
