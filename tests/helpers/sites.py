# SPDX-License-Identifier: GPL-3.0-or-later
"""A `Site` of sources and sinks that a test makes, and how far its sinks came: for tests of whole runs."""

import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from btcore import Chunk, Delivery
from btcore.config.site import Decoder, Sink, Site, Source
from btcore.decode.brultech import Brultech
from btcore.journal.opening import DEFAULT, open_journal
from helpers.fake_plugins import FAST_RETRY, IteratorSource
from helpers.packets import packet
from helpers.running_sink import SINK_TABLE, sink_offset

BRULTECH = Decoder("brultech", "decoder.brultech", "brultech", Brultech())


def make_source(instance: object, name: str = "panel", **settings: Any) -> Source:  # noqa: ANN401 - of any kind
    """Make a source of a site."""
    return Source(name, f"source.{name}", "yielding", instance, **{**FAST_RETRY, **settings})


def make_sink(instance: object, name: str = "roof", **settings: Any) -> Sink:  # noqa: ANN401 - of any kind
    """Make a sink of a site."""
    return Sink(name, f"sink.{name}", "recorder", instance, Delivery(**{**FAST_RETRY, **settings}))


def finite_source(count: int = 5) -> IteratorSource:
    """Make a source that brings so many packets and ends."""
    return IteratorSource(items=lambda _stop: [Chunk(packet(secs=10 * n, energy=1000 * n)) for n in range(count)])


def endless_source() -> IteratorSource:
    """Make a source that brings packets until it is stopped."""

    def items(stop: threading.Event) -> Iterator[Chunk]:
        count = 0
        while not stop.wait(0.01):
            yield Chunk(packet(secs=count))
            count += 1

    return IteratorSource(items=items)


def make_site(state: Path, *parts: Source | Sink, **settings: Any) -> Site:  # noqa: ANN401 - of any kind
    """Make a site of sources and sinks."""
    return Site(
        file=state / "site.toml",
        state=state,
        sources=tuple(part for part in parts if isinstance(part, Source)),
        sinks=tuple(part for part in parts if isinstance(part, Sink)),
        decoders=(BRULTECH,),
        **settings,
    )


def stored_offset(state: Path, sink: str = SINK_TABLE) -> int:
    """Return the offset of a sink's checkpoint, in the journal of a state directory."""
    with closing(open_journal(DEFAULT, state)) as journal:
        return sink_offset(journal, sink)
