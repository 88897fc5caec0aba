# SPDX-License-Identifier: GPL-3.0-or-later
"""What a running program tells of its sources and its journal, and what it refuses to tell."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers.fake_plugins import IteratorSource, RecordingSink
from helpers.packets import METER, packet
from helpers.sites import make_sink, make_site, make_source

from btcore import Chunk
from btcore.config.site import Site
from btcore.control.client import NotRunning, ask, ask_once
from btcore.errors import Unavailable
from btcore.runtime.observation import decode_entry
from btcore.runtime.supervisor import Supervisor
from btcore.testing import wait_for


def is_answering(site: Site) -> bool:
    """Whether the program can be asked."""
    try:
        return bool(ask_once(site.state, "status"))
    except NotRunning:
        return False


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """Run a site whose meter sends, and whose other source brings text."""

    def packets(stop: threading.Event) -> Iterator[Chunk]:
        secs = 0
        while not stop.wait(0.01):
            yield Chunk(packet(secs=secs), stream="a")
            secs += 1

    def text(stop: threading.Event) -> Iterator[Chunk]:
        yield Chunk(b"Alive\r\n", stream="b")
        yield Chunk(b"", stream="b", end=True)
        stop.wait()

    sources = make_source(IteratorSource(items=packets)), make_source(IteratorSource(items=text), "cellar")
    made = make_site(tmp_path, *sources, make_sink(RecordingSink()))
    stop = threading.Event()
    thread = threading.Thread(target=Supervisor(made, stop, patience=20).run)
    thread.start()
    try:
        wait_for(lambda: is_answering(made), "the socket")
        yield made
    finally:
        stop.set()
        thread.join(30)


def test_bytes_without_a_packet(site: Site) -> None:
    """Only the source that brings none has some, with the stream that they came on."""
    wait_for(lambda: ask_once(site.state, "undecoded")["sources"]["source.cellar"], "text")
    found = ask_once(site.state, "undecoded")["sources"]
    assert found == {
        "source.panel": [],
        "source.cellar": [{"stream": "b", "hex": b"Alive\r\n".hex(), "damaged": 0, "not_taken": ""}],
    }


def test_the_newest_readings(site: Site) -> None:
    """They come as the journal has them, oldest first, and no more than asked for; the meters before them."""
    wait_for(lambda: len(list(ask(site.state, "newest", limit=5))) > 1, "readings")
    wait_for(lambda: len(list(ask(site.state, "newest", limit=5))[1]["entries"]) == 5, "five")
    meters, *answers = ask(site.state, "newest", limit=5)
    entries = [decode_entry(values) for answer in answers for values in answer["entries"]]
    assert [meter[:2] for meter in meters["meters"]] == [[METER, "ecm1220bin"]]
    assert [entry.serial for entry in entries] == [METER] * 5
    assert [entry.offset for entry in entries] == sorted(entry.offset for entry in entries)
    assert {entry.source for entry in entries} == {"panel"}


def test_a_capture_ends_by_itself(site: Site) -> None:
    """All chunks of a second come as they are, and then the answer ends."""
    answers: list[dict[str, Any]] = []

    def has_captured() -> bool:
        answers[:] = ask(site.state, "capture", source="panel", seconds=1)
        return any("hex" in answer for answer in answers)

    wait_for(has_captured)  # a busy computer may bring nothing within a second
    assert {len(bytes.fromhex(answer["hex"])) for answer in answers if "hex" in answer} == {43}
    assert answers[0] == {"source": "source.panel", "lost": 0}


@pytest.mark.parametrize(
    ("command", "arguments", "why"),
    [
        ("capture", {"source": "attic", "seconds": 1}, "there are source.panel, source.cellar"),
        ("capture", {"source": "panel", "seconds": 0}, "seconds: expected a number"),
        ("capture", {"source": "panel", "seconds": "long"}, "seconds: expected a number"),
        ("capture", {"source": "panel", "seconds": True}, "seconds: expected a number"),
        ("newest", {"limit": 10**9}, "limit: expected a number"),
        ("newest", {}, "limit: expected a number"),
    ],
)
def test_what_is_refused(site: Site, command: str, arguments: dict[str, object], why: str) -> None:
    """A source that is not there, and numbers that are none, are refused with what was expected."""
    with pytest.raises(Unavailable, match=why):
        list(ask(site.state, command, 10.0, **arguments))
