# SPDX-License-Identifier: GPL-3.0-or-later
"""btmon-influxdb: writes what the meters measure to InfluxDB and VictoriaMetrics, for btcore."""
