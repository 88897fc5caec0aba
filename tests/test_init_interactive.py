# SPDX-License-Identifier: GPL-3.0-or-later
"""`btcore init --interactive` at a terminal: a meter on a line, a broker on this computer, and a person who answers."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event

import pytest
import tomli
from helpers.needed import needs
from helpers.terminal import Terminal
from servers.mosquitto import MISSING, Mosquitto
from servers.serial_line import Meters, Wire

from btcore import pack
from btcore.cli import INTERRUPTED, OK, UNAVAILABLE, USAGE
from btcore.testing import free_port
from btcore.testing.kit.waiting import in_background

pytestmark = pytest.mark.servers

ECM = "312345"


def ecm(secs: int) -> bytes:
    """Make a packet of an ECM."""
    return pack("ecm1240bin", ECM, {"volts": 120.0, "secs": secs, "ch1_aws": 1000 * secs})


class Owner:
    """Who has a meter: the commands that are typed, in a folder, on a computer whose MQTT broker has this port."""

    def __init__(self, folder: Path, broker: int) -> None:
        self.folder = folder
        set_port = f"import btmon_mqtt.sink as sink; sink.PORT = {broker}; sink.Mqtt.discover"
        self._btcore = [sys.executable, "-c", f"{set_port}; from btcore.cli import program; program()"]

    def init(self, *options: str) -> Terminal:
        """Run the command at a terminal."""
        return Terminal([*self._btcore, "init", "--interactive", "--for", "2s", *options], self.folder)

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run another command."""
        return subprocess.run([*self._btcore, *words], cwd=self.folder, capture_output=True, text=True, check=False)

    def site(self) -> dict[str, object]:
        """Return what was written."""
        return tomli.loads((self.folder / "site.toml").read_text())


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make an empty folder, and a home without a site."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    made = tmp_path / "site"
    made.mkdir()
    return made


@pytest.fixture
def owner(folder: Path) -> Owner:
    """Have no broker."""
    return Owner(folder, free_port())


@contextmanager
def sending(wire: Wire) -> Iterator[None]:
    """Have a meter send by itself while the block runs."""
    over = Event()

    def send() -> None:
        secs = 100
        while not over.wait(0.3):
            wire.send(ecm(secs))
            secs += 1
            wire.hear()

    with in_background(over, send):
        yield


@pytest.fixture
def wire(tmp_path: Path) -> Iterator[Wire]:
    """Plug in an adapter."""
    plugged = Wire(tmp_path / "ttyUSB0")
    yield plugged
    plugged.unplug()


def number_of(text: str, option: str) -> str:
    """Return the number of an option in a list."""
    return str(re.findall(rf"(\d+) {option}", text)[-1])


def choose_line(terminal: Terminal, wire: Wire) -> None:
    """Choose a serial line, and name it."""
    terminal.answer("Listen for .*: ", "n")
    offered = terminal.read_until(r"Number \[")
    terminal.answer(": ", number_of(offered, "serial: a meter on a serial port that is named"))
    terminal.answer(r"port: ", wire.path)
    terminal.answer(r"baud \[19200\]: ")


def choose_simulator(terminal: Terminal) -> None:
    """Choose the house for those without a meter."""
    terminal.answer("Listen for .*: ", "n")
    offered = terminal.read_until(r"Number \[")
    terminal.answer(": ", number_of(offered, "simulator"))


def answer_rest(terminal: Terminal, **answers: str) -> None:
    """Say that there is no more, and write it."""
    terminal.answer(r"another meter, on another line\? \[y/N\]: ")
    for plugin, reply in answers.items():
        terminal.answer(rf"{plugin}: .*: ", reply)
    terminal.answer("Enter: none.*: ")
    terminal.answer("Write site.toml.*: ")


@needs(MISSING)
def test_a_meter_and_a_broker_become_a_site_without_a_fault(folder: Path, tmp_path: Path, wire: Wire) -> None:
    """A meter that sends is heard, the broker is found, and `check` and `doctor` have nothing to say of the result."""
    with Mosquitto(tmp_path) as broker, sending(wire):
        owner = Owner(folder, broker.port)
        with owner.init() as terminal:
            choose_line(terminal, wire)
            terminal.read_until(f"Here sends meter {ECM}")
            terminal.answer("another line.*: ")
            terminal.answer("sqlite: .*: ", "y")
            terminal.answer("mqtt: the MQTT broker on this computer.*: ", "y")
            terminal.answer("homeassistant.*: ", "y")
            terminal.answer("print: .*: ", "n")
            terminal.answer("Enter: none.*: ")
            terminal.answer("Write site.toml.*: ")
            assert terminal.finish() == OK
            assert "wrote site.toml. Next: btcore check site.toml" in terminal.text
            assert terminal.widest(wire.path) <= 80
        assert owner.site() == {
            "source": {"serial": {"port": wire.path, "baud": 19200}},
            "sink": {"sqlite": {"file": "energy.db"}, "mqtt": {"host": "localhost", "homeassistant": True}},
        }
        assert [path.name for path in folder.iterdir()] == ["site.toml"]
        assert owner.run("check").returncode == OK
        found = owner.run("doctor", "--for", "5s")
        assert (found.returncode, "nothing found" in found.stdout) == (OK, True), found.stdout


