# SPDX-License-Identifier: GPL-3.0-or-later
"""Meters over TCP: `tcp-server`, which they connect to, and `tcp-client`, which connects to them."""
