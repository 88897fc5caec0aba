# SPDX-License-Identifier: GPL-3.0-or-later
"""The version of this distribution, and of the interface that plugins are written for."""

__version__ = "0.1.0"

API = 1
"""The plugin interface that this core speaks. It rises only when a plugin written for the old one would break."""
