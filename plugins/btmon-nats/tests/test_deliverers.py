# SPDX-License-Identifier: GPL-3.0-or-later
"""Several programs on one stream: who works which partition, and who moves nothing any more."""

from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import nkeys  # type: ignore[import-untyped]
import pytest
from servers.nats_cluster import NatsCluster, NatsServer

from btcore import FORMATS, Batch, Duration, Reading
from btcore.journal import START, Baseline, Checkpoint, DeadLetter, Entry, Superseded, Unavailable
from btcore.journal.opening import open_journal
from btcore.journal.partitions import Share
from btcore.testing import wait_for
from btmon_nats.connection import Connection
from btmon_nats.journal.checkpoints import Checkpoints
from btmon_nats.journal.entries import Trust, entries_of, message_of
from btmon_nats.journal.journal import StreamJournal
from btmon_nats.journal.records import Records
from btmon_nats.login import Login
from btmon_nats.messages import NotAMessage, compress
from btmon_nats.sink import Nats
from btmon_nats.stream import StreamPlan, make_buckets, set_up
from btmon_nats.subjects import partition_of

pytestmark = pytest.mark.servers

SINK = "sink.store"
NUMBERS = tuple(0 for _ in FORMATS["ecm1220bin"].labels)
PARTITIONS = 4
LEASE = 2.0
"""Seconds; the shortest that a server under load renews in time."""

Open = Callable[[], StreamJournal]


def entry(key: int, serial: str = "1", raw: bytes = b"packet") -> Entry:
    """Make an entry."""
    return Entry(key, "panel", serial, "ecm1220bin", raw + b"%d" % key)


@pytest.fixture
def open_stream(server: NatsServer, tmp_path: Path) -> Iterator[Open]:
    """Make a stream; return what opens it as a journal, which is closed in the end."""
    connection = Connection(Login(servers=[server.url], timeout=Duration(15)), "test")
    plan = StreamPlan("energy", PARTITIONS, replicas=1)
    connection.use(lambda stream: set_up(stream, plan))
    connection.use(lambda stream: make_buckets(stream, plan, LEASE), 60)
    connection.close()
    opened: list[StreamJournal] = []

    def open_it() -> StreamJournal:
        journal = open_journal(f"{server.url}/energy?partitions={PARTITIONS}", tmp_path)
        assert isinstance(journal, StreamJournal)
        opened.append(journal)
        return journal

    yield open_it
    for journal in opened:
        journal.close()


def shares(*numbers: int) -> set[Share]:
    """Return the shares of these partitions."""
    return {Share(SINK, number) for number in numbers}


def test_programs_that_come_and_go_share_the_partitions(open_stream: Open) -> None:
    """One has all; of two each has half, and none is had by both; when one has gone, the other has all again."""
    one, two = open_stream(), open_stream()
    assert set(one.hold([SINK], ())) == shares(*range(PARTITIONS))

    def are_shared() -> bool:
        return (len(one.hold([SINK], ())), len(two.hold([SINK], ()))) == (2, 2)

    wait_for(are_shared, "both to have half")
    assert set(one.hold([SINK], ())) | set(two.hold([SINK], ())) == shares(*range(PARTITIONS))
    two.close()
    wait_for(lambda: set(one.hold([SINK], ())) == shares(*range(PARTITIONS)), "one to have all")


def test_what_is_worked_on_is_not_given_away(open_stream: Open) -> None:
    """A partition that is to go to another stays until its worker has ended."""
    one, two = open_stream(), open_stream()
    working = set(one.hold([SINK], ()))
    wait_for(lambda: not two.hold([SINK], ()) and len(one.hold([SINK], working)) == 2, "one to leave half")
    assert not two.hold([SINK], ())
    wait_for(lambda: one.hold([SINK], ()) is not None and len(two.hold([SINK], ())) == 2, "two to have it")


