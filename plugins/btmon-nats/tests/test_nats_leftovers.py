# SPDX-License-Identifier: GPL-3.0-or-later
"""What streams and sinks that were removed have left is shown and removed; what is in use, or may be, is not."""

import json
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from operator import methodcaller
from pathlib import Path
from typing import Any

import attrs
import pytest
from servers.nats_cluster import NatsServer

from btcore import Duration
from btcore.cli import OK, main
from btcore.journal import Checkpoint, DeadLetter, Entry
from btcore.journal.opening import open_journal
from btcore.journal.partitions import replay_name
from btmon_nats.connection import Connection
from btmon_nats.journal.journal import StreamJournal
from btmon_nats.journal.records import name_of, token
from btmon_nats.login import Login
from btmon_nats.subjects import partition_of

pytestmark = pytest.mark.servers

PARTITIONS = 4
SINK = "sink.store"
OLD = "sink.old house"


def entry(key: int) -> Entry:
    """Make an entry."""
    return Entry(key, "panel", "1", "ecm1220bin", b"packet%d" % key)


@attrs.define
class Site:
    """A server, and a configuration that has one sink; `journal` is opened once more each time."""

    url: str
    folder: Path
    capsys: pytest.CaptureFixture[str]
    setup: Callable[..., str]

    def make(self, *streams: str) -> None:
        """Make streams, as `btcore nats setup` does."""
        for name in streams:
            self.setup([self.url], "--replicas", "1", "--partitions", f"{PARTITIONS}", more=f'stream = "{name}"')

    def journal(self, stream: str = "energy") -> StreamJournal:
        """Open a stream as a journal."""
        journal = open_journal(f"{self.url}/{stream}?partitions={PARTITIONS}", self.folder)
        assert isinstance(journal, StreamJournal)
        return journal

    def drop(self, name: str) -> None:
        """Remove a stream, as its operator does."""
        connection = Connection(Login(servers=[self.url], timeout=Duration(15)), "test")
        connection.use(methodcaller("delete_stream", name))
        connection.close()

    def run(self, *words: str) -> tuple[int, str]:
        """Run `btcore nats leftovers`; return its exit code, and what it says."""
        site = self.folder / "archive.toml"
        journal = f'journal = "{self.url}/energy?partitions={PARTITIONS}"'
        site.write_text(f'state = "none"\n{journal}\n[sink.store]\nuse = "sqlite"\nfile = "a.db"\n')
        code = main(["nats", "leftovers", "--config", str(site), *words])
        out = self.capsys.readouterr()
        return code, out.out + out.err

    def states(self) -> dict[tuple[str, str], str]:
        """Return the state of all that is left, by stream and sink."""
        rows = json.loads(self.run("--json")[1].partition("btcore nats")[0])["leftovers"]
        return {(one["stream"], one["sink"]): one["state"] for one in rows}


@pytest.fixture
def site(server: NatsServer, tmp_path: Path, capsys: pytest.CaptureFixture[str], setup: Callable[..., str]) -> Site:
    """Run a server."""
    return Site(server.url, tmp_path, capsys, setup)


def deliver(journal: StreamJournal, sink: str, *entries: Entry, **more: Any) -> None:  # noqa: ANN401 - of a checkpoint
    """Commit that a sink has had these, and that some are to be delivered again."""
    part = journal.partition(partition_of("1", PARTITIONS))
    part.commit(sink, Checkpoint(entries[-1].offset, examined=entries[-1].offset, **more))
    part.commit(replay_name(sink), Checkpoint(entries[0].offset))


def test_a_sink_that_no_configuration_has_is_removed(site: Site) -> None:
    """It is shown; with `--remove` its checkpoints and dead letters are gone, those of other sinks are not."""
    site.make("energy")
    with closing(site.journal()) as journal:
        kept = journal.append([entry(1), entry(2)]).kept
        for sink in (SINK, OLD):
            deliver(journal, sink, *kept)
            journal.keep_dead_letters([letter(sink, kept[0])])
    code, said = site.run()
    assert code == OK
    assert f"{OLD} of stream energy, 3 records: unused" in said
    assert "--remove removes what is unused" in said
    assert f"{OLD} of stream energy, 3 records: removed" in site.run("--remove")[1]
    assert "nothing is left" in site.run()[1]
    with closing(site.journal()) as journal:
        part = journal.partition(partition_of("1", PARTITIONS))
        assert (part.checkpoint(OLD), part.checkpoint(replay_name(OLD))) == (None, None)
        assert part.checkpoint(SINK) is not None
        assert [one.sink for one in journal.dead_letters()] == [SINK]


