# SPDX-License-Identifier: GPL-3.0-or-later
"""`btcore check`, as a user calls it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.config_plugins import MINIMAL_SITE, Load, site_loader
from helpers.distributions import install_distribution

from btcore.cli import CONFIGURATION, OK, UNAVAILABLE, USAGE, main


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Stand in a directory beside which the wares are installed."""
    monkeypatch.chdir(tmp_path)
    return site_loader(tmp_path, monkeypatch)


def test_a_good_configuration_is_told_as_what_would_run(load: Load, capsys: pytest.CaptureFixture[str]) -> None:
    """Without mistakes, the sources, sinks, what differs from the usual, and the place of the state are told."""
    Path("site.toml").write_text('state = "/var/x"\n' + MINIMAL_SITE + 'interval = "1m"\n')
    assert main(["check"]) == OK
    assert capsys.readouterr().out.splitlines() == [
        "site.toml: no mistakes. It would run:",
        "  source.tap         tap",
        '  sink.pail          pail      interval = "1m", batch_size = 30',
        "  decoder.brultech   brultech",
        "  state              /var/x",
        "  polarity           brultech",
        "  retention          30d",
        "  journal            sqlite",
        "  max_journal_bytes  8000000000",
        "  sync               normal",
    ]


def test_the_tariff_is_told(load: Load, capsys: pytest.CaptureFixture[str]) -> None:
    """Its currency, what is in force and since when, and which bill today is of."""
    tariff = '[tariff]\ncurrency = "EUR"\nprice = 0.3\n[[tariff.changes]]\nfrom = 2020-02-01\nprice = 0.285\n'
    Path("site.toml").write_text(MINIMAL_SITE + tariff)
    assert main(["check"]) == OK
    out = capsys.readouterr().out
    assert "  tariff             EUR       since 2020-02-01: 0.285 a kWh\n" in out
    assert " the bill of 20" in out
    assert main(["check", "--json"]) == OK
    found = json.loads(capsys.readouterr().out)["tariff"]
    assert (found["currency"], found["since"], found["price"]) == ("EUR", "2020-02-01", 0.285)


def test_the_parts_of_a_sink_are_told_each(load: Load, capsys: pytest.CaptureFixture[str]) -> None:
    """A sink that is split is told as what it becomes, a line for each part."""
    Path("site.toml").write_text(MINIMAL_SITE + '[sink.split]\nkeys = { one = "K1", two = "K2" }\n')
    assert main(["check"]) == OK
    told = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert (["sink.split/one", "split"] in told, ["sink.split/two", "split"] in told) == (True, True)
    assert main(["check", "--json"]) == OK
    assert [sink["name"] for sink in json.loads(capsys.readouterr().out)["sinks"]] == ["pail", "split/one", "split/two"]


NOTES = """
    from btcore import hookimpl, plugin

    @plugin(api=1)
    class Noter:
        def notes(self):
            yield "takes 3 MB"

        @hookimpl
        def process_batch(self, batch):
            pass

    class Clumsy(Noter):
        def notes(self):
            raise OSError("no paper")
"""


def test_what_a_plugin_says_of_its_settings_is_told(load: Load, capsys: pytest.CaptureFixture[str]) -> None:
    """Notes of a plugin stand below its table, and in JSON; a plugin that cannot tell them is named."""
    install_distribution(Path.cwd(), "noter", NOTES, {"noter": "Noter", "clumsy": "Clumsy"})
    Path("site.toml").write_text(MINIMAL_SITE + "[sink.noter]\n[sink.clumsy]\n")
    assert main(["check"]) == OK
    told = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert told[told.index("sink.noter noter") + 1] == "takes 3 MB"
    failed = "the plugin clumsy failed to describe its settings (no paper)"
    assert told[told.index("sink.clumsy clumsy") + 1] == failed
    assert main(["check", "--json"]) == OK
    sinks = json.loads(capsys.readouterr().out)["sinks"]
    assert [sink.get("notes") for sink in sinks] == [None, ["takes 3 MB"], [failed]]


