"""`python -m stream` is the `lately` command."""

from stream.cli.main import main

main()
