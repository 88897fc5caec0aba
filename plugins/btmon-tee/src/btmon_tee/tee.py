# SPDX-License-Identifier: GPL-3.0-or-later
"""The sink `tee`: passes on each packet that a source has brought, to programs that read it as from a meter."""

from collections.abc import Iterator
from datetime import UTC, datetime

import attrs

from btcore import Batch, Claim, Context, Delivery, Duration, Problem, Reading, hookimpl, plugin, setting
from btmon_tee.readers import Reader
from btmon_tee.service import ReaderService, ReaderSettings

MAX_QUOTED = 40
"""Bytes of what a reader sends that the log shows."""


@plugin(api=1, delivery=Delivery(start_at="end"))
class Tee(ReaderSettings):
    """Passes on the packets of meters, byte for byte, to any number of readers. It takes no commands: `proxy` does."""

    max_age: Duration = setting(
        default=Duration(60),
        help="pass on no packet older than this: most packets have no time, and a reader takes them for new",
        validator=attrs.validators.gt(0),
    )
    _context: Context = attrs.field(init=False, repr=False)
    _service: ReaderService | None = attrs.field(default=None, init=False, repr=False)
    _has_warned: bool = attrs.field(default=False, init=False, repr=False)

    def check(self) -> Iterator[Problem]:
        """Find that nobody can read."""
        yield from self._reader_problems()

    def claims(self) -> Iterator[Claim]:
        """Claim the port, and the connections to readers."""
        yield from self._reader_claims()

    @hookimpl
    def open(self, context: Context) -> None:
        """Begin to serve the readers. Raises Retry if the port is not available."""
        self._context, self._has_warned = context, False
        if not context.dry_run:
            self._service = self._serve(context.log, self._received, lambda _reader: None)

    @hookimpl
    def process_batch(self, batch: Batch) -> int:
        """Pass on the packets; return how many readings had one that is not too old."""
        packets = self._packets(batch)
        if self._service is not None:
            for reading in packets:
                self._service.readers.pass_on(reading.raw)
        return len(packets)

    @hookimpl
    def preview_batch(self, batch: Batch) -> Iterator[str]:
        """Yield what would be passed on."""
        for reading in self._packets(batch):
            yield f"{len(reading.raw)} bytes: packet {reading.format.name} of meter {reading.serial}"

    @hookimpl
    def close(self) -> None:
        """End all connections."""
        service, self._service = self._service, None
        if service is not None:
            service.close()

    def _packets(self, batch: Batch) -> list[Reading]:
        oldest = datetime.now(UTC).timestamp() - self.max_age
        return [reading for reading in batch.readings if reading.raw and reading.timestamp >= oldest]

    def _received(self, reader: Reader, data: bytes) -> bool:
        """Warn once of a reader that sends commands."""
        if not self._has_warned:
            self._has_warned = True
            self._context.log.warning(
                "%s sends %r: a tee passes nothing on to the meter. If it asks for packets or settings, use the source"
                ' "proxy"',
                reader.name,
                data[:MAX_QUOTED],
            )
        return True