def test_two_mistakes_are_both_told_with_line_and_key(load: Load, capsys: pytest.CaptureFixture[str]) -> None:
    """Mistakes go to stderr, a line each, and the exit code says that the configuration is wrong."""
    Path("other.toml").write_text("[source.tap]\nprot = 8\nport = 2\n[sink.pail]\nmode = 3\n")
    assert main(["check", "--config", "other.toml"]) == CONFIGURATION
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.splitlines() == [
        'other.toml:2: [source.tap] prot: unknown setting; did you mean "port"?',
        'other.toml:5: [sink.pail] mode: expected one of "fast", "slow", found 3',
    ]


def test_what_would_run_is_told_as_json(load: Load, capsys: pytest.CaptureFixture[str]) -> None:
    """With --json, all settings of the core are told, defaults too, as a configuration would say them."""
    Path("site.toml").write_text(MINIMAL_SITE)
    assert main(["check", "--json"]) == OK
    told = json.loads(capsys.readouterr().out)
    assert (told["ok"], told["file"], told["retention"]) == (True, "site.toml", "30d")
    assert told["sources"][0] == {
        "name": "tap",
        "plugin": "tap",
        "formats": [],
        "clock": "arrival",
        "meters": [],
        "serial": "",
        "max_new_meters_per_day": 256,
        "max_packets_per_second": 2.0,
        "sync_clock": False,
        "min_backoff": "1s",
        "max_backoff": "1m",
    }
    assert [told["sinks"][0][key] for key in ("name", "interval", "batch_size", "polarity")] == ["pail", "5m", 30, None]


VIRTUAL = """
[channels]
"01000777_ch1" = "mains"
house = { expression = "mains - 2 * 300001_ch1 / 4" }
oven = { expression = "2 * ch5" }
"""


def test_virtual_channels_are_told(load: Load, capsys: pytest.CaptureFixture[str]) -> None:
    """Each with its expression, its units, and the meters that it waits for."""
    Path("site.toml").write_text(MINIMAL_SITE + VIRTUAL)
    assert main(["check"]) == OK
    told = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "channels.house virtual mains - 2 * 300001_ch1 / 4 (W and Wh, of meters 01000777, 300001)" in told
    assert "channels.oven virtual 2 * ch5 (W and Wh, of the meter that is heard first)" in told
    assert main(["check", "--json"]) == OK
    house, oven = json.loads(capsys.readouterr().out)["virtual_channels"]
    assert (house["units"], house["meters"]) == (["W", "Wh"], ["01000777", "300001"])
    assert house["terms"] == {"01000777_ch1": 1, "300001_ch1": -0.5}
    assert (oven["expression"], oven["meters"], oven["terms"]) == ("2 * ch5", [], {"ch5": 2})


def test_mistakes_are_told_as_json(load: Load, capsys: pytest.CaptureFixture[str]) -> None:
    """With --json, each mistake is an object with its place; the exit code is the same."""
    Path("site.toml").write_text(MINIMAL_SITE + "x = 1\n")
    assert main(["check", "--json"]) == CONFIGURATION
    (problem,) = json.loads(capsys.readouterr().out)["problems"]
    place = {key: problem[key] for key in ("file", "line", "table", "key")}
    assert place == {"file": "site.toml", "line": 4, "table": "sink.pail", "key": "x"}


@pytest.mark.parametrize(
    "words",
    [["site.toml"], ["--config", "site.toml"], ["./site.toml", "--config", "site.toml"], ["--json", "site.toml"]],
)
def test_a_file_may_be_named_with_or_without_its_option(load: Load, words: list[str]) -> None:
    """`check FILE` is what everybody types; the same file named twice is one."""
    Path("site.toml").write_text(MINIMAL_SITE)
    assert main(["check", *words]) == OK


