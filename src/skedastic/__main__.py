"""`python -m skedastic` is the command line."""

from skedastic.cli import main

main()
