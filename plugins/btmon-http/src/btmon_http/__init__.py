# SPDX-License-Identifier: GPL-3.0-or-later
"""btmon-http: receives what a GreenEye Monitor sends over HTTP, by itself and without a gateway."""
