"""`python -m sandbox.cli`, the same as `sandbox`."""

from sandbox.cli import main

main()
