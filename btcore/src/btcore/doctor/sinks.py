# SPDX-License-Identifier: GPL-3.0-or-later
"""Findings about sinks: they fail, have stopped, are far behind, or have dead letters."""

from collections.abc import Iterator

from btcore.doctor.facts import SinkFacts, SiteFacts
from btcore.findings import Finding
from btcore.text import format_duration, plural

FAR_BEHIND = 3600.0
"""Seconds by which the oldest undelivered reading may be late, while the sink works."""


def find_failure(sink: SinkFacts) -> Iterator[Finding]:
    """Yield that a sink does not work. A plugin that knows more about it says it in place of this."""
    if sink.state == "failing":
        advice = f"Do what the message says; {plural(sink.waiting, 'reading')} wait, and are delivered then"
        yield Finding("sink-failing", sink.failure or "it fails: its log says why", advice, sink.sink.table)
    elif sink.state == "stopped":
        advice = f"Do what the message says, then start btcore again: {plural(sink.waiting, 'reading')} wait"
        yield Finding("sink-stopped", sink.failure or "it has stopped: its log says why", advice, sink.sink.table)


def find(facts: SiteFacts) -> Iterator[Finding]:
    """Yield the sinks that are behind, those with dead letters, and names that fit no meter."""
    for sink in facts.sinks:
        yield from _behind(sink, facts)
        if sink.dead_letters:
            yield Finding(
                "dead-letters",
                f"{plural(sink.dead_letters, 'dead letter')}: readings that it will never take",
                "The journal keeps them with the reasons (docs/journal.md); the log named each. Correct what they say,"
                " if it is a setting",
                sink.sink.table,
            )
    for text in facts.unknown_names:
        table, _, rest = text.partition(": ")
        yield Finding(
            "unknown-channel",
            rest or text,
            "Correct the serial number or the channel in the configuration; what waited is delivered then",
            table if rest else str(facts.site.file),
        )


def _behind(sink: SinkFacts, facts: SiteFacts) -> Iterator[Finding]:
    late = (facts.now - sink.oldest_waiting).total_seconds() if sink.oldest_waiting is not None else 0.0
    if sink.state in {"behind", "waiting"} and late > FAR_BEHIND:
        yield Finding(
            "sink-behind",
            f"{plural(sink.waiting, 'reading')} wait, the oldest for {format_duration(late)}",
            "It is catching up, if the number falls. If it rises, the service takes fewer than come in: raise interval,"
            " batch_size or max_calls_per_hour in its table",
            sink.sink.table,
        )
