# SPDX-License-Identifier: GPL-3.0-or-later
"""What both sinks share: the settings that name metrics and choose channels."""

import re
from typing import Any

import attrs

from btcore import Batch, ChannelRef, Context, Sample, SerialNames, Serials, setting
from btmon_prometheus.series import Point, Selection, TemperatureUnit


def check_prefix(_instance: object, _attribute: Any, text: str) -> None:  # noqa: ANN401 - attrs' own type
    """Raise ValueError for what no name of a metric can begin with."""
    if not re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", text):
        raise ValueError("expected letters, digits and underscores, and no digit first")


@attrs.define(kw_only=True, eq=False, slots=False)
class SeriesSink:
    """Base of the plugin classes of this package."""

    prefix: str = setting(
        default="energy",
        help="what the names of all metrics begin with, as in energy_power_watts",
        validator=check_prefix,
    )
    channels: list[ChannelRef] = setting(  # noqa: RUF009 - a field
        factory=list, help='only these channels and sensors, such as "399999_ch1" or "t1"; empty: all'
    )
    temperature_unit: TemperatureUnit = setting(  # noqa: RUF009 - a field
        default="celsius", help="what the meters are set to send; it is always passed on in degrees Celsius"
    )
    _context: Context = attrs.field(init=False, repr=False)
    _meter_names: SerialNames = attrs.field(init=False, repr=False)
    _selection: Selection = attrs.field(init=False, repr=False)

    def _prepare(self, context: Context, serials: Serials) -> None:
        """Take what the site says. `serials` is how its meters are named."""
        self._context = context
        named = {ref.serial for ref in self.channels} | {key.partition("_")[0] for key in context.channels}
        self._meter_names = SerialNames(serials, named)
        self._selection = Selection(
            channels=self.channels,
            meter_name=self._meter_names.__getitem__,
            channel_name=self._channel_name,
            polarity=context.polarity,
            temperature_unit=self.temperature_unit,
        )

    def _channel_name(self, serial: str, channel: str) -> str:
        """Return the name of [channels], else meter and channel."""
        return self._context.channels.get(f"{serial}_{channel}") or f"{self._meter_names[serial]}_{channel}"

    def _points(self, batch: Batch) -> dict[Sample, list[Point]]:
        """Return the points of each sample of which anything is wanted."""
        found = {sample: self._selection.points(sample) for sample in batch.samples}
        return {sample: points for sample, points in found.items() if points}


def count_readings(batch: Batch, wanted: dict[Sample, list[Point]]) -> int:
    """Return how many readings of a batch end a sample of which something is wanted."""
    offsets = {sample.newer.offset for sample in wanted}
    return sum(reading.offset in offsets for reading in batch.readings)
