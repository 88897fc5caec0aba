# SPDX-License-Identifier: GPL-3.0-or-later
"""The sink and the source against a real server: what is published is collected, and each refusal means one thing."""

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

import nkeys  # type: ignore[import-untyped]
import pytest
from helpers.needed import need
from servers.nats_cluster import MISSING, NatsCluster, NatsServer

from btcore import FORMATS, Batch, Context, DiagnosisContext, Reading, Reject, Retry, SourceCheckpoint, Stop, pack
from btcore.cli import UNAVAILABLE, main
from btcore.testing import wait_for
from btmon_nats.connection import Connection
from btmon_nats.diagnosis import _version_findings
from btmon_nats.holdings import Holdings
from btmon_nats.login import Login
from btmon_nats.messages import encode
from btmon_nats.sink import Nats
from btmon_nats.source import NatsStream

pytestmark = pytest.mark.servers

NOON = datetime(2026, 6, 21, 12, tzinfo=UTC)
Archive = Callable[..., AbstractContextManager[list[str]]]

METERS = ("01000777", "01000778", "01000779")


def batch(first: int, last: int, meters: tuple[str, ...] = METERS) -> Batch:
    """Return readings of some meters, in the order in which they came in."""
    form = FORMATS["gem48ptbin"]
    return Batch(
        tuple(
            Reading(NOON + timedelta(seconds=second), form, serial, pack("gem48ptbin", serial, {"secs": second}))
            for second in range(first, last)
            for serial in meters
        )
    )


def context(**more: Any) -> Context:  # noqa: ANN401 - any field
    """Return what a source that ends is given."""
    return Context("source.fleet", logging.getLogger("source.fleet"), once=True, **more)


def collect(source: NatsStream) -> Iterator[Reading]:
    """Yield the readings that a source collects until there are no more."""
    return (one for one in source.collect(Event()) if isinstance(one, Reading))


def identities(readings: Any) -> list[tuple[str, int]]:  # noqa: ANN401 - any readings
    """Return what identifies readings."""
    return [(one.serial, one.key) for one in readings]


def test_what_is_published_is_collected(
    server: NatsServer, setup: Callable[..., str], opened: Callable[..., Any]
) -> None:
    """Each reading comes out with its numbers and the name of its publisher; those of a meter stay in their order."""
    setup([server.url], "--replicas", "1", "--partitions", "4")
    sink = opened(Nats, server.url, publisher="house-1")
    sink.process_batch(batch(0, 250))
    found = list(collect(opened(NatsStream, server.url, context())))
    assert sorted(identities(found)) == sorted(identities(batch(0, 250).readings))
    for serial in METERS:
        assert [one.seconds for one in found if one.serial == serial] == list(range(250))
    assert {one.address for one in found} == {"house-1"}
    assert found[0].numbers == FORMATS["gem48ptbin"].numbers(found[0].raw)


def test_it_goes_on_where_the_journal_says(
    server: NatsServer, setup: Callable[..., str], opened: Callable[..., Any]
) -> None:
    """A source that is opened with a checkpoint collects what came after it, and nothing twice."""
    setup([server.url], "--replicas", "1")
    sink = opened(Nats, server.url)
    sink.process_batch(batch(0, 5, METERS[:1]))
    items = list(opened(NatsStream, server.url, context()).collect(Event()))
    checkpoint = next(one for one in reversed(items) if isinstance(one, SourceCheckpoint))
    sink.process_batch(batch(5, 9, METERS[:1]))
    found = collect(opened(NatsStream, server.url, context(checkpoint=checkpoint.state)))
    assert [one.seconds for one in found] == [5, 6, 7, 8]


