# SPDX-License-Identifier: GPL-3.0-or-later
"""What plugins find: they are asked by an optional method, and what they yield is checked."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from helpers.fake_plugins import IteratorSource, RecordingSink
from helpers.sites import make_sink, make_site, make_source

from btcore import DiagnosisContext, Finding, plugin
from btcore.doctor import plugins
from btcore.doctor.diagnosis import diagnose
from btcore.doctor.facts import SinkFacts, SiteFacts, SourceFacts, Undecoded

NOW = datetime(2026, 6, 21, tzinfo=UTC)
CONTEXT = DiagnosisContext(name="source.panel")
NOTHING: Any = lambda _stop: []  # noqa: E731 - of any kind


@plugin(api=1)
class Telling(IteratorSource):
    """A source that says what it is given."""

    def diagnose(self, context: DiagnosisContext) -> Iterator[Finding]:
        """Say it."""
        serials = context.find_packets(b"none")
        yield Finding("told", f"{context.failure}|{context.kind}|{context.is_running}|{serials}", "do it")
        yield Finding("elsewhere", "a file", "mend it", "/etc/file")


@plugin(api=1)
class Failing(RecordingSink):
    """A sink that fails to look."""

    def diagnose(self, _context: DiagnosisContext) -> Iterator[Finding]:
        """Fail, after something was found."""
        yield Finding("found", "something", "do it")
        raise ZeroDivisionError("oops")


def test_a_plugin_is_given_what_the_core_found_and_speaks_for_it(tmp_path: Path) -> None:
    """The error and the bytes are handed over, and what the plugin finds stands in place of the core's finding."""
    site = make_site(tmp_path, make_source(Telling(items=NOTHING)))
    source = SourceFacts(source=site.sources[0], failure="no line", undecoded=(Undecoded("", b"$"),), listened=2.0)
    facts = SiteFacts(site=site, now=NOW, sources=(source,), running_version="1", version="1")
    found = diagnose(facts, 0.0)
    assert [(one.code, one.text, one.where) for one in found] == [
        ("told", "no line|keep-alive|True|()", "source.panel"),
        ("elsewhere", "a file", "/etc/file"),
    ]


def test_that_a_sink_has_stopped_is_said_beside_what_its_plugin_finds(tmp_path: Path) -> None:
    """Who corrects the fault has to know that a restart is needed, too."""
    site = make_site(tmp_path, make_sink(Failing()))
    sink = SinkFacts(sink=site.sinks[0], state="stopped", failure="the key is wrong")
    found = diagnose(SiteFacts(site=site, now=NOW, sinks=(sink,)), 0.0)
    assert [one.code for one in found] == ["found", "plugin-fault", "sink-stopped"]


def test_a_plugin_that_fails_is_a_finding(tmp_path: Path) -> None:
    """What it found before stays; the failure is one more, and never a traceback."""
    site = make_site(tmp_path, make_sink(Failing()))
    found = diagnose(SiteFacts(site=site, now=NOW, sinks=(SinkFacts(sink=site.sinks[0]),)), 0.0)
    assert [one.code for one in found] == ["found", "plugin-fault"]
    assert "ZeroDivisionError: oops" in found[1].text


def test_a_plugin_that_hangs_is_left_behind() -> None:
    """What it found before stays; that it does not return is one finding more."""
    over = threading.Event()

    class Hanging:
        def diagnose(self, _context: DiagnosisContext) -> Iterator[Finding]:
            yield Finding("found", "something", "do it")
            over.wait()

    try:
        found = plugins.ask(Hanging(), "hanging", DiagnosisContext(name="sink.roof", seconds=0.0), patience=0.2)
    finally:
        over.set()
    assert [(one.code, one.where) for one in found] == [("found", "sink.roof"), ("plugin-fault", "sink.roof")]


def test_a_plugin_without_end_is_cut_off() -> None:
    """However much a plugin finds, little of it is shown."""

    class Endless:
        def diagnose(self, _context: DiagnosisContext) -> Iterator[Finding]:
            while True:
                yield Finding("found", "something", "do it")

    assert len(plugins.ask(Endless(), "endless", CONTEXT)) == plugins.MAX_FINDINGS


def test_one_without_the_method_finds_nothing() -> None:
    """The method is optional."""
    assert plugins.ask(RecordingSink(), "recorder", CONTEXT) == []


def test_what_is_no_finding_is_a_fault() -> None:
    """A plugin that yields text is named."""

    class Wrong:
        def diagnose(self, _context: DiagnosisContext) -> list[str]:
            return ["it is broken"]

    (found,) = plugins.ask(Wrong(), "wrong", CONTEXT)
    assert (found.code, "yielded a str" in found.text) == ("plugin-fault", True)


@pytest.mark.parametrize("code", ["", "Port In Use", "port_in_use", "-x", "x-", "a--b"])
def test_a_code_is_words_with_hyphens(code: str) -> None:
    """Any other code is refused where it is made."""
    with pytest.raises(ValueError, match="port-in-use"):
        Finding(code, "text", "advice")


def test_a_finding_is_text() -> None:
    """What is no text is refused."""
    with pytest.raises(TypeError, match="text: expected text"):
        Finding("code", b"bytes", "advice")  # type: ignore[arg-type]
