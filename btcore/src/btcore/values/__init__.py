# SPDX-License-Identifier: GPL-3.0-or-later
"""One value of a setting: converted from TOML for a plugin, checked, and written as TOML again.

The tables of a configuration, and the lines of a file, belong to the wing `config`.
"""