@pytest.mark.parametrize("lost", [2, 9])
def test_a_stream_that_was_made_anew_is_read_from_its_beginning(
    lost: int,
    server: NatsServer,
    setup: Callable[..., str],
    opened: Callable[..., Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Where the cluster lost its disks, the numbers of messages begin again: nothing is passed over, and it is told."""
    setup([server.url], "--replicas", "1")
    sink = opened(Nats, server.url)
    for second in range(5):
        sink.process_batch(batch(second, second + 1, METERS[:1]))
    items = list(opened(NatsStream, server.url, context()).collect(Event()))
    checkpoint = next(one for one in reversed(items) if isinstance(one, SourceCheckpoint))
    connection = Connection(Login(servers=[server.url]), "operator")
    connection.use(lambda stream: stream.delete_stream("energy"))
    connection.close()
    setup([server.url], "--replicas", "1")
    for second in range(lost):
        sink.process_batch(batch(second, second + 1, METERS[:1]))
    found = collect(opened(NatsStream, server.url, context(checkpoint=checkpoint.state)))
    assert [one.seconds for one in found] == list(range(lost))
    assert caplog.messages == ["stream energy was made anew since it was read last: it is read from its beginning"]


def test_what_is_published_again_is_stored_once(
    server: NatsServer, setup: Callable[..., str], opened: Callable[..., Any]
) -> None:
    """A batch that comes again after an acknowledgement was lost adds no message."""
    setup([server.url], "--replicas", "1")
    sink = opened(Nats, server.url)
    for _ in range(3):
        sink.process_batch(batch(0, 7))
    assert len(list(collect(opened(NatsStream, server.url, context())))) == 7 * len(METERS)


def test_setup_says_what_it_did(
    server: NatsServer, setup: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    """It makes a stream, leaves one that is as it should be, changes one that is not, and refuses other partitions."""
    words = ["--replicas", "1", "--max-age", "30d", "--max-bytes", "500MB"]
    assert setup([server.url], *words) == (
        f"stream energy at {server.url}: made\n"
        "  subjects    energy.*.*\n  partitions  16\n  replicas    1\n  kept        30 days\n"
        "  size        0.5 GB; more is refused\n"
    )
    assert f"{server.url}: there already\n" in setup([server.url], *words)
    assert f"{server.url}: changed\n" in setup([server.url], "--replicas", "1", "--max-age", "60d")
    with pytest.raises(AssertionError):
        setup([server.url], "--replicas", "1", "--partitions", "8")
    assert capsys.readouterr().err == (
        "btcore: stream energy has 16 partitions, and a meter stays in its own: give --partitions 16\n"
    )


def test_without_a_stream_it_waits(server: NatsServer, setup: Callable[..., str], opened: Callable[..., Any]) -> None:
    """Readings wait until somebody makes the stream, and the reason says how."""
    with pytest.raises(Retry, match=r"has no stream energy, or no JetStream: `btcore nats setup` makes one"):
        opened(Nats, server.url)
    setup([server.url], "--replicas", "1")
    opened(Nats, server.url).process_batch(batch(0, 1))


def test_a_full_stream_refuses_and_keeps(
    server: NatsServer, setup: Callable[..., str], opened: Callable[..., Any]
) -> None:
    """Where there is no room, new readings wait in the journals; what the stream has is not dropped for them."""
    setup([server.url], "--replicas", "1", "--max-bytes", "3kB")
    sink = opened(Nats, server.url)
    sink.process_batch(batch(0, 1, METERS[:1]))
    with pytest.raises(Retry, match="maximum bytes exceeded"):
        sink.process_batch(batch(1, 300))
    assert opened(NatsStream, server.url, context()).collect(Event()).__next__().seconds == 0


def test_nobody_there_is_told_at_once(opened: Callable[..., Any]) -> None:
    """A sink whose servers refuse the connection waits for them, and the reason is the system's."""
    with pytest.raises(Retry, match=r"nats://127\.0\.0\.1:1: (Connection refused|.*Connect call failed)"):
        opened(Nats, "nats://127.0.0.1:1")


def test_a_server_that_has_gone_is_waited_for(
    server: NatsServer, setup: Callable[..., str], opened: Callable[..., Any]
) -> None:
    """A sink whose server was killed says so, and publishes again when it is back: what was acknowledged is there."""
    setup([server.url], "--replicas", "1")
    sink = opened(Nats, server.url)
    sink.process_batch(batch(0, 10))
    server.kill()
    with pytest.raises(Retry):
        sink.process_batch(batch(10, 20))
    server.start()
    sink.process_batch(batch(10, 20))
    found = identities(collect(opened(NatsStream, server.url, context())))
    assert sorted(found) == sorted(identities(batch(0, 20).readings))


def test_a_message_of_somebody_else_is_passed_over(
    server: NatsServer, setup: Callable[..., str], opened: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    """Junk in the stream is told, and the readings after it are collected."""
    setup([server.url], "--replicas", "1")
    connection = Connection(Login(servers=[server.url]), "stranger")
    connection.use(lambda stream: stream.publish("energy.000.stranger", b"hello"))
    connection.close()
    opened(Nats, server.url).process_batch(batch(0, 1))
    assert len(list(collect(opened(NatsStream, server.url, context())))) == len(METERS)
    assert caplog.messages == [
        "message 1 of publisher stranger is passed over: it is not compressed as btcore does (1 so far)"
    ]


def test_only_the_meters_of_a_publisher_are_taken(
    server: NatsServer, setup: Callable[..., str], opened: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    """A publisher with another's meter, or one that is not known, is refused, and told once."""
    setup([server.url], "--replicas", "1")
    for publisher in ("house-1", "house-9"):
        opened(Nats, server.url, publisher=publisher).process_batch(batch(0, 2, METERS[:2]))
    source = opened(NatsStream, server.url, context(), publishers={"house-1": [METERS[0]]})
    assert identities(collect(source)) == identities(batch(0, 2, METERS[:1]).readings)
    assert [message.partition(":")[0] for message in caplog.messages] == [
        f"readings of meter {serial} by publisher {publisher} are refused"
        for publisher, serial in (("house-1", METERS[1]), ("house-9", METERS[0]), ("house-9", METERS[1]))
    ]


def test_what_was_dropped_unread_is_told(
    server: NatsServer, setup: Callable[..., str], opened: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    """Where the stream's bounds have dropped messages, the log says which, and where they may be had."""
    setup([server.url], "--replicas", "1")
    sink = opened(Nats, server.url)
    for second in range(3):
        sink.process_batch(batch(second, second + 1, METERS[:1]))
    connection = Connection(Login(servers=[server.url]), "operator")
    connection.use(lambda stream: stream.purge_stream("energy", seq=3))
    connection.close()
    assert [one.seconds for one in collect(opened(NatsStream, server.url, context()))] == [2]
    (text,) = caplog.messages
    assert text.startswith("stream energy has dropped messages 1 to 2 before they were read; `btcore replay`")


# --- rights -----------------------------------------------------------------------------------------------------------


def test_a_publisher_cannot_write_in_another_s_name(
    tmp_path: Path, setup: Callable[..., str], opened: Callable[..., Any]
) -> None:
    """With the rights of docs/fleet.md a house publishes as itself; as another it is denied, and stops."""
    need(MISSING)
    house, archive, admin = (
        nkeys.from_seed(nkeys.encode_seed(bytes([n] * 32), nkeys.PREFIX_BYTE_USER)) for n in (1, 2, 3)
    )
    for name, key in (("house", house), ("archive", archive), ("admin", admin)):
        (tmp_path / name).write_bytes(key.seed)
    with NatsCluster(
        tmp_path, 1, rights(house.public_key.decode(), archive.public_key.decode(), admin.public_key.decode())
    ) as cluster:
        url = cluster.servers[0].url
        setup([url], "--replicas", "1", more=f'nkey = "{tmp_path / "admin"}"')
        opened(Nats, url, publisher="house-1", nkey=tmp_path / "house").process_batch(batch(0, 3))
        thief = opened(Nats, url, publisher="house-1", nkey=tmp_path / "house")
        thief.publisher = "house-2"
        with pytest.raises(Stop, match=r"denies it: permissions violation for publish to \"energy\.\d{3}\.house-2\""):
            thief.process_batch(batch(0, 3))
        found = collect(opened(NatsStream, url, context(), nkey=tmp_path / "archive"))
        assert sorted(identities(found)) == sorted(identities(batch(0, 3).readings))
        wait_for(lambda: is_refused(partial(opened, Nats, url), "does not take our account"), "a refusal")


def is_refused(connect: Callable[[], object], words: str) -> bool:
    """Whether an account is refused with these words; the end of the line may come before them."""
    try:
        connect()
    except Retry:
        return False
    except Stop as error:
        return words in str(error)
    raise AssertionError("the account is taken")


def test_a_house_asks_the_archive_and_sees_nothing_of_others(
    archive: Archive, tmp_path: Path, setup: Callable[..., str], opened: Callable[..., Any]
) -> None:
    """With the rights of docs/fleet.md a house finds its gaps; another's messages and answers are denied to it."""
    need(MISSING)
    keys = [nkeys.from_seed(nkeys.encode_seed(bytes([n] * 32), nkeys.PREFIX_BYTE_USER)) for n in (1, 2, 3)]
    for name, key in zip(("house", "archive", "admin"), keys, strict=True):
        (tmp_path / name).write_bytes(key.seed)
    with NatsCluster(tmp_path, 1, rights(*(key.public_key.decode() for key in keys))) as cluster:
        url = cluster.servers[0].url
        setup([url], "--replicas", "1", more=f'nkey = "{tmp_path / "admin"}"')
        sink = opened(Nats, url, publisher="house-1", nkey=tmp_path / "house")
        sink.process_batch(batch(0, 3))
        with archive(tmp_path, url, batch(2, 5).readings, nkey=tmp_path / "archive"):
            assert sorted(sink.find_stored(batch(0, 9))) == sorted(identities(batch(0, 5).readings))
        thief = opened(Nats, url, publisher="house-1", nkey=tmp_path / "house")
        with pytest.raises(Reject, match=r"permissions violation for publish to .*consumer\.\w+\.energy\.gaps-house-2"):
            Holdings(thief._connection, "energy", "house-2").in_stream(batch(0, 1).readings)


def rights(house: str, archive: str, admin: str) -> str:
    """Return the rights that docs/fleet.md shows, with these keys."""
    page = (Path(__file__).parents[3] / "docs" / "fleet.md").read_text()
    block = page.partition("```conf\n")[2].partition("```")[0]
    return block.replace("HOUSE_1_KEY", house).replace("ARCHIVE_KEY", archive).replace("OPERATOR_KEY", admin)


# --- the doctor -------------------------------------------------------------------------------------------------------


def codes(cls: Any, **settings: Any) -> list[str]:  # noqa: ANN401 - a plugin's class, and any of its settings
    """Return what the doctor finds."""
    return [one.code for one in cls(**settings).diagnose(DiagnosisContext(name="sink.nats"))]


def test_the_doctor_finds_what_may_lose_readings(tmp_path: Path, setup: Callable[..., str]) -> None:
    """A stream on one server, one that acknowledges before the disk has it, and that nobody could ask, are told."""
    need(MISSING)
    with NatsCluster(tmp_path, 1, "jetstream { sync_interval: 2m }") as cluster:
        server = cluster.servers[0]
        setup([server.url], "--replicas", "1")
        assert codes(Nats, servers=[server.url], monitoring=[server.monitoring]) == ["few-replicas", "late-sync"]
        assert codes(Nats, servers=[server.url]) == ["not-asked", "few-replicas"]
        assert codes(NatsStream, servers=[server.url], stream="other") == ["unreachable"]


@pytest.mark.parametrize(
    ("version", "count"), [("2.9.1", 1), ("2.14.9", 1), ("2.15.0", 0), ("2.15.0-RC.1", 0), ("3.0", 0), ("", 1)]
)
def test_the_doctor_knows_versions_that_lost_readings(version: str, count: int) -> None:
    """Each server before 2.15 is told, with what to install."""
    found = list(_version_findings("http://n1:8222", {"version": version}))
    assert [one.code for one in found] == ["old-server"] * count
    assert all(one.text.startswith("http://n1:8222 is NATS") and "2.15" in one.advice for one in found)


def test_the_doctor_is_content_with_a_cluster(tmp_path: Path, setup: Callable[..., str]) -> None:
    """Three servers that sync always, and a stream on all of them: nothing is found."""
    need(MISSING)
    with NatsCluster(tmp_path) as cluster:
        setup(cluster.urls)
        assert codes(Nats, servers=cluster.urls, monitoring=[one.monitoring for one in cluster.servers]) == []


def test_a_command_without_a_stream_says_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A configuration that names no stream is told how to."""
    (tmp_path / "site.toml").write_text('state = "."\n[source.simulator]\n[sink.print]\n')
    assert main(["nats", "setup", "--config", str(tmp_path / "site.toml")]) == UNAVAILABLE
    assert 'has no stream: add [sink.NAME] with use = "nats"' in capsys.readouterr().err


def test_too_large_is_a_dead_letter(tmp_path: Path, setup: Callable[..., str], opened: Callable[..., Any]) -> None:
    """A message that the server does not take is refused for good, and the sink says so."""
    need(MISSING)
    with NatsCluster(tmp_path, 1, "max_payload: 1200") as cluster:
        url = cluster.servers[0].url
        setup([url], "--replicas", "1")
        large = batch(0, 100)
        assert len(encode(large.readings[:100])) > 1200
        with pytest.raises(Reject, match="a message is larger than"):
            opened(Nats, url).process_batch(large)
