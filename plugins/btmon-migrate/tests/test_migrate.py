# SPDX-License-Identifier: GPL-3.0-or-later
"""`btcore migrate`: a configuration of btmon becomes a site.toml that does the same, or says what it cannot."""

import json
import stat
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Protocol

import attrs
import pytest
import tomli
from hypothesis import given
from hypothesis import strategies as st

from btcore.cli import main
from btmon_migrate import checking
from btmon_migrate.given import Doubts, Options
from btmon_migrate.ini import read_ini
from btmon_migrate.options import OPTIONS, WITHOUT_NAME
from btmon_migrate.services import SERVICES
from btmon_migrate.site import make_site
from btmon_migrate.sources import READERS

GOLDEN = Path(__file__).parents[3] / "tests" / "golden" / "btmon"
CONFIGURATIONS = sorted((GOLDEN / "legacy_configs").glob("*.cfg"))
RECORDED = json.loads((GOLDEN / "options.json").read_text())["options"]
SINKS = {
    "InfluxDBProcessor": "influxdb",
    "MQTTProcessor": "mqtt",
    "MySQLProcessor": "mysql",
    "OpenEnergyMonitorProcessor": "emoncms",
    "PVOutputProcessor": "pvoutput",
    "PrintProcessor": "print",
    "RRDProcessor": "rrd",
    "SqliteProcessor": "sqlite",
}
SOURCES = {"SerialCollector": "serial", "PollingSerialCollector": "serial", "SocketServerCollector": "tcp-server"}


@attrs.frozen
class Migrated:
    """What came of a configuration: the exit code, the site.toml as text and as tables, and the doubts."""

    code: int
    text: str
    doubts: list[str]

    @property
    def toml(self) -> dict[str, Any]:
        """The site.toml's tables."""
        return tomli.loads(self.text)

    @property
    def source(self) -> dict[str, Any]:
        """The only source."""
        (table,) = self.toml["source"].values()
        return dict(table)


class Migrate(Protocol):
    """Migrates a text, or the words of a command line."""

    def __call__(self, text: str, *words: str) -> Migrated:
        """Return what came of it."""
        ...


