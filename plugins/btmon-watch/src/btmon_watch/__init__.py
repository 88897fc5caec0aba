# SPDX-License-Identifier: GPL-3.0-or-later
"""`btcore watch`: the house and its site in a terminal."""
