# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m btcore`, the same as the command `btcore`."""

from btcore.cli import program

program()
