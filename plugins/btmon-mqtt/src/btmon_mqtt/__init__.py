# SPDX-License-Identifier: GPL-3.0-or-later
"""Publishes what the meters measure to an MQTT broker: as btmon did, as JSON, and for Home Assistant."""