@pytest.fixture
def migrate(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Migrate:
    """Return a function that migrates a text, or the words of a command line."""

    def run(text: str, *words: str) -> Migrated:
        file = tmp_path / "btmon.cfg"
        file.write_text(text)
        code = main(["migrate", *([str(file)] if text else []), *(["--", *words] if words else [])])
        out, err = capsys.readouterr()
        return Migrated(code, out, [line.removeprefix("btcore migrate: ") for line in err.splitlines()])

    return run


METER = "[source]\nserial_read = true\n[print]\nprint_out = true\n"


def test_the_options_are_those_that_were_recorded() -> None:
    """Each of the 166 options of btmon is known by its name and its flags, and whether a value follows."""
    recorded = {
        one["dest"]: ({one[form] for form in ("long", "short") if one[form]}, one["kind"] == "value")
        for one in RECORDED
        if one["dest"] and one["kind"] in {"value", "flag"}
    }
    assert {name: (set(one.flags), one.takes_value) for name, one in OPTIONS.items()} == recorded
    others = {one[form] for one in RECORDED for form in ("long", "short") if one["kind"] not in {"value", "flag"}}
    assert set(WITHOUT_NAME) == others - {None}


@pytest.mark.parametrize("file", CONFIGURATIONS, ids=lambda file: file.stem)
def test_an_old_configuration_has_the_options_that_btmon_read_in_it(file: Path) -> None:
    """Each option of a recorded configuration is read as btmon read it."""
    effective = json.loads(file.with_suffix(".effective.json").read_text())["options"]
    options = Options(Doubts())
    read_ini(file.read_text(), file.name, options)
    read = {name: given.value for name in OPTIONS if (given := options.peek(name))}
    assert {name: str(value or "") for name, value in read.items()} == {
        name: str(effective[name] or "") for name in read
    }


@pytest.mark.parametrize("file", CONFIGURATIONS, ids=lambda file: file.stem)
def test_an_old_configuration_has_the_source_and_the_sinks_that_btmon_had(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The source and the sinks of the site.toml are those that btmon made of the same file."""
    effective = json.loads(file.with_suffix(".effective.json").read_text())
    main(["migrate", str(file)])
    site = tomli.loads(capsys.readouterr().out)
    (source,) = site["source"].values()
    assert source["use"] == SOURCES[effective["collector"]["class"]]
    expected = {_sink(one["class"]) for one in effective["processors"]}
    ended = {"smartenergygroups"} if file.stem == "house_full" else set()
    assert set(site["sink"]) == expected - ended


def _sink(recorded: str) -> str:
    return SINKS.get(recorded) or recorded.removesuffix("Processor").lower()


def test_what_was_carried_over_passes_check(tmp_path: Path) -> None:
    """A configuration that is carried over whole ends with 0, and what was written passes btcore check."""
    output = tmp_path / "site.toml"
    run = [sys.executable, "-m", "btcore"]
    migrated = subprocess.run(
        [*run, "migrate", str(CONFIGURATIONS[2]), "-o", str(output)], capture_output=True, text=True, check=False
    )
    assert (migrated.returncode, migrated.stdout, migrated.stderr) == (0, "", "")
    assert subprocess.run([*run, "check", str(output)], check=False).returncode == 0


def test_secrets_are_in_files_that_only_their_owner_may_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With -o each password and key is in a file of mode 600 beside the site.toml, and nowhere else."""
    output = tmp_path / "site.toml"
    main(["migrate", str(GOLDEN / "legacy_configs" / "house_full.cfg"), "-o", str(output)])
    files = sorted((tmp_path / "secrets").iterdir())
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert stat.S_IMODE((tmp_path / "secrets").stat().st_mode) == 0o700
    password = tmp_path / "secrets" / "mysql-password"
    assert password.read_text() == "ecm;pass\n"
    texts = [output.read_text(), *capsys.readouterr()]
    for file in files:
        assert not any(file.read_text().strip() in text for text in texts), file.name


def test_nothing_is_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A site.toml or a secret that is there already stays as it is, and nothing else is written."""
    output = tmp_path / "site.toml"
    output.write_text("mine")
    assert main(["migrate", str(CONFIGURATIONS[2]), "-o", str(output)]) == 69
    assert output.read_text() == "mine"
    assert "already exists" in capsys.readouterr().err
    output.unlink()
    secret = tmp_path / "secrets" / "mysql-password"
    secret.parent.mkdir()
    secret.write_text("mine")
    assert main(["migrate", str(GOLDEN / "legacy_configs" / "house_full.cfg"), "-o", str(output)]) == 69
    assert (secret.read_text(), output.exists()) == ("mine", False)


def test_what_cannot_be_written_leaves_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where the secrets cannot be written there is no site.toml, so that the same command works the next time."""
    (tmp_path / "secrets").write_text("a file")
    output = tmp_path / "site.toml"
    assert main(["migrate", str(GOLDEN / "legacy_configs" / "house_full.cfg"), "-o", str(output)]) == 69
    assert capsys.readouterr().err.endswith("; nothing was written\n")
    assert [file.name for file in tmp_path.iterdir()] == ["secrets"]


def test_a_second_site_gets_a_state_directory_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Who tried the simulated house first has a site already; what is migrated passes check all the same."""
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "usual"))
    first, output = tmp_path / "first.toml", tmp_path / "site.toml"
    first.write_text("[source.simulator]\npackets = 1\npace = 'fast'\n[sink.sqlite]\nfile = 'energy.db'\n")
    run = [sys.executable, "-m", "btcore"]
    assert subprocess.run([*run, "run", "--once", str(first)], check=False).returncode == 0
    assert main(["migrate", str(CONFIGURATIONS[2]), "-o", str(output)]) == 0
    assert tomli.loads(output.read_text())["state"] == "state"
    assert capsys.readouterr().err == ""
    assert main(["check", str(output)]) == 0


def test_a_missing_plugin_is_a_doubt(migrate: Migrate, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a plugin has to be installed a person has to look, and a mistake elsewhere is found all the same."""
    others = [entry for entry in entry_points(group="btcore.plugins") if entry.name != "rrd"]
    monkeypatch.setattr(checking, "entry_points", lambda group: others if group == "btcore.plugins" else [])
    found = migrate(f"{METER}[rrd]\nrrd_out = true\nrrd_dir = /tmp\n[mqtt]\nmqtt_out = true\nmqtt_port = 99999\n")
    assert (found.code, set(found.toml["sink"])) == (1, {"print", "rrd"})
    first, second = sorted(found.doubts)
    assert first.startswith("[sink.mqtt] port: ")
    assert second == "first, pip install btmon-rrd; then btcore check"


@pytest.mark.parametrize("value", ["0", "no", "anything"])
def test_h2_any_text_switches_on(migrate: Migrate, value: str) -> None:
    """H2: `reverse_polarity = 0` switched it on, so polarity is brultech, and the doubt says so."""
    found = migrate(f"{METER}reverse_polarity = {value}\n")
    assert found.toml["polarity"] == "brultech"
    assert bool(found.doubts) == (value != "anything")


def test_h2_false_switches_off(migrate: Migrate) -> None:
    """H2: `reverse_polarity = false` left it off, so the sign is btmon's."""
    assert migrate(f"{METER}reverse_polarity = False\n").toml["polarity"] == "btmon"


def test_h2_a_source_that_is_zero_is_read(migrate: Migrate) -> None:
    """H2: `serial_read = 0` selected the serial port, and the doubt says so."""
    found = migrate("[source]\nserial_read = 0\nip_read = true\n[x]\nprint_out = yes\n")
    assert found.source["use"] == "serial"
    assert any("serial_read = 0 switched it on" in doubt for doubt in found.doubts)
    assert any("ip_read: btmon read one source, and that was serial_read" in doubt for doubt in found.doubts)


def test_h1_a_pause_of_zero_is_polling(migrate: Migrate) -> None:
    """H1: `serial_poll_interval = 0` asked the meter without a pause, and the doubt says what to do."""
    found = migrate(f"{METER}serial_poll_interval = 0\n")
    assert found.source["poll_interval"] == "1s"
    assert any("again and again" in doubt for doubt in found.doubts)


def test_h4_blanks_in_the_device_list(migrate: Migrate) -> None:
    """H4: `device_list = fc, fd, fe` was refused by btmon; here all three are asked, and the doubt says so."""
    found = migrate(f"{METER}serial_poll_interval = 10\ndevice_list = fc, fd, fe\n")
    assert found.source["devices"] == ["fc", "fd", "fe"]
    assert any("refused the blanks" in doubt for doubt in found.doubts)


def test_h5_a_hash_was_no_comment(migrate: Migrate) -> None:
    """H5: what follows a # was part of the value in btmon; it is left out, and the doubt says so; `;` did begin one."""
    found = migrate(f"{METER}serial_port = /dev/ttyS1   # main port\nserial_baud = 9600 ; slow\n")
    assert (found.source["port"], found.source["baud"]) == ("/dev/ttyS1", 9600)
    assert [doubt.partition(": ")[0] for doubt in found.doubts] == ["btmon.cfg:5"]


def test_h5_a_hash_in_a_password_stays(migrate: Migrate) -> None:
    """H5: a password keeps its #, as btmon sent it, and the doubt asks to look."""
    found = migrate("[s]\nserial_read = true\nmysql_out = true\nmysql_passwd = ab #cd\n")
    assert found.toml["sink"]["mysql"]["password"] == "ab #cd"
    assert len(found.doubts) == 1


def test_h6_sections_mean_nothing(migrate: Migrate) -> None:
    """H6: an option counts in whichever section it stands; of two sections the first, of one section the last."""
    found = migrate(
        "[pvo]\nserial_read = true\nserial_baud=1\nserial_baud=9600\n[b]\nserial_baud=115200\nprint_out=true\n"
    )
    assert found.source["baud"] == 9600
    assert any("btmon took that" in doubt for doubt in found.doubts)


def test_h7_an_unknown_name(migrate: Migrate) -> None:
    """H7: a name that btmon did not know is a doubt with the one that is meant; hyphens are taken as underscores."""
    found = migrate(f"{METER}serial_pot = /dev/ttyS1\nserial-baud = 9600\n")
    assert found.source["baud"] == 9600
    assert any("did you mean serial_port?" in doubt for doubt in found.doubts)


def test_h8_bidgely_without_address(migrate: Migrate) -> None:
    """H8: Bidgely without by_url ended btmon; its table is written switched off, and the doubt says what to fill in."""
    found = migrate(f"{METER}bidgely_out = true\n")
    assert "bidgely" not in found.toml["sink"]
    assert "#[sink.bidgely]" in found.text
    assert any("by_url must be set" in doubt for doubt in found.doubts)


def test_a_command_line(migrate: Migrate) -> None:
    """A command line is read as btmon read it: long options cut short, short ones together, values behind = or not."""
    words = ["btmon.py", "--serial", "--serial-por=/dev/ttyS3", "--serial-baud", "9600", "-pq"]
    found = migrate("", *words, "--reverse-polarity=yes")
    assert found.source == {"use": "serial", "port": "/dev/ttyS3", "baud": 9600}
    assert (found.code, found.toml["polarity"], found.doubts) == (0, "brultech", [])
    assert set(found.toml["sink"]) == {"print"}


@pytest.mark.parametrize(
    "start",
    [
        ["nohup", "python", "/home/pi/btmon.py"],
        ["/usr/bin/python2.7", "-u", "/opt/btmon/bin/btmon.py"],
        ["sudo", "-u", "pi", "python3", "btmon3.py"],
        ["btmon"],
    ],
    ids=" ".join,
)
def test_what_starts_btmon_is_no_option(migrate: Migrate, start: list[str]) -> None:
    """However btmon was started, its own options begin behind its name."""
    found = migrate("", *start, "--serial", "--mqtt", "--mqtt-clientid", "btmon")
    assert (found.code, found.doubts) == (0, [])
    assert found.toml["sink"]["mqtt"]["client_id"] == "btmon"


def test_a_flag_without_its_hyphen(migrate: Migrate) -> None:
    """What old descriptions write as --serialport is taken as --serial-port; an unknown flag has the nearest."""
    found = migrate("", "--serial", "--serialport=/dev/ttyUSB3", "-p", "--mqt-host=nas", "--xyz")
    assert found.source["port"] == "/dev/ttyUSB3"
    assert found.doubts == [
        "--serialport: btmon knew it as --serial-port, and ended; it is taken as that",
        "--mqt-host: btmon had no such option, and ended; did you mean --mqtt-host? It is left out",
        "--xyz: btmon had no such option, and ended; it is left out",
    ]


def test_the_command_line_wins_over_the_file(migrate: Migrate) -> None:
    """What the command line says counts more than the file, but cannot switch off what the file switches on."""
    found = migrate(f"{METER}serial_baud = 9600\n", "--serial-baud=115200")
    assert found.source["baud"] == 115200


@pytest.mark.parametrize("switch", SERVICES)
def test_each_service_that_lacks_its_key_is_switched_off(migrate: Migrate, switch: str) -> None:
    """A service without what it needs is written switched off, with a doubt, and the rest passes check."""
    found = migrate(f"{METER}{switch} = true\n")
    assert set(found.toml["sink"]) == {"print"}
    assert found.code == 1
    assert {doubt.split(": ")[1] for doubt in found.doubts} == {switch}


def test_what_is_no_configuration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that cannot be a configuration, or is not there, is one clear line and exit code 69."""
    picture = tmp_path / "house.png"
    picture.write_bytes(b"\x89PNG\0")
    assert main(["migrate", str(picture)]) == 69
    assert main(["migrate", str(tmp_path / "none")]) == 69
    assert capsys.readouterr().err.count("\n") == 2


POSTED = sorted((Path(__file__).parent / "golden" / "posted").glob("*.cfg"))
"""Configurations as people post them: mistakes, mixtures and old names; beside each, the doubts that are to be told."""


@pytest.mark.parametrize("file", POSTED, ids=lambda file: file.stem)
def test_a_configuration_as_people_post_them(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each doubt is told, by its line, and nothing else is; what is written passes btcore check."""
    site = tmp_path / "site.toml"
    code = main(["migrate", str(file), "-o", str(site)])
    doubts = capsys.readouterr().err.replace("btcore migrate: ", "")
    assert doubts == file.with_suffix(".doubts").read_text()
    assert code == bool(doubts)
    assert main(["check", str(site)]) == 0


def test_there_are_twenty_configurations() -> None:
    """There are as many as are promised, and the awkward ones keep their bytes."""
    assert len(POSTED) >= 20
    texts = {file.stem.partition("-")[2]: file.read_bytes() for file in POSTED}
    assert texts["windows"].startswith(b"\xef\xbb\xbf")
    assert texts["notepad-unicode"].startswith(b"\xff\xfe")
    assert b"\x1b[31m" in texts["control-characters"]
    assert b"\tserial_port\t" in texts["tabs"]
    assert b"\r\n" in texts["windows"]
    assert b"\r\n" in texts["mixed-ends"]
    assert b"Z\xe4hler" in texts["latin-1"]


VALUE = st.one_of(
    st.sampled_from(["true", "false", "0", "10", "0.5", "gem", "client", "a,b,c", ",", "1,,", "é#;%(x)s", " ", '""']),
    st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=20),
)


@given(st.dictionaries(st.sampled_from(sorted(OPTIONS)), VALUE, max_size=12), st.sampled_from([*READERS, *SERVICES]))
def test_any_values_make_toml(values: dict[str, str], switch: str) -> None:
    """Whatever the options are set to, what is written is TOML."""
    text = "\n".join(["[all]", f"{switch} = true", *(f"{name} = {value}" for name, value in values.items())])
    options = Options(Doubts())
    read_ini(text, "btmon.cfg", options)
    tomli.loads("\n".join(make_site("btmon.cfg", options).lines()))


@given(st.text(max_size=200))
def test_any_text_is_read(text: str) -> None:
    """Whatever the file holds, it is read, and each line that means nothing is a doubt."""
    read_ini(text, "btmon.cfg", Options(Doubts()))