@pytest.mark.parametrize("command", ["check", "run"])
def test_two_different_files_are_wrong_use(load: Load, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Which of two files is meant is not guessed."""
    Path("site.toml").write_text(MINIMAL_SITE)
    with pytest.raises(SystemExit) as caught:
        main([command, "other.toml", "--config", "site.toml"])
    assert caught.value.code == USAGE
    said = capsys.readouterr().err.splitlines()[-1]
    assert said == f"btcore {command}: error: expected one configuration, found two: other.toml and site.toml"


def test_what_a_command_does_not_take_is_told_with_its_usage(capsys: pytest.CaptureFixture[str]) -> None:
    """What a command does not know is told with what that command takes, not with the list of commands."""
    with pytest.raises(SystemExit) as caught:
        main(["check", "site.toml", "other.toml"])
    assert caught.value.code == USAGE
    first, *_, last = capsys.readouterr().err.splitlines()
    assert (first, last) == (
        "usage: btcore check [-h] [--config FILE] [--json] [--create] [FILE]",
        "btcore check: error: unrecognized arguments: other.toml",
    )


def test_a_warning_is_told_and_no_mistake(load: Load, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What should be otherwise goes to stderr, and into the JSON; the exit code is that of a good configuration."""
    (tmp_path / "key").write_text("hush")
    (tmp_path / "key").chmod(0o644)
    Path("site.toml").write_text(MINIMAL_SITE + 'api_key = { file = "key" }\n')
    said = f"the file {tmp_path / 'key'} can be read by every user of this computer: chmod 600 {tmp_path / 'key'}"
    assert main(["check"]) == OK
    told = capsys.readouterr()
    assert told.err == f"site.toml:4: [sink.pail] api_key: {said}\n"
    assert told.out.startswith("site.toml: no mistakes")
    assert main(["check", "--json"]) == OK
    (warning,) = json.loads(capsys.readouterr().out)["warnings"]
    assert (warning["line"], warning["key"], warning["message"]) == (4, "api_key", said)


@pytest.mark.servers
def test_a_warning_is_told_when_it_runs_too(tmp_path: Path) -> None:
    """`btcore run` logs it when it begins."""
    (tmp_path / "key").write_text("a-secret-key")
    (tmp_path / "key").chmod(0o646)
    (tmp_path / "capture").write_bytes(b"")
    sink = '[sink.emoncms]\nurl = "http://127.0.0.1:9"\ntoken = { file = "key" }\n'
    (tmp_path / "site.toml").write_text(f'state = "state"\n[source.file]\npath = "capture"\n{sink}')
    command = [sys.executable, "-m", "btcore", "run", "--once", "--quiet", str(tmp_path / "site.toml")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert "[sink.emoncms] token: the file" in done.stderr
    assert "can be read and changed by every user of this computer: chmod 600" in done.stderr
    assert "a-secret-key" not in done.stderr


SITE = """state = "state"
[source.simulator]
formats = ["gem48ptbin"]
[sink.sqlite]
file = "energy.db"
[sink.print]
"""


def test_create_makes_what_sinks_store_into(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With --create a database and the tables of the sources' formats are created, once, and each is reported."""
    monkeypatch.chdir(tmp_path)
    Path("site.toml").write_text(SITE)
    file = tmp_path / "energy.db"
    assert main(["check", "--create"]) == OK
    assert capsys.readouterr().out.splitlines()[-1] == f"sink.sqlite: created table gem48ptbin_counters in {file}"
    assert main(["check", "--create", "--json"]) == OK
    assert json.loads(capsys.readouterr().out)["created"] == ["sink.sqlite: nothing had to be created"]


def test_what_cannot_be_created_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where a sink cannot create what it needs, its reason is told, and the exit code says that it is unavailable."""
    monkeypatch.chdir(tmp_path)
    Path("site.toml").write_text(SITE.replace("energy.db", "missing/energy.db"))
    assert main(["check", "--create"]) == UNAVAILABLE
    assert f"sink.sqlite: {tmp_path}/missing/energy.db cannot be made: there is no directory" in capsys.readouterr().err
