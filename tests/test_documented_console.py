# SPDX-License-Identifier: GPL-3.0-or-later
"""Each command on a page is run, or is marked here with the reason why it is not.

The commands are those in blocks of their own, and those of btcore with words behind them in a sentence. They run in a
folder that has what pages name: a site that has run, with these sinks; captures, a log of btmon, a CSV file.
"""

import gzip
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path

import pytest
from helpers.folders import ROOT
from manual.pages import pages

from btcore.cli import FAILING, OK, UNAVAILABLE, main

PAGES = sorted({"README.md", *pages().values()} - {"CHANGELOG.md", "tests/golden/QUIRKS.md"})
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
BLOCK = re.compile(r"^ {4}(?=\S)(.*)$", re.MULTILINE)
IN_A_SENTENCE = re.compile(r"`(btcore [a-z][^`]* [^`]+)`")
COMMENT = re.compile(r" {2,}#|\s# ")
BTCORE = re.compile(r"^(?:sudo )?(?:-u \w+ )?(?:/opt/btcore/bin/)?btcore ")


def lines_of(page: str) -> Iterator[str]:
    """Yield the lines of a page that stand in a block, or in a sentence as a command with words; without comments."""
    text = (ROOT / page).read_text()
    fenced = [line for kind, inside in FENCE.findall(text) if kind == "console" for line in inside.splitlines()]
    plain = FENCE.sub("", text)
    for line in [*fenced, *BLOCK.findall(plain), *IN_A_SENTENCE.findall(plain)]:
        yield COMMENT.split(line)[0].strip()


LINES = sorted({line for page in PAGES for line in lines_of(page)})

OTHERS = {
    r"^(sudo (?!-u)|sudoedit |systemctl |journalctl |docker |mkdir config)": "changes the computer that runs the tests",
    r"^(python3? -m venv|python3 -m venv|\S*pip |pip |uv |git clone)": "installs: `nox -s wheels`, `nox -s tests`, CI",
    r"^pytest ": "the tests themselves",
    r"^python (-m pytest -q (board|inverter|logger)|make_files\.py)": "tests/test_tutorial.py follows the page",
    r"^nats-server ": "a server on its usual port: plugins/btmon-nats/tests has its own",
    r"^python btmon\.py ": "btmon is not here: tests/golden has what it did",
    r"^(/usr/sbin/mosquitto|mosquitto_sub) ": "a broker on its usual port: plugins/btmon-mqtt/tests has its own",
    r"^tcpdump ": "records a network: btcore/tests/capture reads such recordings",
    r"^sqlite3 ": "tests/test_first_run.py asks the same",
}
"""Commands of other programs, and why they are not run."""

OUTPUT = {
    r"^\$ ": "a command with what it writes, which is run where it stands alone",
    r"^(meter \d|in the (first|last) |Change it|4 bytes without)": "the log, and what a command writes",
    r"^(energy,channel=|time,key,meter|2026-06-21T)": "data that a sink writes",
    r"^(sum\(|sum by|time\(\) - |btcore_)": "what is asked of Prometheus",
    r"^(user btcore|topic readwrite) ?": "an access list of mosquitto",
    r"^(server_name|jetstream|cluster|http)\b": "the configuration of a NATS server",
}
"""What is no command."""

NOT_RUN = {
    r"btcore run(?!.*--once)": "runs until it is stopped: tests/test_first_run.py, and most tests end to end",
    r"btcore run --once --config old": "the README of btmon-home-assistant, for a site of the reader's",
    r"--watch$": "runs until it is stopped: btcore/tests/cli/test_status.py",
    r"btcore init --interactive": "asks a person: tests/test_init_interactive.py",
    r"btcore (reload|capture)": "needs a running program: tests/test_reload_end_to_end.py, test_capture_end_to_end.py",
    r"^btcore device (set|show)": "needs a meter on a line: tests/test_device_end_to_end.py",
    r"btcore simulate --fleet": "runs on: btcore/tests/cli/test_fleet.py",
    r"btcore simulate (--connect|--format|--http|--serial-port)": "runs on: btcore/tests/cli/test_simulate.py",
    r"btcore (decode FILE|plugins NAME|replay SINK)": "a word that stands for another one",
    r"btcore plugins webhook": "a plugin that the page makes",
    r"btcore nats": "needs a NATS server: plugins/btmon-nats/tests, tests/test_fleet_end_to_end.py",
    r"btcore watch": "needs a running program: plugins/btmon-watch/tests",
    r"btcore (new-plugin|plugins --check board)": "tests/test_tutorial.py follows the page; btcore/tests/cli has more",
    r"btcore replay nats": "needs a NATS server: tests/test_fleet_end_to_end.py",
    r"btcore graph": "needs RRDtool: plugins/btmon-rrd/tests",
    r"btcore compare": "needs a run of both programs: tests/test_from_btmon.py",
    r"btcore (journal import|replay --gaps)": "a decision that names what there is not, or only an option",
    r"btcore dead-letters show": "needs a dead letter: btcore/tests/cli/test_mending.py",
}
"""Commands of btcore that are not run here, and where they are."""

