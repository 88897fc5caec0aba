# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests of a plugin work with: packets and batches, a clock, a hosted service, a meter, runs of btcore.

Each room is one thing, and knows nothing of any plugin. What must hold for every plugin is in `conformance/`.
"""
