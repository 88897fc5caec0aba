# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the hourly energy of each channel into Home Assistant's statistics."""
