"""`python -m stream` is the `lately` command."""

from stream.cli import main

main()