def test_who_slept_through_its_lease_moves_nothing(open_stream: Open) -> None:
    """Another has its partitions within seconds, and has made their checkpoints its own, also before it moves them."""
    one, two = open_stream(), open_stream()
    [kept] = one.append([entry(1)]).kept
    part = partition_of("1", PARTITIONS)
    assert Share(SINK, part) in one.hold([SINK], ())
    mine = one.partition(part).commit(SINK, Checkpoint())
    one._leases._stop.set()  # its thread sleeps
    wait_for(lambda: set(two.hold([SINK], ())) == shares(*range(PARTITIONS)), "two to have all")
    assert set(one.hold([SINK], ())) == set()
    with pytest.raises(Superseded):
        one.partition(part).commit(SINK, attrs.evolve(mine, offset=kept.offset))
    found = two.partition(part).checkpoint(SINK)
    assert found is not None
    assert found.offset == START
    assert two.partition(part).commit(SINK, attrs.evolve(found, offset=kept.offset)).offset == kept.offset


def test_many_baselines_are_kept_all_at_once(open_stream: Open) -> None:
    """Thousands of baselines come back with the checkpoint, the last of each; no snapshot is left behind."""
    journal = open_stream()
    checkpoint = Checkpoint()
    for turn in range(4):
        baselines = {f"{number}": Baseline(turn + 1) for number in range(turn * 700, turn * 700 + 1400)}
        checkpoint = journal.commit(SINK, attrs.evolve(checkpoint, baselines=baselines))
    again = open_stream()
    found = again.checkpoint(SINK)
    assert found == checkpoint
    assert found is not None
    assert (len(found.baselines), found.baselines["700"].offset) == (3500, 2)
    assert len(again.records.keys("baselines.")) == 1


def test_a_commit_whose_answer_was_lost_counts(open_stream: Open) -> None:
    """The same commit is made again, and is no other's: nothing was changed between."""

    class Deaf(Records):
        """A bucket whose answers are lost."""

        is_deaf = False

        def put(self, key: str, value: bytes, last: int | None = None) -> int:
            done = super().put(key, value, last)
            if self.is_deaf:
                raise Unavailable("no answer")
            return done

    journal = open_stream()
    records = Deaf(journal._cluster, "btcore-energy")
    checkpoints = Checkpoints(records, "all")
    first = checkpoints.commit(SINK, Checkpoint())
    records.is_deaf = True
    with pytest.raises(Unavailable):
        checkpoints.commit(SINK, attrs.evolve(first, offset=5))
    records.is_deaf = False
    second = checkpoints.commit(SINK, attrs.evolve(first, offset=5))
    assert checkpoints.commit(SINK, attrs.evolve(second, offset=6)).offset == 6
    with pytest.raises(Superseded):
        checkpoints.commit(SINK, attrs.evolve(first, offset=7))


def test_two_programs_append_each_reading_once(open_stream: Open) -> None:
    """What the other has appended is known, also where it came in between."""
    one, two = open_stream(), open_stream()
    assert len(one.append([entry(1), entry(2)]).kept) == 2
    assert [made.key for made in two.append([entry(1), entry(2), entry(3)]).kept] == [3]
    assert [made.key for made in one.append([entry(3), entry(4)]).kept] == [4]
    assert [one.key for one in two.partition(partition_of("1", PARTITIONS)).read(START, 9)] == [1, 2, 3, 4]


def test_it_reads_on_when_the_server_is_back(open_stream: Open, server: NatsServer) -> None:
    """While the server is gone nothing is read and nothing counts as read; what comes after it is."""
    journal = open_stream()
    [kept] = journal.append([entry(1)]).kept
    assert list(journal.read(START, 9)) == [kept]
    server.kill()
    with pytest.raises(Unavailable):
        journal.read(kept.offset, 9)
    assert (journal.newest(), journal.wait(kept.offset, 0.01)) == (kept.offset, False)
    server.start()
    [more] = wait_for_append(journal, entry(2))
    assert list(journal.read(kept.offset, 9)) == [more]


def wait_for_append(journal: StreamJournal, made: Entry) -> list[Entry]:
    """Append an entry as soon as that is possible."""
    done: list[Entry] = []

    def is_done() -> bool:
        try:
            done.extend(journal.append([made]).kept)
        except Unavailable:
            return False
        return True

    wait_for(is_done, "the journal to take an entry")
    return done


