"""The hooks: everything that a plugin can do.

A plugin class implements those that it wants with `@hookimpl`; arguments that it does not need may be left out. Each
instance is called by one thread at a time, and never for another instance's work.
"""

from collections.abc import Iterable, Iterator, Mapping
from threading import Event

from pluggy import HookimplMarker, HookspecMarker

from btcore.records import Batch, Chunk, Damaged, Incomplete, Packet, Reading
from btcore.settings import Context

PROJECT = "btcore"

hookspec = HookspecMarker(PROJECT)
hookimpl = HookimplMarker(PROJECT)


class Hooks:
    """The hook specifications. Signatures are part of the public interface (`version.API`)."""

    @hookspec(firstresult=True)
    def open(self, context: Context) -> None:
        """Call before the first work, in the thread that will do it: connect, create tables, claim a port.

        `context` tells the instance its name, its logger and the site's channel names. Raising `Retry`, or any other
        exception, is answered by waiting and opening again; `Stop` parks the instance.
        """

    @hookspec(firstresult=True)
    def close(self) -> None:
        """Call after the last work, in the same thread, also when `open` or the work failed: give everything back."""

    @hookspec(firstresult=True)
    def collect(self, stop: Event) -> Iterator[Chunk | Reading]:  # type: ignore[empty-body]
        """Call in a thread of its own, to yield what a meter sends until `stop` is set.

        Yield `Chunk`s of bytes as they come in, or whole `Reading`s (from a database). Never wait longer than about a
        second without looking at `stop`. Returning means: the source has ended. Raising means: close, wait (with
        backoff), open and collect again.
        """

    @hookspec(firstresult=True)
    def decode_packet(self, buffer: memoryview) -> Packet | Incomplete | Damaged | None:
        """Call with a stream's buffer to look at its start.

        Answer a complete `Packet`, `Incomplete()` if it is yours but incomplete, `Damaged()` if it is yours and broken,
        or None if it is not yours. Pure: no I/O, no memory of earlier calls. An attribute `header` names the bytes that
        packets start with, and `candidate` where asking is worth it, so that the core can skip; `packet_formats` all
        formats that it answers with. Each source and each sink has an instance of its own, opened in its thread. What
        is not sound is skipped as damaged, and told.
        """

    @hookspec(firstresult=True)
    def process_batch(self, batch: Batch) -> int | None:
        """Call with the next readings and samples to deliver, oldest first, in the sink's own thread.

        Returning means delivered: None, all of it; a number, so many of its readings, where the settings want nothing
        of the others. What was not wanted is not counted as delivered, and can be had later, by other settings. Raise
        `Retry(why, after=seconds)` when it may be accepted later, `Reject(why)` when
        it never will be, `Stop(why)` when a person has to act. Anything else is a bug: it is tried again a few times,
        then what cannot be delivered is set aside. The same batch may come again after a crash: be idempotent by
        `reading.serial` and `reading.key` together: two meters may have the same key.
        """

    @hookspec(firstresult=True)
    def split(self) -> Mapping[str, object]:  # type: ignore[empty-body]
        """Call when the configuration is loaded, before `open`: return the parts that are delivered each by itself.

        For a sink that sends to several accounts or streams, each with an answer of its own: an instance of the same
        class for each, by a name that stays the same (a serial number). What one of them is refused, is asked to wait
        for, or is stopped by, concerns that one alone; each has its own cursor. Without this hook the instance is one.
        """

    @hookspec(firstresult=True)
    def preview_batch(self, batch: Batch) -> Iterable[str]:  # type: ignore[empty-body]
        """Call in a dry run in place of `process_batch`: tell, a line each, what would be sent. Send nothing."""
