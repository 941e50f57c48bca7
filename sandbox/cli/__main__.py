"""`python -m sandbox.cli`, the same as `sandbox`."""

from sandbox.cli.commands import main

main()