RUN = [line for line in LINES if BTCORE.match(line) and not any(re.search(one, line) for one in NOT_RUN)]

SITE = """
state = "state"

[source.panel]
use = "simulator"
serial = "01000777"
packets = 20
pace = "fast"
start = "2026-11-01T12:00:00"
"""
SINKS = ("db", "roof", "history", "archive", "influxdb", "home-assistant")
"""The names of sinks on the pages; which plugin is behind one does not matter to these commands."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make what the pages name, and let the site run once."""
    made = tmp_path_factory.mktemp("site")
    sinks = [f'[sink.{name}]\nuse = "sqlite"\nfile = "{name}.db"\n' for name in SINKS]
    (made / "site.toml").write_text("\n".join([SITE, *sinks]))
    (made / "config").mkdir()
    with chdir(made):
        for name in ("capture.json", "capture.bin", "house.capture"):
            assert main(["simulate", "--output", name, "--packets", "5"]) == OK
        assert main(["run", "--once"]) == OK
        printing = f"{SITE.replace('state', 'printed', 2)}[sink.print]\n"
        Path("printing.toml").write_text(printing.replace("printed =", "state =", 1))
        command = [sys.executable, "-m", "btcore", "run", "--once", "printing.toml"]
        log = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    for name in ("btmon.log", "btmon.log.1"):
        (made / name).write_text(log)
    (made / "btmon.log.2.gz").write_bytes(gzip.compress(log.encode()))
    return made


WITH_NAMES = """\
Date,serial,House (kWh)
11/20/2026 10:00,01000778,1.0
11/20/2026 10:05,01000778,1.5
"""
WITH_LABELS = """\
time,ch2_kwh
2026-11-20 10:00:00,2.0
2026-11-20 10:05:00,2.5
"""
"""Two files that may be an old.csv: the columns of the first need names."""
BTMON = "[source]\nserial_read = true\nserial_port = /dev/ttyUSB0\n\n[print]\nprint_out = true\n"
YAML = "greeneye_monitor:\n  port: 8000\n  monitors:\n    - serial_number: '01000777'\n"


def marked(line: str) -> list[str]:
    """Return what a line is marked as, or that it is run; nothing where it is neither."""
    kinds = {"other": OTHERS, "output": OUTPUT, "not run": NOT_RUN}
    found = [kind for kind, marks in kinds.items() if any(re.search(mark, line) for mark in marks)]
    return found or (["run"] if BTCORE.match(line) else [])


@pytest.mark.parametrize("line", LINES)
def test_every_line_is_run_or_marked(line: str) -> None:
    """No line of a page is without a place: who adds a command sees it run here, or says why it is not."""
    assert len(marked(line)) == 1, f"{line!r} is marked as {marked(line) or 'nothing'}"


@pytest.mark.parametrize("mark", [*OTHERS, *OUTPUT, *NOT_RUN])
def test_every_mark_is_of_a_line(mark: str) -> None:
    """A mark whose command is gone from the pages goes, too."""
    assert [line for line in LINES if re.search(mark, line)]


@pytest.mark.timeout(120)  # a new command that does not end is to be marked
@pytest.mark.parametrize("line", RUN)
def test_it_does_what_it_is_typed_for(
    line: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command ends as it should; `status` says by its exit code that no program runs."""
    here = folder
    if "migrate" in line or (line.endswith("/etc/btcore/site.toml") and " init " in line):  # it writes a site.toml
        here = tmp_path
        (here / "btmon.cfg").write_text(BTMON)
        (here / "configuration.yaml").write_text(YAML)
    (here / "old.csv").write_text(WITH_NAMES if "--column" in line else WITH_LABELS)
    typed = BTCORE.sub("", line).partition(" | ")[0]
    words = shlex.split(re.sub(r"/etc/(btcore/)?", "", typed))
    with chdir(here):
        code = main(words)
    expected = {"status": {UNAVAILABLE}, "migrate": {OK, FAILING}}.get(words[0], {OK})
    assert code in expected, capsys.readouterr().err
