"""`python -m btcore`, the same as the command `btcore`."""

from btcore.cli import program

program()
