# SPDX-License-Identifier: GPL-3.0-or-later
"""`btcore replay` and `btcore dead-letters`, as a person calls them: beside a running program, and at rest."""

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from helpers.database_rows import table_rows

from btcore.cli import FAILING, OK, UNAVAILABLE, USAGE, main
from btcore.testing import BtcoreProcess, HostedService, Reply, wait_for

pytestmark = pytest.mark.servers

SITE = """
state = "state"
[source.cap]
use = "file"
path = "cap"
[source.live]
use = "simulator"
interval = "1s"
serial = "01000777"
[sink.db]
use = "sqlite"
file = "energy.db"
schema = "samples"
flush_interval = 0
"""
NEW = """
[sink.new]
use = "sqlite"
file = "new.db"
schema = "samples"
flush_interval = 0
start_at = "end"
"""
CLOUD = """
state = "state"
[source.live]
use = "simulator"
interval = "1s"
[sink.cloud]
use = "emoncms"
url = "{url}"
token = "0123456789abcdef"
flush_interval = 0
only_live = false
"""


def btcore(folder: Path, *words: str) -> tuple[int, str]:
    """Run a command in a folder; return its exit code and what it prints."""
    done = subprocess.run(
        [sys.executable, "-m", "btcore", *words], cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout + done.stderr


def letters(folder: Path) -> list[dict[str, Any]]:
    """Return the dead letters as JSON."""
    code, text = btcore(folder, "dead-letters", "list", "--config", "site.toml", "--json")
    assert code == OK
    found: list[dict[str, Any]] = json.loads(text)
    return found


def recording(folder: Path, packets: int = 400) -> None:
    """Make a recording of one meter, ten seconds apart."""
    code, _ = btcore(folder, "simulate", "--packets", str(packets), "--start", "2026-11-20T00:00Z", "--output", "cap")
    assert code == OK


def test_a_new_sink_is_filled_from_a_date_while_the_program_runs(tmp_path: Path) -> None:
    """It has exactly what the other sink has of that span, and the live readings besides."""
    recording(tmp_path)
    (tmp_path / "site.toml").write_text(SITE)
    with BtcoreProcess(tmp_path, SITE) as running:
        wait_for(lambda: len(table_rows(tmp_path / "energy.db", "samples", "DISTINCT time")) > 401, "all of it")
        assert running.stop() == 0
    with BtcoreProcess(tmp_path, SITE + NEW) as running:
        wait_for(lambda: table_rows(tmp_path / "new.db", "samples", "time"), "a live reading")
        span = ["--from", "2026-11-20T00:30Z", "--to", "2026-11-20T01:00Z"]
        code, text = btcore(tmp_path, "replay", "new", "--config", "site.toml", *span, "--dry-run")
        assert (code, "sink.new: would deliver 181 readings, 181 samples" in text) == (OK, True)
        code, text = btcore(tmp_path, "replay", "new", "--config", "site.toml", *span)
        assert (code, text) == (OK, "sink.new: 181 delivered\n")
        columns = "time, serial, channel, watts, wh_delta, wh_import, wh_export"
        old = "samples WHERE time BETWEEN '2026-11-20 00:30' AND '2026-11-20 01:00:01'"
        again = table_rows(tmp_path / "new.db", "samples WHERE serial <> '01000777'", columns)
        assert sorted(again) == sorted(table_rows(tmp_path / "energy.db", old, columns))
        assert len({row[0] for row in again}) == 181
        code, text = btcore(tmp_path, "replay", "new", "--config", "site.toml", *span)
        twice = table_rows(tmp_path / "new.db", "samples WHERE serial <> '01000777'", columns)
        assert (code, sorted(twice)) == (OK, sorted(again))
        assert running.stop() == 0


def test_a_replay_at_rest(tmp_path: Path) -> None:
    """The command delivers by itself; a sink that has never run may be the one."""
    recording(tmp_path, 50)
    site = SITE.partition("[source.live]")[0] + SITE[SITE.index("[sink.db]") :]
    (tmp_path / "site.toml").write_text(site)
    assert btcore(tmp_path, "run", "--once", "site.toml")[0] == OK
    (tmp_path / "site.toml").write_text(site + NEW)
    code, text = btcore(tmp_path, "replay", "new", "--from", "2026-11-20T00:01Z", "--json")
    assert (code, json.loads(text)[0]["replay"]["delivered"]) == (OK, 44)
    assert len(table_rows(tmp_path / "new.db", "samples", "DISTINCT time")) == 44


def test_a_replay_outlasts_a_kill_of_the_program(tmp_path: Path) -> None:
    """The program is killed in the midst of a replay: the next one does the rest, and all of it is there once."""
    recording(tmp_path)
    slow = NEW + 'batch_size = 10\nmin_call_interval = "100ms"\n'
    (tmp_path / "site.toml").write_text(SITE)
    with BtcoreProcess(tmp_path, SITE) as running:
        wait_for(lambda: len(table_rows(tmp_path / "energy.db", "samples", "DISTINCT time")) > 401, "all of it")
        assert running.stop() == 0
    recorded = "samples WHERE serial <> '01000777'"
    with BtcoreProcess(tmp_path, SITE + slow) as running:
        wait_for(lambda: table_rows(tmp_path / "new.db", "samples", "time"), "a live reading")
        command = [sys.executable, "-m", "btcore", "replay", "new"]
        asking = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
        wait_for(lambda: table_rows(tmp_path / "new.db", recorded, "time"), "the replay's first batches")
        running.process.kill()
        told = asking.communicate(timeout=60)[1]
        assert "gone" in told or "btcore ended before all was delivered again" in told
    assert len(table_rows(tmp_path / "new.db", recorded, "DISTINCT time")) < 399
    with BtcoreProcess(tmp_path, SITE + slow) as running:
        wait_for(lambda: len(table_rows(tmp_path / "new.db", recorded, "DISTINCT time")) >= 399, "the rest")
        assert running.stop() == 0
    rows = table_rows(tmp_path / "new.db", recorded, "time, channel")
    assert len(rows) == len(set(rows)) == len(table_rows(tmp_path / "energy.db", recorded, "time"))


def test_a_sink_that_has_stopped_says_so(tmp_path: Path) -> None:
    """A replay to a sink that waits for a person is kept, and the command does not wait for it."""
    with HostedService(Reply(401, "wrong key")) as service:
        site = SITE[: SITE.index("[source.cap]")] + SITE[SITE.index("[source.live]") :]
        cloud = CLOUD[CLOUD.index("[sink.cloud]") :].format(url=service.url)
        with BtcoreProcess(tmp_path, site + cloud) as running:
            wait_for(lambda: "stopped until a restart" in running.log, "the sink to stop")
            code, text = btcore(tmp_path, "replay", "cloud")
            assert (code, "sink.cloud has stopped until a restart (" in text) == (UNAVAILABLE, True)
            assert running.stop() == UNAVAILABLE


def test_a_gap_in_sqlite_is_found_and_filled(tmp_path: Path) -> None:
    """What is missing is counted by a dry run, delivered by a run, and nothing else is; the rows are what they were."""
    recording(tmp_path, 300)
    site = SITE.partition("[source.live]")[0] + SITE[SITE.index("[sink.db]") :]
    (tmp_path / "site.toml").write_text(site)
    assert btcore(tmp_path, "run", "--once", "site.toml")[0] == OK
    before = table_rows(tmp_path / "energy.db", "samples ORDER BY time, channel", "*")
    with closing(sqlite3.connect(tmp_path / "energy.db")) as connection, connection:
        gone = "time BETWEEN '2026-11-20 00:10:00.000000' AND '2026-11-20 00:20:00.000000'"
        assert connection.execute(f"DELETE FROM samples WHERE {gone}").rowcount > 1000
    gaps = ("replay", "db", "--gaps", "--from", "2026-11-20T00:00:05Z")
    missing = "61 missing, 238 already there\n"
    assert btcore(tmp_path, *gaps, "--dry-run") == (OK, f"sink.db: 0 delivered, {missing}")
    assert len(table_rows(tmp_path / "energy.db", "samples", "time")) < len(before)
    assert btcore(tmp_path, *gaps) == (OK, f"sink.db: 61 delivered, {missing}")
    assert table_rows(tmp_path / "energy.db", "samples ORDER BY time, channel", "*") == before
    assert btcore(tmp_path, *gaps) == (OK, "sink.db: 0 delivered, 299 already there\n")


def test_dead_letters_are_listed_retried_and_dropped(tmp_path: Path) -> None:
    """A service that refuses for a while: what it refused is listed with its reason, retried when it takes it again."""
    with HostedService(Reply(200, "ok")) as service:
        site = CLOUD.format(url=service.url)
        with BtcoreProcess(tmp_path, site) as running:
            wait_for(lambda: service.requests, "an accepted reading")
            service.answer = Reply(400, "bad row")
            wait_for(lambda: len(letters(tmp_path)) > 1, "dead letters")
            one = letters(tmp_path)[0]
            assert one.keys() == {"id", "sink", "serial", "start", "end", "reason", "readings"}
            assert (one["sink"], one["serial"], "bad row" in one["reason"]) == ("sink.cloud", "01000101", True)
            text = btcore(tmp_path, "dead-letters", "list", "cloud")[1]
            assert (one["id"] in text, "times: " in text) == (True, True)
            assert one["reason"] in btcore(tmp_path, "dead-letters", "show", "--id", one["id"])[1]
            service.answer = Reply(400, "another reason")
            assert "will be delivered again" in btcore(tmp_path, "dead-letters", "retry", "--id", one["id"])[1]
            wait_for(lambda: "another reason" in letters(tmp_path)[0]["reason"], "the new reason")
            service.answer = Reply(200, "ok")
            assert "will be delivered again" in btcore(tmp_path, "dead-letters", "retry", "cloud")[1]
            wait_for(lambda: not letters(tmp_path), "them to be delivered")
            service.answer = Reply(400, "bad row")
            wait_for(lambda: len(letters(tmp_path)) > 1, "dead letters")
            assert running.stop() == 0
        first, *others = letters(tmp_path)
        assert btcore(tmp_path, "dead-letters", "drop", "--id", first["id"])[1] == "dropped 1 dead letter\n"
        assert letters(tmp_path) == others
        assert "when btcore runs again" in btcore(tmp_path, "dead-letters", "retry")[1]
        service.answer = Reply(200, "ok")
        with BtcoreProcess(tmp_path, site) as running:
            wait_for((tmp_path / "state" / "control").exists, "the program to answer")
            wait_for(lambda: not letters(tmp_path), "the retry that was asked for at rest")
            assert running.stop() == 0


def test_mistakes_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A sink that is not there, a time that is none, and a drop of everything by mistake."""
    recording(tmp_path, 5)
    site = SITE.partition("[source.live]")[0] + SITE[SITE.index("[sink.db]") :]
    (tmp_path / "site.toml").write_text(site)
    config = ["--config", str(tmp_path / "site.toml")]
    assert main(["replay", "db", *config]) == UNAVAILABLE
    assert "btcore has not run with" in capsys.readouterr().err
    assert main(["run", "--once", "--quiet", *config]) == OK
    assert main(["replay", "dd", *config]) == USAGE
    assert 'there is no sink "dd"; the sinks are db' in capsys.readouterr().err
    (tmp_path / "site.toml").write_text(site + "[sink.print]\n")
    assert main(["replay", "print", "--gaps", *config]) == USAGE
    assert "sink.print cannot be asked what it has" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["replay", "db", "--channel", "ch_1", *config])
    assert 'no such channel: "ch_1"' in capsys.readouterr().err
    assert main(["replay", "db", "--from", "-1h", *config]) == OK
    assert "the journal has no such readings" in capsys.readouterr().err
    for words in (["replay", "db", "--from", "soon"], ["dead-letters", "drop"], ["dead-letters", "show"]):
        with pytest.raises(SystemExit) as ended:
            main([*words, *config])
        assert ended.value.code == USAGE
    assert main(["dead-letters", "show", "--id", "nothing", *config]) == FAILING
    assert main(["replay", "db", "--from", "-7d", "--to", "-1d", *config]) == OK


def test_a_dry_run_delivers_nothing_again(tmp_path: Path) -> None:
    """A replay, and a dead letter that is retried, are refused at once."""
    with BtcoreProcess(tmp_path, SITE[: SITE.index("[source.cap]")] + SITE[SITE.index("[source.live]") :], "--dry-run"):
        wait_for((tmp_path / "state" / "control").exists, "the program to answer")
        code, text = btcore(tmp_path, "replay", "db")
        assert (code, "btcore makes a dry run, which delivers nothing" in text) == (UNAVAILABLE, True)


def test_a_replay_that_waits_says_why(tmp_path: Path) -> None:
    """Also where there is no terminal: the service is down, and the command does not seem to hang."""
    with HostedService(Reply(503, "down")) as service:
        site = SITE[: SITE.index("[source.cap]")] + SITE[SITE.index("[source.live]") :]
        cloud = CLOUD[CLOUD.index("[sink.cloud]") :].format(url=service.url)
        with BtcoreProcess(tmp_path, site + cloud) as running:
            wait_for(lambda: "sink.cloud: " in running.log, "the sink to fail")
            command = [sys.executable, "-m", "btcore", "replay", "cloud"]
            with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as asking:
                assert asking.stderr is not None
                told = asking.stderr.readline()
                asking.kill()
            assert told.startswith("sink.cloud: it waits for the live delivery: ")
