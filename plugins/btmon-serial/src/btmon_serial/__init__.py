# SPDX-License-Identifier: GPL-3.0-or-later
"""btmon-serial: Brultech energy monitors on a serial line, for btcore. The plugin is in `line`."""
