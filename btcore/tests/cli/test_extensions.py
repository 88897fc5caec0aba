# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands that other distributions add, as a user calls them."""

from pathlib import Path

import pytest
from helpers.config_plugins import site_loader
from helpers.distributions import install_distribution

from btcore.cli import CONFIGURATION, OK, UNAVAILABLE, USAGE, main
from btcore.cli.extensions import describe_unknown

NAMES = """
    from pathlib import Path

    from btcore import Command, BtcoreError

    def add_arguments(parser):
        parser.add_argument("--config", type=Path)
        parser.add_argument("--fail", action="store_true")

    def run(args, load):
        if args.fail:
            raise BtcoreError("there is no ink")
        made = load(args.config)
        for table in made.tables:
            print(table.kind, table.name, table.polarity, type(table.instance).__name__)
        print(made.file.name, dict(made.channels))
        return 3

    NAMES = Command(api=1, help="list the names", add_arguments=add_arguments, run=run)
    FUTURE = Command(api=2, help="list them again", add_arguments=add_arguments, run=run)
    NOTHING = object()
"""

SITE = """
polarity = "btmon"

[source.tap]
port = 2

[sink.paint]
use = "pail"
polarity = "brultech"

[channels]
"399999_ch1" = "solar"
"""


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Install plugins, and a distribution that has commands."""
    site_loader(tmp_path, monkeypatch)
    commands = {"names": "NAMES", "future": "FUTURE", "nothing": "NOTHING", "run": "NAMES"}
    install_distribution(tmp_path, "namer", NAMES, commands, group="btcore.commands", version="2.0")
    install_distribution(tmp_path, "bomb", "raise SystemExit(3)", {"bomb": "Bomb"}, group="btcore.commands")
    return tmp_path


def usage_of(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    """Run a command that ends with its usage; return the exit code, and what it wrote, in one line."""
    with pytest.raises(SystemExit) as caught:
        main(words)
    written = capsys.readouterr()
    assert isinstance(caught.value.code, int)
    return caught.value.code, " ".join((written.out + written.err).split())


def test_the_list_of_commands_has_it(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`btcore --help` lists a command with its help, and one that is broken with the reason."""
    code, text = usage_of(capsys, "--help")
    assert code == OK
    assert "names list the names" in text
    assert 'broken: the command "bomb" of bomb 1.0 cannot be imported (SystemExit: 3)' in text


def test_it_has_a_help_of_its_own(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`btcore names --help` shows its arguments, under what it does."""
    code, text = usage_of(capsys, "names", "--help")
    assert code == OK
    assert "List the names. options:" in text
    assert "--fail" in text


def test_an_unknown_argument_is_told_with_its_usage(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A mistake in its arguments is reported as for every command."""
    code, text = usage_of(capsys, "names", "--colour")
    assert code == USAGE
    assert "usage: btcore names" in text
    assert "unrecognized arguments: --colour" in text


def test_it_is_given_the_configuration(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is told of each table, with the sign of a sink's samples, and of the channels; its exit code is btcore's."""
    (shop / "site.toml").write_text(SITE)
    assert main(["names", "--config", str(shop / "site.toml")]) == 3
    assert capsys.readouterr().out.splitlines() == [
        "source source.tap brultech Tap",
        "sink sink.paint brultech Pail",
        "decoder decoder.brultech brultech Brultech",
        "site.toml {'399999_ch1': 'solar'}",
    ]


def test_a_wrong_configuration_is_reported_by_the_core(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A command that loads a configuration with mistakes ends as `check` does."""
    (shop / "site.toml").write_text("[source.tap]\nport = 2\n[sink.pail]\ntaste = 1\n")
    assert main(["names", "--config", str(shop / "site.toml")]) == CONFIGURATION
    assert "site.toml:4: [sink.pail] taste: unknown setting" in capsys.readouterr().err


def test_its_error_is_one_line(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A BtcoreError of a command is reported in one line, without a traceback."""
    assert main(["names", "--fail"]) == UNAVAILABLE
    assert capsys.readouterr().err == "btcore: there is no ink\n"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("bomb", "cannot be imported (SystemExit: 3)"),
        ("nothing", "is not a command: "),
        (
            "future",
            "is written for version 2 of the plugin interface; this btcore has version 1: pip install --upgrade",
        ),
    ],
)
def test_one_that_cannot_be_used_is_told(
    name: str, message: str, shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is wrong with a command is reported in one line that names its distribution."""
    assert main([name]) == UNAVAILABLE
    error = capsys.readouterr().err
    assert error.startswith(f'btcore: the command "{name}" of ')
    assert message in error
    assert error.count("\n") == 1


def test_two_of_one_name_are_told(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where two distributions have a command of one name, neither is run."""
    install_distribution(shop, "rival", NAMES, {"names": "NAMES"}, group="btcore.commands")
    assert main(["names"]) == UNAVAILABLE
    error = capsys.readouterr().err
    assert error.startswith('btcore: two distributions have a command "names": ')
    assert "namer 2.0" in error
    assert error.endswith("pip uninstall one of them\n")


def test_a_command_of_the_core_is_not_replaced(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A distribution that has a command `run` does not get it."""
    code, text = usage_of(capsys, "run", "--help")
    assert code == OK
    assert "--fail" not in text
    assert "--dry-run" in text


def test_only_the_one_that_is_asked_for_is_imported(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A command that is broken does not disturb another, nor one of the core."""
    (shop / "site.toml").write_text(SITE)
    assert main(["names", "--config", str(shop / "site.toml")]) == 3
    assert main(["plugins"]) == OK
    assert "bomb" not in capsys.readouterr().err


def test_a_command_that_is_not_installed_is_told_with_what_has_it(capsys: pytest.CaptureFixture[str]) -> None:
    """Who types a command of this manual learns what to install; who mistypes one, which is meant."""
    assert "graph comes with btmon-rrd; install it with: pip install btmon-rrd" in describe_unknown("graph", {"run"})
    for word, expected in (
        ("chek", 'there is no command "chek"; did you mean "check"?'),
        ("zzz", "btcore --help lists"),
    ):
        with pytest.raises(SystemExit) as caught:
            main([word])
        assert caught.value.code == USAGE
        assert expected in capsys.readouterr().err
