# SPDX-License-Identifier: GPL-3.0-or-later
"""btmon-tee: one meter, several readers. The sink is in `tee`, the source in `proxy`."""