def test_a_stream_with_other_partitions_is_refused(open_stream: Open, server: NatsServer, tmp_path: Path) -> None:
    """A meter would be in two partitions: the message says how many there are."""
    open_stream()
    with pytest.raises(Unavailable, match="has 4 partitions: give partitions=4 in `journal`"):
        open_journal(f"{server.url}/energy?partitions=8", tmp_path)
    with pytest.raises(Unavailable, match="there is no such stream, or it is no journal yet: `btcore nats setup`"):
        open_journal(f"{server.url}/other", tmp_path)


def test_a_stream_that_was_made_anew_is_another(open_stream: Open, server: NatsServer) -> None:
    """No checkpoint of the other one counts. Who had it open goes on with it once its workers have ended."""
    journal = open_stream()
    [kept] = journal.append([entry(1)]).kept
    part = journal.partition(partition_of("1", PARTITIONS))
    assert list(part.read(START, 9)) == [kept]
    part.commit(SINK, Checkpoint(kept.offset))
    mine = set(journal.hold([SINK], ()))
    connection = Connection(Login(servers=[server.url], timeout=Duration(15)), "test")
    connection.use(lambda stream: stream.delete_stream("energy"))
    connection.use(lambda stream: set_up(stream, StreamPlan("energy", PARTITIONS, replicas=1)))
    connection.close()
    assert open_stream().checkpoint(SINK) is None

    def is_refused() -> bool:
        try:
            journal.read(kept.offset, 1)
        except Unavailable as error:
            return "was made anew while this program ran: its workers end first" in str(error)
        return False

    wait_for(is_refused, "the other to refuse")
    assert not journal.hold([SINK], mine)
    assert is_refused()
    wait_for(lambda: set(journal.hold([SINK], ())) == mine, "it to go on")
    assert part.checkpoint(SINK) is None
    [again] = journal.append([entry(2)]).kept
    assert list(part.read(START, 9)) == [again]
    assert part.commit(SINK, Checkpoint(again.offset)).revision == 1


def test_other_partitions_are_told_once(
    open_stream: Open, server: NatsServer, caplog: pytest.LogCaptureFixture
) -> None:
    """And again when they change; a stream that has the right number again is gone on with."""
    journal = open_stream()
    connection = Connection(Login(servers=[server.url], timeout=Duration(15)), "test")
    for partitions in (PARTITIONS + 1, PARTITIONS + 2, PARTITIONS):
        connection.use(lambda stream: stream.delete_stream("energy"))
        connection.use(partial(set_up, plan=StreamPlan("energy", partitions, replicas=1)))
        for _ in range(3):
            journal._renewal.look()
    connection.close()
    wait_for(lambda: journal.hold([SINK], ()), "it to go on")
    told = [one.getMessage().partition(" was made anew")[2] for one in caplog.records if "anew" in one.getMessage()]
    assert told == [
        f" with {PARTITIONS + 1} partitions: give partitions={PARTITIONS + 1} in `journal`, and restart",
        f" with {PARTITIONS + 2} partitions: give partitions={PARTITIONS + 2} in `journal`, and restart",
        ": this program goes on with it, from its beginning",
    ]


def test_a_fault_is_told_once(open_stream: Open, caplog: pytest.LogCaptureFixture) -> None:
    """What comes again at each look is told at the first; the looks go on, and what is newest is known after it."""
    journal, looks = open_stream(), []

    def fail(_journal: StreamJournal) -> None:
        looks.append(1)
        raise ZeroDivisionError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(StreamJournal, "_refresh", fail)
        wait_for(lambda: len(looks) > 2, "some looks")
    [told] = [one for one in caplog.records if "a fault of btmon-nats" in one.getMessage() and one.levelname == "ERROR"]
    assert told.exc_info
    [kept] = open_stream().append([entry(1)]).kept
    wait_for(lambda: journal.newest() == kept.offset, "it to know what is newest")


def test_a_journal_that_is_closed_is_unavailable(open_stream: Open) -> None:
    """Whoever uses it then is told so."""
    journal = open_stream()
    with closing(journal):
        pass
    with pytest.raises(Unavailable, match="was closed"):
        journal.read(START, 1)


