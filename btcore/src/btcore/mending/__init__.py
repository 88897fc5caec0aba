# SPDX-License-Identifier: GPL-3.0-or-later
"""What mends a site: the commands for its dead letters, its replays and its journal.

Each is answered in the running program, over the control socket, or for a site at rest. Delivering again is done by the
sinks' workers; only at rest it is done here.
"""