def test_a_meter_that_waits_to_be_asked_is_asked(owner: Owner, wire: Wire) -> None:
    """Where real-time mode is off, the settings that ask the meter are offered, tried and written."""
    meters = Meters(wire, {"fc": [ecm(100 + n) for n in range(50)]})
    try:
        with owner.init() as terminal:
            choose_line(terminal, wire)
            shown = terminal.answer(r"and try again\? \[Y/n\]: ")
            assert "real-time mode is off" in " ".join(shown.split())
            terminal.read_until(f"Here sends meter {ECM}")
            answer_rest(terminal, sqlite="y", print="n")
            assert terminal.finish() == OK
    finally:
        meters.switch_off()
    site = {"serial": {"port": wire.path, "baud": 19200, "poll_interval": "10s", "devices": ["fc"]}}
    assert owner.site()["source"] == site


@needs(MISSING)
def test_a_password_is_asked_for_checked_and_kept_private(folder: Path, tmp_path: Path) -> None:
    """A wrong password is told before anything is written; the right one is in a file that others may not read."""
    with Mosquitto(tmp_path, users={"btcore": "correct horse"}) as broker:
        owner = Owner(folder, broker.port)
        with owner.init() as terminal:
            choose_simulator(terminal)
            terminal.answer("another line.*: ")
            terminal.answer("sqlite: .*: ", "n")
            terminal.answer("mqtt: .* which wants.*: ", "y")
            terminal.answer("user: ", "btcore")
            terminal.answer("is not shown.*: ", "wrong one")
            terminal.answer("homeassistant.*: ")
            terminal.answer(r"Keep it all the same\? \[y/N\]: ")
            terminal.answer(r"Answer again\? .*: ")
            terminal.answer(r"user \[btcore\]: ")
            terminal.answer("is not shown.*: ", "correct horse")
            terminal.answer("homeassistant.*: ")
            terminal.answer("print: .*: ", "n")
            terminal.answer("Enter: none.*: ")
            terminal.answer("Write site.toml.*: ")
            assert terminal.finish() == OK
            assert "[credentials]" in terminal.text
            assert "horse" not in terminal.text
    file = folder / "site.toml"
    assert (file.stat().st_mode & 0o777, owner.run("check").returncode) == (0o600, OK)


@pytest.mark.parametrize("last", ["Listen for .*: ", "another line.*: "])
def test_ctrl_c_leaves_nothing(owner: Owner, last: str) -> None:
    """Wherever the person ends it, the folder is as it was."""
    with owner.init() as terminal:
        if not last.startswith("Listen"):
            choose_simulator(terminal)
        terminal.read_until(last)
        terminal.interrupt()
        assert terminal.finish() == INTERRUPTED
        assert "nothing was written" in terminal.text
        assert "Traceback" not in terminal.text
    assert list(owner.folder.iterdir()) == []


def test_answers_are_taken_by_name_and_the_end_has_a_line_of_its_own(owner: Owner) -> None:
    """A list is answered by a name that stands in it, too; Ctrl-D ends it with a line that begins at the left."""
    with owner.init() as terminal:
        terminal.answer("Listen for .*: ", "n")
        terminal.answer(r"Number \[1\]: ", "nothing")
        terminal.answer(r"number from 1 to .* Number \[1\]: ", "simulator")
        terminal.read_until("another meter.*: ")
        terminal.close_input()
        assert terminal.finish() == UNAVAILABLE
        assert "\nbtcore: the answers end" in terminal.text.replace("\r", "")


def test_an_existing_file_stays(owner: Owner) -> None:
    """Before any question, a file that is there is named with the option that would overwrite it."""
    (owner.folder / "site.toml").write_text("mine")
    done = owner.run("init", "--interactive")
    assert (done.returncode, done.stdout, "--force" in done.stderr) == (USAGE, "", True)
    assert (owner.folder / "site.toml").read_text() == "mine"


def test_a_directory_that_is_missing_is_told_before_the_questions(owner: Owner) -> None:
    """Nobody answers ten questions to learn that the file cannot be written."""
    done = owner.run("init", "--interactive", "--output", "nowhere/site.toml")
    assert (done.returncode, done.stdout, "no such directory" in done.stderr) == (UNAVAILABLE, "", True)


def test_answers_that_end_write_nothing(owner: Owner) -> None:
    """Where there is no terminal and nobody answers, it ends with the reason."""
    done = subprocess.run(
        [sys.executable, "-m", "btcore", "init", "-i"],
        cwd=owner.folder,
        input="n\n",
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, "the answers end" in done.stderr) == (UNAVAILABLE, True)
    assert list(owner.folder.iterdir()) == []


def test_a_plugin_is_not_asked_for_twice(owner: Owner) -> None:
    """What cannot be meant together with questions is refused."""
    done = owner.run("init", "--interactive", "mqtt")
    assert (done.returncode, "leave out PLUGIN" in done.stderr) == (USAGE, True)


def test_a_second_site_gets_a_state_directory_of_its_own(owner: Owner, folder: Path) -> None:
    """Where the usual state directory belongs to another configuration, the new one keeps its state beside itself."""
    first = folder.parent / "first"
    first.mkdir()
    (first / "site.toml").write_text("[source.simulator]\npackets = 1\n[sink.sqlite]\nfile = 'energy.db'\n")
    assert subprocess.run([sys.executable, "-m", "btcore", "run", "--once"], cwd=first, check=False).returncode == OK
    with owner.init() as terminal:
        choose_simulator(terminal)
        answer_rest(terminal, sqlite="y", print="n")
        assert terminal.finish() == OK
    assert owner.site()["state"] == "state"
    assert owner.run("check").returncode == OK