def letter(sink: str, made: Entry) -> DeadLetter:
    """Make a dead letter."""
    time = datetime(2026, 6, 21, tzinfo=UTC)
    return DeadLetter(sink, made.serial, time, time, "refused", (made.offset,), (made.key,))


def test_a_sink_for_which_readings_wait_stays(site: Site) -> None:
    """Another configuration may have it: only who names it has it removed, and no sink of this configuration."""
    site.make("energy")
    with closing(site.journal()) as journal:
        kept = journal.append([entry(1)]).kept
        deliver(journal, OLD, *kept)
        journal.append([entry(2)])
    stays = f"{OLD} of stream energy, 2 records: stays, as 1 reading waits for it"
    assert stays in site.run()[1]
    assert stays in site.run("--remove")[1]
    assert "sink store is in the configuration" in site.run("--remove", "--sink", "store")[1]
    assert "nothing is left of a sink other" in site.run("--remove", "--sink", "other")[1]
    assert f"{OLD} of stream energy, 2 records: removed" in site.run("--remove", "--sink", OLD)[1]
    assert site.states() == {}


def test_a_sink_that_a_program_works_stays(site: Site) -> None:
    """Whoever has its leases goes on undisturbed, also where the sink is named."""
    site.make("energy")
    with closing(site.journal()) as journal:
        deliver(journal, OLD, *journal.append([entry(1)]).kept)
        held = journal.hold([OLD], ())
        assert len(held) == PARTITIONS
        assert "stays, as a program works it" in site.run("--remove")[1]
        assert f"{OLD} stays: a program works it" in site.run("--remove", "--sink", OLD)[1]
        assert journal.hold([OLD], held) == held
    assert site.states() == {("energy", OLD): "unused"}


def test_what_an_earlier_stream_of_the_name_left_is_removed(site: Site) -> None:
    """Its records mean nothing to the new stream, whichever sink they are of; those of the new one stay."""
    site.make("energy")
    with closing(site.journal()) as journal:
        kept = journal.append([entry(1)]).kept
        deliver(journal, SINK, *kept)
        journal.keep_dead_letters([letter(SINK, kept[0])])
    site.drop("energy")
    site.make("energy")
    with closing(site.journal()) as journal:
        deliver(journal, SINK, *journal.append([entry(1)]).kept)
    assert "an earlier stream energy, which is gone, 3 records: removed" in site.run("--remove")[1]
    with closing(site.journal()) as journal:
        assert journal.partition(partition_of("1", PARTITIONS)).checkpoint(SINK) is not None
        assert len(journal.records.keys("")) == 2
    assert site.states() == {}


def test_the_buckets_of_a_stream_that_is_gone_are_removed(site: Site) -> None:
    """Those of streams that are there stay, also of one whose name ends as a bucket's does; and what is not ours."""
    site.make("energy", "north", "north-leases")
    connection = Connection(Login(servers=[site.url], timeout=Duration(15)), "test")
    connection.use(lambda stream: stream.create_key_value(bucket="btcore-other"))
    connection.use(lambda stream: stream.publish("$KV.btcore-other.theirs", b"1"))
    with closing(site.journal("north")) as journal:
        deliver(journal, SINK, *journal.append([entry(1)]).kept)
        assert journal.hold([SINK], ())
        site.drop("north")
        assert site.states() == {("north", ""): "stays, as a program works it"}
    site.run("--remove")
    found = connection.use(lambda stream: stream.streams_info())
    connection.close()
    expected = ["energy", "north-leases", "KV_btcore-other"]
    expected += [f"KV_btcore-energy{more}" for more in ("", "-dead-letters", "-leases")]
    expected += [f"KV_btcore-north-leases{more}" for more in ("", "-dead-letters", "-leases")]
    assert sorted(str(one.config.name) for one in found) == sorted(expected)


def test_a_name_comes_back_from_a_key() -> None:
    """Whatever a sink is called."""
    assert [name_of(token(name)) for name in ("sink.a b", "sink.Ström=2e", "")] == ["sink.a b", "sink.Ström=2e", ""]
