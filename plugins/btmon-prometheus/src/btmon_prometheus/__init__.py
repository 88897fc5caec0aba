# SPDX-License-Identifier: GPL-3.0-or-later
"""btmon-prometheus: what the meters measure, for Prometheus and what speaks its protocols, for btcore."""
