# SPDX-License-Identifier: GPL-3.0-or-later
"""`btcore status`, as a user and a monitoring system call it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from btcore.cli import CONFIGURATION, FAILING, OK, UNAVAILABLE, main
from btcore.testing import BtcoreProcess, wait_for

pytestmark = pytest.mark.servers

SITE = """
state = "state"
[source.house]
use = "simulator"
interval = "1s"
[sink.db]
use = "sqlite"
file = "energy.db"
flush_interval = 0
{more}
"""
WRONG = """
[sink.roof]
use = "emoncms"
url = "http://127.0.0.1:1/"
token = "0123456789abcdef"
flush_interval = "1s"
only_live = false
"""


def status(folder: Path, *options: str) -> tuple[int, str]:
    """Return the exit code of the command, and what it prints."""
    done = subprocess.run(
        [sys.executable, "-m", "btcore", "status", "site.toml", *options],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout + done.stderr


def test_a_healthy_site_is_told_while_it_runs_and_at_rest(tmp_path: Path) -> None:
    """Exit code 0 while it runs; 69 when it does not, and then the journal tells the same offset."""
    with BtcoreProcess(tmp_path, SITE.format(more="")) as btcore:
        wait_for(lambda: "meter 01000101" in status(tmp_path)[1])
        code, text = status(tmp_path, "--json")
        running = json.loads(text)
        assert (code, running["running"], running["ok"]) == (OK, True, True)
        assert [sink["state"] for sink in running["sinks"]] == ["ok"]
        code, text = status(tmp_path)
        assert (code, "source.house (simulator): ok" in text, "sink.db (sqlite): ok" in text) == (OK, True, True)
        assert btcore.stop() == 0
    code, text = status(tmp_path, "--json")
    rest = json.loads(text)
    assert (code, rest["running"]) == (UNAVAILABLE, False)
    assert rest["sinks"][0]["offset"] + rest["sinks"][0]["waiting"] == rest["journal"]["entries"] > 0
    assert rest["sources"][0]["meters"][0]["serial"] == running["sources"][0]["meters"][0]["serial"]
    code, text = status(tmp_path)
    assert text.startswith(f"btcore does not run with {tmp_path / 'site.toml'}\n")


def test_it_asks_a_program_that_has_keys_which_the_shell_has_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Who looks from a second terminal needs no key that was set in the first one, or by systemd."""
    monkeypatch.setenv("EMONCMS_KEY", "a" * 32)
    key = '[sink.roof]\nuse = "emoncms"\nurl = "http://localhost:1/"\ntoken = { env = "EMONCMS_KEY" }\n'
    with BtcoreProcess(tmp_path, SITE.format(more=key)):
        monkeypatch.delenv("EMONCMS_KEY")
        wait_for(lambda: "sink.roof (emoncms)" in status(tmp_path)[1], "an answer")
    assert main(["status", str(tmp_path / "site.toml")]) == CONFIGURATION
    assert "EMONCMS_KEY is not set" in capsys.readouterr().err


def test_a_failing_sink_is_exit_code_1(tmp_path: Path) -> None:
    """A monitoring system sees it, a person reads why."""
    with BtcoreProcess(tmp_path, SITE.format(more=WRONG)):
        wait_for(lambda: status(tmp_path)[0] == FAILING, "a failure")
        text = status(tmp_path)[1]
        assert "\n! sink.roof fails: " in text
        assert "next attempt" in text


def test_a_dry_run_delivers_nothing(tmp_path: Path) -> None:
    """What it shows is not called delivered."""
    with BtcoreProcess(tmp_path, SITE.format(more=""), "--dry-run"):
        wait_for(lambda: " shown in this run" in status(tmp_path)[1])
        text = status(tmp_path)[1]
        assert ("a dry run: nothing is sent" in text, "delivered" in text) == (True, False)
        assert json.loads(status(tmp_path, "--json")[1])["dry_run"] is True


def test_a_site_that_never_ran_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In one line, without making anything."""
    (tmp_path / "site.toml").write_text(SITE.format(more=""))
    assert main(["status", str(tmp_path / "site.toml")]) == UNAVAILABLE
    assert "btcore has not run with" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["site.toml"]


def test_a_mistake_in_the_configuration_is_told_as_elsewhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With file and line."""
    (tmp_path / "site.toml").write_text(SITE.format(more='[metrics]\nlisten = "nowhere"\n'))
    assert main(["status", str(tmp_path / "site.toml")]) == CONFIGURATION
    assert "[metrics] listen: expected HOST:PORT" in capsys.readouterr().err
