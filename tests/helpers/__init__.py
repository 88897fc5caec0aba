# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests of several packages share: makers of packets, entries, readings and sites, and the program at work.

One noun a module, and no test in them. What talks over a network or a serial line is in `servers/`.
"""
