# SPDX-License-Identifier: GPL-3.0-or-later
"""The hooks: everything that a plugin can do.

A plugin class implements a hook with a method decorated with `@hookimpl`; it may leave out arguments that it does not
need. Each instance is called by one thread at a time, and only for its own table.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping
from threading import Event
from typing import TYPE_CHECKING, Any

from btcore.formats import Format
from btcore.records import Batch, Chunk, Damaged, Incomplete, Packet, Reading, SourceCheckpoint
from btcore.settings import Context

PROJECT = "btcore"

TRACE = logging.getLogger("btcore.trace")
"""The log of all calls, where they are traced."""

PLAIN: Mapping[str, object] = {
    "wrapper": False,
    "hookwrapper": False,
    "optionalhook": False,
    "tryfirst": False,
    "trylast": False,
    "specname": None,
}
"""What pluggy finds at a method that was decorated without options."""

if TYPE_CHECKING:
    from pluggy import HookimplMarker

    hookimpl = HookimplMarker(PROJECT)
else:

    def hookimpl(function: Any = None, **options: Any) -> Any:  # noqa: ANN401 - as pluggy's marker, which a type checker sees
        """Mark a method as a hook. With options, pluggy does it."""
        if function is None or options:
            from pluggy import HookimplMarker  # noqa: PLC0415 - few plugins give any

            return HookimplMarker(PROJECT)(function, **options)
        function.btcore_impl = PLAIN
        return function


class Hooks:
    """The hook specifications. Signatures are part of the public interface (`version.API`). Each returns one result."""

    def open(self, context: Context) -> None:
        """Call before any other work, in the thread that will do it: connect, create tables, bind a port.

        `context` has the instance's name, its logger and the site's channel names. After `Retry`, or any exception but
        `Stop`, the core waits and opens the instance again; after `Stop` it does not.
        """

    def close(self) -> None:
        """Call after the last work, in the same thread, also after a failure: release everything that is open."""

    def collect(self, stop: Event) -> Iterator[Chunk | Reading | SourceCheckpoint]:  # type: ignore[empty-body]
        """Call in a thread of its own, to yield what a meter sends until `stop` is set.

        Yield `Chunk`s of bytes as they come in, or `Reading`s without a packet (from a database), and between these how
        far it has come as `SourceCheckpoint`. Check `stop` at least about once a second. Returning means that the
        source has ended. After an exception the core closes the instance, waits (with backoff), opens it and collects
        again.
        """

    def decode_packet(self, buffer: memoryview) -> Packet | Incomplete | Damaged | None:
        """Call with a stream's buffer to look at its start.

        Return a complete `Packet`, `Incomplete()` for the beginning of a packet of yours, `Damaged()` for a damaged
        packet of yours, or None for anything else. Pure: no I/O, no memory of earlier calls. The attribute `header` has
        the bytes that packets start with, `candidate` a regular expression for where a packet may start, so that the
        core can skip the rest; `packet_formats` has all formats that it returns. Each source and each sink has an
        instance of its own, opened in its thread. An invalid packet is skipped as damaged, and logged.
        """

    def process_batch(self, batch: Batch) -> int | None:
        """Call with the next readings and samples to deliver, oldest first, in the sink's own thread.

        Return None if all of it is delivered; return the number of delivered readings if the settings do not select
        the others. Readings that are not selected do not count as delivered: other settings can deliver them later.
        Raise `Retry(why, after=seconds)` if the batch may be accepted later, `Reject(why)` if it never will be,
        `Stop(why)` if a person has to act. Any other exception is a bug: the core tries again a few times, then keeps
        what cannot be delivered as dead letters. The same batch may come again after a crash: be idempotent by
        `reading.serial` and `reading.key` together: two meters may have the same key.
        """

    def split(self) -> Mapping[str, object]:  # type: ignore[empty-body]
        """Call when the configuration is loaded, before `open`: return parts that are delivered separately.

        For a sink that sends to several accounts or streams: an instance of the same class for each, by a name that
        stays the same (a serial number). Each part has its own checkpoint: Retry, Reject and Stop concern only the
        part that raises them. Without this hook the sink is not split.
        """

    def create_storage(self, context: Context, formats: tuple[Format, ...]) -> Iterable[str]:  # type: ignore[empty-body]
        """Call for `btcore check --create`, before `open`: create what a sink stores into, where it is missing.

        That is a database, its tables, a file. `formats` are the packet formats that the site's sources are set to take
        in; none where they take in all. Return what was created, a line each; nothing where all was there. What is
        there already is left as it is. Raise as `open` does. `close` is called afterwards.
        """

    def find_stored(self, batch: Batch) -> Iterable[tuple[str, int]]:  # type: ignore[empty-body]
        """Call for `btcore replay SINK --gaps`, in the sink's own thread, with what may be delivered again.

        Return `serial` and `key` of those readings of the batch that the sink has; a sample is identified by its newer
        reading. What is not among them is delivered by `process_batch`. Change nothing. Raise as `process_batch` does.
        A sink that cannot be asked leaves this hook out.
        """

    def preview_batch(self, batch: Batch) -> Iterable[str]:  # type: ignore[empty-body]
        """Call in a dry run in place of `process_batch`: return lines that show what would be sent. Send nothing."""


def is_traced() -> bool:
    """Whether calls are traced. The levels of other loggers do not count: `run --verbose` is no trace."""
    return TRACE.level == logging.DEBUG
