# SPDX-License-Identifier: GPL-3.0-or-later
"""btmon-pipe: what the meters measure, as lines of JSON or CSV for programs, files, sockets and web addresses."""
