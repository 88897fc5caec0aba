"""`btcore check`, as a user calls it."""

import json
from pathlib import Path

import pytest
from wares import LEAST, Load, loader

from btcore.cli import CONFIGURATION, OK, USAGE, main


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Stand in a directory beside which the wares are installed."""
    monkeypatch.chdir(tmp_path)
    return loader(tmp_path, monkeypatch)


def test_a_good_configuration_is_told_as_what_would_run(load: Load, capsys: pytest.CaptureFixture[str]) -> None:
    """Without mistakes, the sources, sinks, what differs from the usual, and the place of the state are told."""
    Path("site.toml").write_text('state = "/var/x"\n' + LEAST + 'every = "1m"\n')
    assert main(["check"]) == OK
    assert capsys.readouterr().out.splitlines() == [
        "site.toml: no mistakes. It would run:",
        "  source.tap        tap",
        '  sink.pail         pail      every = "1m", batch_size = 30',
        "  decoder.brultech  brultech",
        "  state             /var/x",
        "  polarity          brultech",
        "  keep              30d",
    ]


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
    Path("site.toml").write_text(LEAST)
    assert main(["check", "--json"]) == OK
    told = json.loads(capsys.readouterr().out)
    assert (told["ok"], told["file"], told["keep"]) == (True, "site.toml", "30d")
    assert told["sources"][0] == {
        "name": "tap",
        "plugin": "tap",
        "formats": [],
        "clock": "arrival",
        "retry": "1s",
        "retry_max": "1m",
    }
    assert [told["sinks"][0][key] for key in ("name", "every", "batch_size", "polarity")] == ["pail", "5m", 30, None]


def test_mistakes_are_told_as_json(load: Load, capsys: pytest.CaptureFixture[str]) -> None:
    """With --json, each mistake is an object with its place; the exit code is the same."""
    Path("site.toml").write_text(LEAST + "x = 1\n")
    assert main(["check", "--json"]) == CONFIGURATION
    (problem,) = json.loads(capsys.readouterr().out)["problems"]
    place = {key: problem[key] for key in ("file", "line", "table", "key")}
    assert place == {"file": "site.toml", "line": 4, "table": "sink.pail", "key": "x"}


def test_a_file_without_its_option_is_told_with_the_usage_of_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    """What a command does not know is told with what that command takes, not with the list of commands."""
    with pytest.raises(SystemExit) as caught:
        main(["check", "site.toml"])
    assert caught.value.code == USAGE
    told = capsys.readouterr().err.splitlines()
    assert (told[0], told[-1]) == (
        "usage: btcore check [-h] [--config FILE] [--json]",
        "btcore check: error: unrecognized arguments: site.toml",
    )
