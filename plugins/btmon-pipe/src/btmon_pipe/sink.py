# SPDX-License-Identifier: GPL-3.0-or-later
"""What all sinks of this package share: the settings that choose what is in a line, and the records of a batch."""

from collections.abc import Iterable, Iterator

import attrs

from btcore import Batch, ChannelRef, Context, SerialNames, Serials, hookimpl, setting
from btmon_pipe.records import Content, Form, Record, Recorder


@attrs.define(kw_only=True, eq=False, slots=False)
class LineSink:
    """Base of the plugin classes of this package."""

    content: Content = setting(  # noqa: RUF009 - a field
        default="samples",
        help="samples: power and energy since the reading before; readings: all numbers as the meter sent them",
    )
    channels: list[ChannelRef] = setting(  # noqa: RUF009 - a field
        factory=list, help='only these channels and sensors, such as "399999_ch1" or "t1"; empty: all'
    )
    _context: Context = attrs.field(init=False, repr=False)
    _recorder: Recorder = attrs.field(init=False, repr=False)

    def _prepare(self, context: Context, serials: Serials, form: Form = "json") -> None:
        """Take what the site says. `serials` is how its meters are named."""
        self._context = context
        named = {ref.serial for ref in self.channels} | {key.partition("_")[0] for key in context.channels}
        meters = SerialNames(serials, named)
        self._recorder = Recorder(
            content=self.content,
            form=form,
            channels=self.channels,
            meter_name=meters.__getitem__,
            channel_name=lambda serial, channel: (
                context.channels.get(f"{serial}_{channel}") or f"{meters[serial]}_{channel}"
            ),
            polarity=context.polarity,
        )

    def _records(self, batch: Batch) -> list[Record]:
        """Return the records of a batch."""
        return self._recorder.records(batch)

    @hookimpl
    def preview_batch(self, batch: Batch) -> Iterator[str]:
        """Yield the lines."""
        for record in self._records(batch):
            yield from (row.line.decode().rstrip("\n") for row in record.rows)


def count_readings(batch: Batch, records: Iterable[Record]) -> int:
    """Return how many readings of a batch have a record."""
    offsets = {record.reading.offset for record in records}
    return sum(reading.offset in offsets for reading in batch.readings)
