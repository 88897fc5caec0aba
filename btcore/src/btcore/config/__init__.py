# SPDX-License-Identifier: GPL-3.0-or-later
"""The configuration: a site.toml becomes settings and plugin instances, or a list of mistakes with their lines.

Nothing is opened or sent here: that belongs to the wings `sources`, `sinks` and `runtime`.
"""
