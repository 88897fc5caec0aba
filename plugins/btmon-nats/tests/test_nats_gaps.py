# SPDX-License-Identifier: GPL-3.0-or-later
"""What has not come to the archive is found, by meter and hour, and published again: that, and nothing else."""

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from helpers.needed import need
from hypothesis import given
from hypothesis import strategies as st
from nats.aio.client import Client
from nats.aio.msg import Msg
from servers.nats_cluster import MISSING, NatsCluster, NatsServer

from btcore import FORMATS, Batch, BtcoreError, Reading, Reject, Retry, Table, pack
from btcore.cli import OK, UNAVAILABLE, main
from btcore.testing import wait_for
from btmon_nats import published
from btmon_nats.answering import Answering
from btmon_nats.connection import Connection
from btmon_nats.gaps import HOUR, Gaps
from btmon_nats.login import Login
from btmon_nats.messages import decode
from btmon_nats.published import Keys
from btmon_nats.questions import answer, question, refusal, stored_in
from btmon_nats.sink import Nats
from btmon_sqlite.sink import Sqlite

NOON = datetime(2026, 6, 21, 12, tzinfo=UTC)
Archive = Callable[..., AbstractContextManager[list[str]]]

METERS = ("01000777", "01000778")


def readings(first: int, last: int) -> tuple[Reading, ...]:
    """Return readings of two meters, twenty minutes apart."""
    form = FORMATS["gem48ptbin"]
    return tuple(
        Reading(NOON + timedelta(minutes=20 * n), form, serial, pack("gem48ptbin", serial, {"secs": 1200 * n}))
        for n in range(first, last)
        for serial in METERS
    )


def identities(some: Any) -> set[tuple[str, int]]:  # noqa: ANN401 - any readings
    """Return what identifies readings."""
    return {(one.serial, one.key) for one in some}


# --- what is asked, and counted ---------------------------------------------------------------------------------------


@given(st.sets(st.integers(0, 19)))
def test_an_answer_says_what_was_asked(stored: set[int]) -> None:
    """Whatever is stored: question and answer bring exactly that back, and no number of a meter leaves the house."""
    asked = readings(0, 10)
    heard = decode(question(asked))
    assert identities(heard) == identities(asked)
    assert not any(any(one.numbers) or one.raw or one.address for one in heard)
    expected = {(asked[n].serial, asked[n].key) for n in stored}
    assert stored_in(answer(heard, expected), asked) == expected


@pytest.mark.parametrize("data", [b"", b"[]", b'{"stored": "01"}', b'{"stored": "xxxx"}', b'{"stored": 7}', b"7"])
def test_a_wrong_answer_says_nothing(data: bytes) -> None:
    """What is no answer to the question is waited over: nothing counts as stored by mistake, nothing as missing."""
    with pytest.raises(Retry, match="is its btcore of another version"):
        stored_in(data, readings(0, 2))


def test_an_archive_that_cannot_tell_is_waited_for() -> None:
    """The reason of an archive is told, shortened to a line."""
    with pytest.raises(Retry, match=r"^the archive cannot tell what it has: no database x*$"):
        stored_in(refusal("no database\n" + "x" * 9999), readings(0, 1))


