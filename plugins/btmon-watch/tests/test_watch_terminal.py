# SPDX-License-Identifier: GPL-3.0-or-later
"""`btcore watch` in a real terminal, of two sizes, while btcore runs; and without a terminal."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.needed import needs
from servers.tmux import MISSING, Tmux

from btcore.testing import BtcoreProcess, wait_for

pytestmark = [pytest.mark.servers, pytest.mark.timeout(180)]

SITE = """
state = "state"
[source.simulator]
start = "2026-06-21T12:00:00Z"
pace = "fast"
packets = 5
[source.panel]
use = "tcp-server"
port = 0
[sink.sqlite]
file = "energy.db"
flush_interval = 0
[channels]
"01000101_ch1" = "mains"
"01000101_ch2" = "[red]solar[/]"
"01000101_ch3" = "lights"
"01000101_ch4" = "冷蔵庫"
"01000101_ch5" = "oven"
"01000101_ch6" = "heat pump"
"01000101_ch7" = "washer"
"""


WIDE = [
    "circuit              now                                                 today",
    "[red]solar[/]   -2,792 W ███████████████████████████████████████             -",
    "mains           -2,502 W ███████████████████████████████████                 -",
    "lights             152 W ██▏                                                 -",
    "冷蔵庫             121 W █▊                                                  -",
    "heat pump           15 W ▎                                                   -",
    "washer               1 W                                                     -",
    "oven                 0 W                                                     -",
]
SMALL = [
    "[red]solar[/]   -2,792 W             -",
    "mains           -2,502 W             -",
    "lights             152 W             -",
    "  … 4 below",
    "… 2 more",
]
NAMES = ["[red]solar[/]", "mains", "lights", "冷蔵庫", "heat", "washer", "oven"]
"""The readings are of a day long ago, so nothing was counted today."""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Run btcore with readings of a day long ago; return its folder."""
    folder = tmp_path_factory.mktemp("site")
    with BtcoreProcess(folder, SITE) as run:
        wait_for(lambda: "ended: 5 packets" in run.log or run.process.poll() is not None, "the readings")
        yield folder


def watch(folder: Path, *options: str) -> list[str]:
    """Return the command."""
    return [sys.executable, "-m", "btcore", "watch", str(folder / "site.toml"), *options]


def circuits(rows: list[str]) -> list[str]:
    """Return the rows between the first one and the sinks."""
    return [row.rstrip() for row in rows[1:] if row.strip() and not re.match(r"sink|source|q leave|\d+\.\d V", row)]


@needs(MISSING)
def test_two_sizes(running: Path, tmp_path: Path) -> None:
    """At 80 by 24 there are bars, at 40 by 8 none; a resize changes one into the other; `q` leaves nothing."""
    with Tmux(tmp_path, watch(running), (80, 24)) as terminal:
        wide = terminal.wait_for("washer")
        assert len(wide) == 24
        assert circuits(wide) == WIDE
        terminal.resize(40, 8)
        small = terminal.wait_for("below")
        assert (len(small), circuits(small)) == (8, SMALL)
        terminal.resize(80, 24)
        assert circuits(terminal.wait_for("washer")) == circuits(wide)
        terminal.press("q")
        wait_for(lambda: terminal.ended() is not None, "the end")
        assert terminal.ended() == 0
        assert not any("mains" in row for row in terminal.screen()), "the other screen was left"


@needs(MISSING)
def test_keys(running: Path, tmp_path: Path) -> None:
    """The arrows scroll, `h` shows the health of the site, `n` leads back; Ctrl-C leaves as `q` does."""
    with Tmux(tmp_path, watch(running), (80, 8)) as terminal:
        terminal.wait_for("below")
        terminal.press("Down", "Down")
        terminal.wait_for("2 above")
        terminal.press("Home")
        terminal.wait_for("mains")
        terminal.press("h")
        terminal.wait_for("source.simulator (simulator)")
        terminal.press("n")
        terminal.wait_for("mains")
        terminal.press("C-c")
        wait_for(lambda: terminal.ended() is not None, "the end")
        assert terminal.ended() == 0


@needs(MISSING)
@pytest.mark.parametrize(("env", "is_coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_colours_are_left_out_where_nobody_wants_them(
    running: Path, tmp_path: Path, env: dict[str, str], *, is_coloured: bool
) -> None:
    """The bars have a colour, but not with NO_COLOR."""
    with Tmux(tmp_path, watch(running), (80, 24), env) as terminal:
        terminal.wait_for("washer")
        (row,) = (row for row in terminal.screen("-e") if "mains" in row)
        assert bool(re.search(r"\x1b\[3[1-8]", row)) is is_coloured


@needs(MISSING)
def test_a_program_that_stops_and_starts(tmp_path: Path) -> None:
    """Where no btcore runs, it says so and waits; once one runs, it shows the house; killed, that is said again."""
    (tmp_path / "site.toml").write_text(SITE)
    with Tmux(tmp_path, watch(tmp_path), (80, 24)) as terminal:
        terminal.wait_for("no btcore runs")
        with BtcoreProcess(tmp_path, SITE) as run:
            terminal.wait_for("washer")
            run.process.send_signal(signal.SIGKILL)
            run.process.wait()
            assert any("washer" in row for row in terminal.wait_for("no btcore runs"))


def test_one_picture(running: Path) -> None:
    """`--once`, or a pipe, prints one picture of 80 columns with every circuit, without any escape."""
    for options in (["--once"], []):
        done = subprocess.run(watch(running, *options), capture_output=True, text=True, check=True)
        assert [row.split()[0] for row in circuits(done.stdout.splitlines())[1:]] == NAMES
        assert "\x1b" not in done.stdout
        assert "\nsink sqlite " in done.stdout


def test_a_locale_without_bars(running: Path) -> None:
    """Where the locale has no such characters, plain ones are in their place, one for each."""
    env = {**os.environ, "PYTHONIOENCODING": "latin-1"}
    done = subprocess.run(watch(running, "--once"), capture_output=True, encoding="latin-1", env=env, check=True)
    assert "mains           -2,502 W ####" in done.stdout
    assert "W ?" not in done.stdout


@needs(MISSING)
def test_a_terminal_that_is_gone(running: Path, tmp_path: Path) -> None:
    """When the connection is closed, the program ends."""
    with Tmux(tmp_path, watch(running), (80, 24)) as terminal:
        terminal.wait_for("mains")
        process = int(terminal.ask("display-message", "-p", "#{pane_pid}"))
        assert Path(f"/proc/{process}").exists()
    wait_for(lambda: not Path(f"/proc/{process}").exists(), "the end of the program")


def test_one_picture_of_nothing(tmp_path: Path) -> None:
    """`--once` where no btcore runs says so in one line, and ends as `btcore status` does."""
    (tmp_path / "site.toml").write_text(SITE)
    done = subprocess.run(watch(tmp_path, "--once"), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (69, "")
    assert done.stderr == f"btcore: no btcore runs with {tmp_path / 'state'}: there is no such directory\n"
