# SPDX-License-Identifier: GPL-3.0-or-later
"""`btcore run --trace`: each hook call with who, how long, how many and the answer; nothing of it when it is off."""

import logging
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest
from helpers.fake_plugins import IteratorSource, RecordingSink
from helpers.packets import packet
from helpers.sites import finite_source, make_sink, make_site, make_source

from btcore import Chunk, Retry, hookimpl, plugin
from btcore.hook_calls import hook_caller
from btcore.hook_trace import HookTrace
from btcore.hookspecs import TRACE
from btcore.runtime.supervisor import Supervisor
from btcore.testing import HostedService, Reply
from btcore.testing.kit.process import BtcoreProcess

CAPTURE = Path(__file__).parents[3] / "tests" / "golden" / "streams" / "ecm1240bin_steady.bin"


def run(state: Path, sink: RecordingSink, source: IteratorSource | None = None) -> list[str]:
    """Run a site with the trace on; return its table."""
    site = make_site(state, make_source(source or finite_source()), make_sink(sink, batch_size=2))
    with HookTrace() as trace:
        Supervisor(site, Event(), once=True).run()
    return [" ".join(line.split()) for line in trace.table()]


def test_each_call_is_a_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A line has whose hook it is, what it was given, the seconds, and what it returned or raised."""
    tries = iter([Retry("busy"), None])

    def answer(_batch: object) -> None:
        if error := next(tries, None):
            raise error

    run(tmp_path, RecordingSink(answer=answer))
    lines = [record.getMessage() for record in caplog.records if record.name == TRACE.name]
    assert any(line.startswith("sink.roof process_batch(") and line.endswith("raised Retry: busy") for line in lines)
    assert any(line.startswith("sink.roof process_batch(") and line.endswith("returned None") for line in lines)
    assert any(line.startswith("source.panel collect(5 chunks, 215 bytes, 0 readings): ") for line in lines)
    assert not any("decode_packet" in line for line in lines)


def test_all_calls_are_in_the_table(tmp_path: Path) -> None:
    """The table has a row for each hook of each instance: calls, seconds, readings, and how often which answer."""
    table = run(tmp_path, RecordingSink())
    assert table[0] == "WHO HOOK CALLS SECONDS LONGEST READINGS ANSWERS"
    rows = {" ".join(row.split()[:2]): row.split() for row in table[1:]}
    assert rows["sink.roof process_batch"][5:] == ["5", "returned", rows["sink.roof process_batch"][2]]
    assert int(rows["decoder.brultech decode_packet"][2]) >= 5
    assert {"sink.roof open", "sink.roof close", "source.panel open", "source.panel collect"} <= rows.keys()


def test_a_source_that_fails_is_counted(tmp_path: Path) -> None:
    """What ends a source stands in its row, with how often."""
    failures = iter([ConnectionError("the meter hangs up")])

    def items(_stop: Event) -> Iterator[Chunk]:
        yield Chunk(packet())
        if error := next(failures, None):
            raise error

    table = run(tmp_path, RecordingSink(), IteratorSource(items=items))
    (row,) = [row for row in table if row.startswith("source.panel collect 2 ")]
    assert row.endswith("ConnectionError 1, ended 1")


def test_off_it_costs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """Without the trace, also with `run --verbose`, there is no monitoring: `collect` returns what the plugin does."""
    caplog.set_level(logging.DEBUG)
    made = iter(())

    @plugin(api=1)
    class Plain:
        """Returns its iterator."""

        @hookimpl
        def collect(self) -> object:
            """Return it."""
            return made

    assert hook_caller(Plain()).collect(stop=None) is made
    with HookTrace():
        assert hook_caller(Plain(), "source.x").collect(stop=None) is not made
    assert hook_caller(Plain()).collect(stop=None) is made


@pytest.mark.servers
def test_it_is_an_option_of_run(tmp_path: Path) -> None:
    """`btcore run --trace` logs the calls and the table, and no secret of the configuration in either."""
    with HostedService() as service:
        service.fail(Reply(400, "the key a-secret-of-the-test is no good"))
        site = f"""state = "state"
            [source.file]
            path = "{CAPTURE}"
            [sink.home]
            use = "pipe-webhook"
            url = "{service.url}"
            token = "a-secret-of-the-test"
            min_backoff = "100ms"
            """
        with BtcoreProcess(tmp_path, site, "--once", "--trace") as process:
            process.finish()
    assert "sink.home process_batch(" in process.log
    assert "trace: WHO" in process.log
    assert "trace: source.file" in process.log
    assert "a-secret-of-the-test" not in process.log