@given(st.sets(st.integers(0, 19)), st.sets(st.integers(0, 19)))
def test_gaps_add_up(in_stream: set[int], in_archive: set[int]) -> None:
    """Over all hours, each reading is counted once, and is missing where it is in neither."""
    some, gaps = readings(0, 10), Gaps()
    stream, stored = ({(some[n].serial, some[n].key) for n in one} for one in (in_stream, in_archive))
    for at in range(0, len(some), 7):
        gaps.add(some[at : at + 7], stream, stored)
    assert gaps.totals() == {
        "journal": 20,
        "stream": len(in_stream),
        "archive": len(in_archive),
        "missing": 20 - len(in_stream | in_archive),
    }
    incomplete = {(some[n].serial, some[n].key // HOUR) for n in set(range(20)) - in_archive}
    assert set(gaps.hours) == incomplete


def test_gaps_are_shown_by_meter_and_hour() -> None:
    """An hour without a gap is left out; the columns of the others are in line."""
    some, gaps = readings(0, 4), Gaps()
    gaps.add(some, identities(some[:7]), identities(some[:6]))
    assert list(gaps.lines()) == [
        "meter     hour               journal  stream  archive  missing",
        "01000777  2026-06-21T13:00Z        1       1        0        0",
        "01000778  2026-06-21T13:00Z        1       0        0        1",
        "8 readings in the journal: 7 of them in the stream, 6 in the archive, 1 in neither",
    ]


async def ask(data: bytes, client: Client) -> Msg:
    """Ask an archive something."""
    return await client.request("energy-stored.me", data, 5.0)


# --- with a server ----------------------------------------------------------------------------------------------------


@pytest.mark.servers
def test_a_sink_knows_what_has_arrived(
    archive: Archive, tmp_path: Path, server: NatsServer, setup: Callable[..., str], opened: Callable[..., Any]
) -> None:
    """What the archive has, and what the stream has for it, is not missing; what another house published is."""
    setup([server.url], "--replicas", "1")
    sink = opened(Nats, server.url, publisher="house-1")
    every = readings(0, 600)
    opened(Nats, server.url, publisher="house-2").process_batch(Batch(every[1100:]))
    sink.process_batch(Batch(every[200:900]))
    with archive(tmp_path, server.url, every[:400]):
        assert set(sink.find_stored(Batch(every))) == identities(every[:900])
        sink.process_batch(Batch(every[900:]))
        assert set(sink.find_stored(Batch(every))) == identities(every)


@pytest.mark.servers
@pytest.mark.parametrize("is_purged", [True, False])
def test_what_the_stream_has_dropped_is_missing_again(
    is_purged: bool,
    archive: Archive,
    tmp_path: Path,
    server: NatsServer,
    setup: Callable[..., str],
    opened: Callable[..., Any],
) -> None:
    """A sink that has looked through the stream believes in nothing that was dropped since, or lost with the disks."""
    setup([server.url], "--replicas", "1")
    sink, some = opened(Nats, server.url), readings(0, 5)
    operator = Connection(Login(servers=[server.url]), "operator")
    with archive(tmp_path, server.url, ()):
        sink.process_batch(Batch(some))
        assert set(sink.find_stored(Batch(some))) == identities(some)
        if is_purged:
            operator.use(lambda stream: stream.purge_stream("energy"))
        else:
            operator.use(lambda stream: stream.delete_stream("energy"))
            setup([server.url], "--replicas", "1")
        operator.close()
        assert sink.find_stored(Batch(some)) == []
        sink.process_batch(Batch(some[::-1]))
        assert set(sink.find_stored(Batch(some))) == identities(some)


@given(st.lists(st.integers(0, 20)), st.integers(0, 20))
def test_the_last_message_of_a_key_is_known(keys: list[int], asked: int) -> None:
    """In whatever order keys were published, and however often one was."""
    known = Keys()
    for message, key in enumerate(keys, 1):
        known.add(key, message)
    assert known.message_of(asked) == max((n for n, key in enumerate(keys, 1) if key == asked), default=0)


@pytest.mark.servers
def test_nobody_who_answers_is_waited_for(
    server: NatsServer, setup: Callable[..., str], opened: Callable[..., Any]
) -> None:
    """Where nobody answers for the archive, nothing counts as missing, and the reason says what to run."""
    setup([server.url], "--replicas", "1")
    with pytest.raises(Retry, match=r"nobody answers for the archive of stream energy: run `btcore nats answer` there"):
        opened(Nats, server.url).find_stored(Batch(readings(0, 1)))


@pytest.mark.servers
def test_a_span_that_is_too_long_is_refused(
    archive: Archive,
    server: NatsServer,
    setup: Callable[..., str],
    opened: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """More readings than fit into memory are refused with what to do, and the sink goes on with a shorter span."""
    setup([server.url], "--replicas", "1")
    sink = opened(Nats, server.url)
    sink.process_batch(Batch(readings(0, 300)))
    monkeypatch.setattr(published, "MAX_READINGS", 500)
    with archive(tmp_path, server.url, ()):
        with pytest.raises(Reject, match="more than 500 readings of this span: name a shorter one"):
            sink.find_stored(Batch(readings(0, 300)))
        monkeypatch.setattr(published, "MAX_READINGS", 1000)
        assert len(sink.find_stored(Batch(readings(0, 300)))) == 600


@pytest.mark.servers
def test_a_question_that_is_none_is_refused(archive: Archive, tmp_path: Path, server: NatsServer) -> None:
    """Whoever sends junk, or asks too much, is told so, and the next one is answered."""
    with archive(tmp_path, server.url, readings(0, 2)):
        asking = Connection(Login(servers=[server.url]), "stranger")
        for data, why in (
            (b"hello", "the question cannot be read: it is not compressed as btcore does"),
            (question(readings(0, 251)), "expected at most 500 readings in a question"),
        ):
            assert json.loads(asking.use_client(partial(ask, data)).data) == {"error": why}
        assert stored_in(asking.use_client(partial(ask, question(readings(1, 3)))).data, readings(1, 3)) == identities(
            readings(1, 2)
        )
        asking.close()


@pytest.mark.servers
def test_an_archive_answers_again_when_its_server_is_back(
    archive: Archive,
    tmp_path: Path,
    server: NatsServer,
    setup: Callable[..., str],
    opened: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A server that was killed costs the archive some seconds, and it says so."""
    monkeypatch.setattr("btmon_nats.answering.REST", 0.1)
    setup([server.url], "--replicas", "1")
    sink = opened(Nats, server.url)
    with archive(tmp_path, server.url, readings(0, 1)) as said:
        server.kill()
        wait_for(lambda: any("trying again" in text for text in said), "the archive to notice")
        server.start()
        wait_for(lambda: sum(text.startswith("answering") for text in said) == 2, "the archive to listen again")
        assert set(sink.find_stored(Batch(readings(0, 1)))) == identities(readings(0, 1))


@pytest.mark.parametrize(
    ("tables", "words", "why"),
    [
        ("[sink.nats]\n", ["gaps", "--table", "other"], "expected --table with one of sink.nats"),
        ("[sink.print]\n", ["gaps"], "has no sink nats: add [sink.NAME]"),
        ("[sink.nats]\n", ["answer"], "has no sink that stores each reading, such as sql or sqlite"),
        (
            '[sink.nats]\n[sink.a]\nuse = "sqlite"\nfile = "a.db"\n[sink.b]\nuse = "sqlite"\nfile = "b.db"\n',
            ["answer"],
            "expected --sink with one of sink.a, sink.b",
        ),
        (
            '[sink.nats]\n[sink.a]\nuse = "sqlite"\nfile = "a.db"\nschema = "samples"\n',
            ["answer"],
            "has no sink that stores each reading",
        ),
        ("[sink.nats]\n", ["gaps"], "there is no journal in"),
    ],
)
def test_a_command_says_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], tables: str, words: list[str], why: str
) -> None:
    """A configuration by which nothing can be found is told what it lacks."""
    (tmp_path / "site.toml").write_text(f'state = "state"\n[source.simulator]\n{tables}')
    assert main(["nats", *words, "--config", str(tmp_path / "site.toml")]) == UNAVAILABLE
    assert why in capsys.readouterr().err


@pytest.mark.servers
def test_gaps_of_a_house_are_found_and_filled(
    archive: Archive, tmp_path: Path, server: NatsServer, setup: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    """The command shows the hours, fills what is in neither, and finds nothing when it is called again."""
    setup([server.url], "--replicas", "1")
    now = datetime.now(UTC) - timedelta(minutes=5)
    with (tmp_path / "house.bin").open("wb") as file:
        for second in range(20):
            file.write(pack("gem48ptbin", METERS[0], {"secs": second}))
    site = tmp_path / "site.toml"
    tables = (
        f'[source.file]\npath = "house.bin"\nstart = "{now.isoformat()}"\n[sink.nats]\nservers = ["{server.url}"]\n'
    )
    site.write_text(f'state = "state"\n{tables}publisher = "house-1"\n')
    command = ["nats", "gaps", "--config", str(site), "--hours", "2"]
    assert main(["run", "--once", "--quiet", "--config", str(site)]) == OK
    with archive(tmp_path, server.url, ()):
        capsys.readouterr()
        assert main(command) == OK, "the stream has all of them"
        operator = Connection(Login(servers=[server.url]), "operator")
        operator.use(lambda stream: stream.delete_stream("energy"))
        setup([server.url], "--replicas", "1")
        capsys.readouterr()
        assert main(command) == 1
        shown = capsys.readouterr().out
        assert "20 readings in the journal: 0 of them in the stream, 0 in the archive, 20 in neither\n" in shown
        assert main([*command, "--fill"]) == OK
        assert "0 of them in the stream" in capsys.readouterr().out
        assert main([*command, "--json", "--fill"]) == OK
        found = json.loads(capsys.readouterr().out)
        assert {name: found[name] for name in ("journal", "stream", "missing")} == {
            "journal": 20,
            "stream": 20,
            "missing": 0,
        }
        assert operator.use(lambda stream: stream.stream_info("energy")).state.messages == 1
        operator.close()


@pytest.mark.servers
def test_an_archive_that_a_person_has_to_see_to_says_so(tmp_path: Path) -> None:
    """An account that is refused ends the command with the reason; it is not tried for ever."""
    need(MISSING)
    with NatsCluster(tmp_path, 1, "authorization { token: secret }") as cluster:
        make: Any = Sqlite
        connection = Connection(Login(servers=cluster.urls), "archive")
        answering = Answering(connection, "energy", Table("sink.db", "sink", make(file=tmp_path / "a.db")), print)
        with pytest.raises(BtcoreError, match="does not take our account"):
            answering.run(Event())