def test_a_deliverer_needs_no_more_rights_than_the_page_says(
    tmp_path: Path, setup: Callable[..., str], opened: Callable[..., Any]
) -> None:
    """With the rights of docs/deliverers.md it reads, commits, refuses and forgets; publishing is denied."""
    keys = {
        name: nkeys.from_seed(nkeys.encode_seed(bytes([number] * 32), nkeys.PREFIX_BYTE_USER))
        for number, name in enumerate(("deliverer", "admin"), 1)
    }
    for name, key in keys.items():
        (tmp_path / name).write_bytes(key.seed)
    page = (Path(__file__).parents[3] / "docs" / "deliverers.md").read_text()
    user = page.partition("```conf\n")[2].partition("```")[0].strip()
    user = user.replace("DELIVERER_KEY", keys["deliverer"].public_key.decode())
    admin = f"{{ nkey: {keys['admin'].public_key.decode()} }}"
    with NatsCluster(tmp_path, 1, f"authorization {{ users: [ {user}, {admin} ] }}") as cluster:
        url = cluster.servers[0].url
        setup([url], "--replicas", "1", more=f'nkey = "{tmp_path / "admin"}"')
        sink = opened(Nats, url, nkey=tmp_path / "admin")
        reading = Reading(datetime(2026, 6, 21, tzinfo=UTC), FORMATS["ecm1220bin"], "399999", b"", numbers=NUMBERS)
        sink.process_batch(Batch((reading,)))
        with closing(open_journal(f"{url}/energy?nkey={tmp_path / 'deliverer'}", tmp_path)) as journal:
            assert isinstance(journal, StreamJournal)
            assert Share(SINK, 3) in journal.hold([SINK], ())
            [found] = journal.read(START, 9)
            letter = DeadLetter(SINK, "399999", reading.time, reading.time, "refused", (found.offset,), (found.key,))
            journal.keep_dead_letters([letter])
            journal.forget_dead_letters([letter])
            assert journal.commit(SINK, Checkpoint(found.offset)).revision == 1
            with pytest.raises(Unavailable, match=r"denies it: permissions violation"):
                journal.append([entry(1)])


# --- what a message may have -----------------------------------------------------------------------------------------


def refused(data: bytes, subject: str, **more: object) -> list[str]:
    """Return what is reported of a message of which nothing is taken."""
    reports: list[str] = []
    trust = Trust(PARTITIONS, report=lambda text, _kind: reports.append(text), **more)  # type: ignore[arg-type]
    assert entries_of(data, 7, subject, trust) == []
    return reports


def subject(serial: str = "1", publisher: str = "house-1") -> str:
    """Return where a reading of a meter belongs."""
    return f"energy.{partition_of(serial, PARTITIONS):03}.{publisher}"


def test_nothing_of_a_message_is_believed() -> None:
    """Junk, another's meter, a partition that is not the meter's, and numbers that are none are refused, and told."""
    good = message_of([entry(5)])
    other = next(f"{number}" for number in range(99) if partition_of(f"{number}", PARTITIONS) != partition_of("1", 4))
    assert "not compressed" in refused(b"junk", subject())[0]
    assert "a partition that is not its own" in refused(good, subject(other))[0]
    assert "none of its own" in refused(good, subject(), publishers={"house-1": ["2"]})[0]
    assert "none of its own" in refused(good, subject(), publishers={"house-2": ["1"]})[0]
    assert "a number is not as it should be" in refused(message_of([entry(-5)]), subject())[0]
    assert "a text is not as it should be" in refused(message_of([entry(5, "1\n")]), subject())[0]
    assert "more than 128 readings" in refused(message_of([entry(key) for key in range(129)]), subject())[0]
    assert "version" in refused(compress({"version": 99, "formats": {}}, []), subject())[0]


def test_what_was_allowed_is_taken() -> None:
    """An entry has the name of its publisher; one that says that its time is not known holds nobody up."""
    trust = Trust(PARTITIONS, {"house-1": ["1"]})
    [found] = entries_of(message_of([attrs.evolve(entry(5), boot=-3)]), 7, subject(), trust)
    assert found == attrs.evolve(entry(5), offset=7 << 7, boot=3, address="house-1")
    assert issubclass(NotAMessage, ValueError)
