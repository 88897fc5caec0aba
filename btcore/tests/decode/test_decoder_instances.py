# SPDX-License-Identifier: GPL-3.0-or-later
"""Decoders in the workers: each worker opens, asks and closes an instance of its own."""

import threading
from asyncio import CancelledError
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import attrs
import pytest
from helpers.acme_decoder import FINE, Acme, entry, levels
from helpers.fake_plugins import IteratorSource, RecordingSink
from helpers.packets import packet
from helpers.running_sink import RunningSink
from helpers.running_source import RunningSource, collect_items
from helpers.sites import finite_source, make_sink, make_site, make_source

from btcore import (
    Chunk,
    Context,
    Format,
    Packet,
    Retry,
    Stop,
    hookimpl,
    plugin,
    setting,
)
from btcore.config.site import Decoder
from btcore.decode.brultech import Brultech
from btcore.decode.decoders import Decoders
from btcore.journal import Journal
from btcore.runtime.supervisor import Supervisor
from btcore.testing import wait_for


@plugin(api=1)
class Opened(Acme):
    """A decoder that notes where it is opened, asked and closed; its settings are copied, all else is its own."""

    packet_formats: ClassVar[tuple[Format, ...]] = (FINE,)
    noted: ClassVar[list[tuple[str, int, str]]] = []
    contexts: ClassVar[list[Context]] = []
    answer: ClassVar[Callable[[], None]] = staticmethod(lambda: None)

    make: Callable[[bytes], Any] = setting(default=lambda raw: Packet(3, FINE, "7", raw), help="makes the answer")
    threshold: list[int] = setting(factory=list, help="a setting")
    asked: bool = False

    @hookimpl
    def open(self, context: Context) -> None:
        """Take note."""
        self._note("open")
        self.contexts.append(context)
        assert self.threshold == [1]
        type(self).answer()

    @hookimpl
    def close(self) -> None:
        """Take note."""
        self._note("close")

    @hookimpl
    def decode_packet(self, buffer: memoryview) -> Any:  # noqa: ANN401 - of any kind
        """Take note of the first."""
        if not self.asked:
            self.asked = True
            self._note("decode")
        return Acme.decode_packet(self, buffer)

    def _note(self, what: str) -> None:
        self.noted.append((what, id(self), threading.current_thread().name))


@pytest.fixture
def opened() -> Iterator[Opened]:
    """Return a decoder that nothing was noted of."""
    Opened.noted.clear()
    Opened.contexts.clear()
    yield Opened(threshold=[1])
    Opened.answer = staticmethod(lambda: None)


def test_each_worker_has_decoders_of_its_own(
    tmp_path: Any,  # noqa: ANN401 - as pytest gives it
    opened: Opened,
) -> None:
    """Each source and each sink opens its own instance in its own thread, asks that alone there, and closes it.

    A sink asks it about what did not come in just now: a packet that a source has decoded is not decoded again.
    """
    brings = IteratorSource(items=lambda _stop: [Chunk(b"*ab"), Chunk(packet())])
    parts = (
        make_source(brings, "a"),
        make_source(finite_source(2), "b"),
        make_sink(RecordingSink(), "x"),
        make_sink(RecordingSink(), "y"),
    )
    decoders = (
        Decoder("acme", "decoder.acme", "acme", opened),
        Decoder("brultech", "decoder.brultech", "brultech", Brultech()),
    )
    made = attrs.evolve(make_site(tmp_path, *parts), decoders=decoders)
    assert Supervisor(made, threading.Event(), once=True).run()
    instances = {instance for _, instance, _ in Opened.noted}
    assert len(instances) == 4
    assert id(opened) not in instances
    for instance in instances:
        noted = [(what, thread) for what, one, thread in Opened.noted if one == instance]
        assert [what for what, _ in noted if what != "decode"] == ["open", "close"]
        assert [what for what, _ in noted[1:-1]] == ["decode"] * (len(noted) - 2)
        assert len({thread for _, thread in noted}) == 1
    assert {thread for *_, thread in Opened.noted} == {"source.a", "source.b", "sink.x", "sink.y"}
    assert {(context.name, context.log.name) for context in Opened.contexts} == {("decoder.acme", "decoder.acme")}


def test_a_decoder_that_cannot_be_opened_is_tried_again(journal: Journal, opened: Opened) -> None:
    """As when the worker's own plugin cannot: the source waits, and opens all again; what was opened is closed."""
    answers = iter([Retry("not yet"), OSError("no device"), ValueError("a bug")])

    def answer() -> None:
        for error in answers:
            raise error

    Opened.answer = staticmethod(answer)
    collecting = RunningSource(
        journal, IteratorSource(items=lambda _stop: [Chunk(b"*ab")]), decoders=Decoders([opened])
    )
    with collecting:
        collecting.finish()
    assert len(levels(journal)) == 1
    assert [what for what, *_ in Opened.noted] == ["open", "close"] * 3 + ["open", "decode", "close"]


def test_a_decoder_that_cannot_be_opened_holds_a_sink(journal: Journal, opened: Opened) -> None:
    """A sink waits for its decoders, and is given all that it has missed; `Stop` parks it."""
    journal.append([entry(n) for n in range(3)])
    answers = iter([Retry("not yet"), ValueError("a bug")])

    def answer() -> None:
        for error in answers:
            raise error

    Opened.answer = staticmethod(answer)
    taken = RecordingSink()
    with RunningSink(journal, taken, decoders=Decoders([opened])) as work:
        work.finish()
    assert taken.offsets == [1, 2, 3]

    def stop() -> None:
        raise Stop("no licence")

    Opened.answer = staticmethod(stop)
    with RunningSink(journal, RecordingSink(), decoders=Decoders([opened])) as work:
        wait_for(lambda: work.worker.stop_reason)
    assert work.worker.stop_reason == "no licence"
    assert Opened.noted[-1][0] == "close"


def test_a_decoder_that_fails_to_close_harms_nobody(
    journal: Journal, opened: Opened, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its fault is told, and the source has ended as it would."""

    @hookimpl
    def close(_self: Opened) -> None:
        raise CancelledError("busy")

    monkeypatch.setattr(Opened, "close", close)
    work = collect_items(journal, Chunk(b"*ab"), decoders=Decoders([opened]))
    assert (work.worker.failure, len(levels(journal))) == ("", 1)
    assert 'the decoder "opened" failed to close: CancelledError: busy' in caplog.text
