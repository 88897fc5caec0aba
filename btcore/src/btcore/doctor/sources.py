# SPDX-License-Identifier: GPL-3.0-or-later
"""Findings about the state of a source: it cannot be opened, it has stopped, its meters are silent or refused."""

from collections.abc import Iterator

from btcore.doctor.facts import SiteFacts, SourceFacts
from btcore.findings import Finding
from btcore.text import format_duration, plural

MAX_SILENT = 5
"""Silent meters of a source that have a finding each; more are counted in one."""


def find_failure(source: SourceFacts) -> Iterator[Finding]:
    """Yield that a source does not work. A plugin that knows more about it says it in place of this."""
    if not source.failure:
        return
    advice = "Do what the message says; the source is tried again by itself"
    if source.state == "stopped":
        advice = "Do what the message says, then start btcore again"
    elif not source.state:
        advice = "Do what the message says; btcore would try it again and again"
    code = "source-stopped" if source.state == "stopped" else "source-failing"
    yield Finding(code, source.failure, advice, source.source.table)


def find(facts: SiteFacts) -> Iterator[Finding]:
    """Yield the meters that are silent, and those that are refused."""
    for source in facts.sources:
        yield from _silent(source)
        if source.refused:
            yield Finding(
                "readings-refused",
                f"{plural(source.refused, 'reading')} of meters were refused since the start",
                "`meters`, max_new_meters_per_day or max_packets_per_second of this table leaves them out: the log"
                " names the meters. Add yours to `meters`, or keep strangers from the port with `allow`",
                source.source.table,
            )


def _silent(source: SourceFacts) -> Iterator[Finding]:
    advice = "Check the power and the cable of this meter, and of the gateway in front of it"
    for meter in source.silent[:MAX_SILENT]:
        usual = f", usually every {format_duration(meter.usual)}" if meter.usual else ""
        text = f"meter {meter.serial} is silent for {format_duration(meter.seconds)}{usual}"
        yield Finding("meter-silent", text, advice, source.source.table)
    if (more := len(source.silent) - MAX_SILENT) > 0:
        yield Finding(
            "meter-silent", f"{plural(more, 'more meter')} of this source are silent", advice, source.source.table
        )
