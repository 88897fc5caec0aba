# SPDX-License-Identifier: GPL-3.0-or-later
"""The walk along the road of the data: machine, sources, packets, journal, sinks. It returns all findings, in order."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from btcore.classes import evolve
from btcore.config.site import Site
from btcore.decode.brultech import Brultech
from btcore.decode.decoders import Decoders
from btcore.doctor import channels, machine, meters, plugins, received, sinks, sources
from btcore.doctor.facts import SinkFacts, SiteFacts, SourceFacts
from btcore.errors import Problem
from btcore.findings import DiagnosisContext, Finding
from btcore.origin import LIVE
from btcore.records import from_microseconds
from btcore.runtime.listening import site_decoders

MAX_AT_ONCE = 16
"""Plugins that are asked at the same time."""

NEED_RESTART = {"source-stopped", "sink-stopped"}
"""Findings of the core that say more than what a plugin finds: mending the fault alone is not enough."""

Part = SourceFacts | SinkFacts


def diagnose(facts: SiteFacts, seconds: float, redact: Callable[[str], str] = str) -> list[Finding]:
    """Return the findings about a site; plugins are asked, and may take about so many seconds each."""
    found = [
        *_configuration(facts.site.warnings),
        *machine.find(facts),
        *find_in_parts(facts, facts.sources, seconds),
        *sources.find(facts),
        *received.find_damaged(facts),
        *meters.find(facts),
        *channels.find(facts),
        *find_in_parts(facts, facts.sinks, seconds),
        *sinks.find(facts),
    ]
    return list(dict.fromkeys(redacted(finding, redact) for finding in found))


def redacted(finding: Finding, redact: Callable[[str], str]) -> Finding:
    """Return a finding without secrets in its texts."""
    return evolve(finding, text=redact(finding.text), advice=redact(finding.advice), where=redact(finding.where))


def _configuration(warnings: Sequence[Problem]) -> Iterator[Finding]:
    for warning in warnings:
        where = f"{warning.file}:{warning.line}" if warning.line is not None else warning.file
        table = f"[{warning.table}] " if warning.table else ""
        advice = "Change it, if it is not meant so: `btcore check` shows it again"
        yield Finding("configuration", f"{table}{warning.key}: {warning.message}".strip(": "), advice, where)


def find_in_parts(facts: SiteFacts, parts: Sequence[Part], seconds: float) -> list[Finding]:
    """Ask the plugins of all parts at once; a part without findings of its plugin has those of the core."""
    if not parts:
        return []
    with ThreadPoolExecutor(min(len(parts), MAX_AT_ONCE), thread_name_prefix="diagnose") as pool:
        asked = list(pool.map(lambda part: _of_plugin(facts, part, seconds), parts))
    return [finding for part, own in zip(parts, asked, strict=True) for finding in (*own, *_beside(own, part))]


def _beside(own: Sequence[Finding], part: Part) -> list[Finding]:
    """Return the core's findings beside those of a plugin: all if it has none, else that a restart is needed."""
    return [finding for finding in _of_core(part) if not own or finding.code in NEED_RESTART]


def _of_core(part: Part) -> list[Finding]:
    if isinstance(part, SinkFacts):
        return list(sinks.find_failure(part))
    return [*sources.find_failure(part), *received.of_source(part)]


def _of_plugin(facts: SiteFacts, part: Part, seconds: float) -> list[Finding]:
    if isinstance(part, SourceFacts) and part.source.origin != LIVE:
        seconds = 0.0
    table = part.source if isinstance(part, SourceFacts) else part.sink
    return plugins.ask(table.instance, table.plugin, _context(facts, part, seconds))


def _context(facts: SiteFacts, part: Part, seconds: float) -> DiagnosisContext:
    common = {"is_running": facts.is_running, "process": facts.process, "seconds": seconds, "failure": part.failure}
    if isinstance(part, SinkFacts):
        return DiagnosisContext(name=part.sink.table, **common)  # type: ignore[arg-type]
    main = part.main
    kind = main.kind(part.source.formats).name if main else "" if part.serials or not part.listened else "nothing"
    return DiagnosisContext(
        name=part.source.table,
        received=main.data if main else b"",
        kind=kind,
        serials=part.serials,
        find_packets=lambda data: _find_packets(facts.site, part, data),
        **common,  # type: ignore[arg-type]
    )


def _find_packets(site: Site, part: SourceFacts, data: bytes) -> tuple[str, ...]:
    decoders = site_decoders(site, part.source.formats) if site.decoders else Decoders([Brultech()])
    decoders.open(skip_failing=True)
    stream = decoders.stream()
    found = [*stream.feed(data, from_microseconds(0)), *stream.close()]
    decoders.close()
    return tuple(dict.fromkeys(packet.serial for packet, _ in found))
