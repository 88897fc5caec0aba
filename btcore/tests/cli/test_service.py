# SPDX-License-Identifier: GPL-3.0-or-later
"""`btcore service print`: a unit, a Dockerfile and a compose file, as systemd and others want them."""

import re
import shutil
import subprocess
from configparser import RawConfigParser
from pathlib import Path

import pytest
from helpers.needed import needs

from btcore.cli import main
from btcore.cli.service import fill_unit, packaged_file

VERIFYING = needs("" if shutil.which("systemd-analyze") else "systemd is not installed: apt install systemd")


def printed(capsys: pytest.CaptureFixture[str], *options: str) -> str:
    """Return what the command prints."""
    assert main(["service", "print", *options]) == 0
    return capsys.readouterr().out


def settings(unit: str) -> dict[str, str]:
    """Return the settings of a unit's section [Service], the last of each."""
    parser = RawConfigParser(strict=False)
    parser.optionxform = lambda optionstr: optionstr  # type: ignore[method-assign]
    parser.read_string(unit)
    return dict(parser["Service"])


@pytest.mark.parametrize("name", ["btcore.service", "btcore-user.service"])
def test_a_unit_says_what_the_program_promises(name: str) -> None:
    """It is ready when it says so, has a watchdog, is reloaded by the command, and is not started again in vain."""
    unit = settings(packaged_file(name))
    assert (unit["Type"], unit["RestartPreventExitStatus"], unit["Restart"]) == ("notify", "2 78", "on-failure")
    assert unit["ExecStart"].replace(" run ", " reload ") == unit["ExecReload"]
    assert unit["WatchdogSec"]
    assert unit.get("User", "btcore") != "root"


def test_a_unit_names_the_program_and_the_configuration(tmp_path: Path) -> None:
    """The program that prints it is the one that it runs; blanks and percent signs are as systemd reads them."""
    text = fill_unit(
        packaged_file("btcore.service"), "btcore.service", Path("/srv/my env/btcore"), tmp_path / "50%.toml"
    )
    assert settings(text)["ExecStart"] == f'"/srv/my env/btcore" run {tmp_path}/50%%.toml'
    assert fill_unit(packaged_file("btcore.service"), "btcore.service", None, None) == packaged_file("btcore.service")


def test_the_command_prints_each_file(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Each option prints its own file; --config is for units."""
    assert "User=btcore" in printed(capsys)
    assert "default.target" in printed(capsys, "--user", "--config", str(tmp_path / "my.toml"))
    assert printed(capsys, "--dockerfile") == packaged_file("Dockerfile")
    assert printed(capsys, "--compose") == packaged_file("compose.yaml")
    with pytest.raises(SystemExit, match="2"):
        main(["service", "print", "--compose", "--config", "site.toml"])


INSTRUCTIONS = {"FROM", "ARG", "RUN", "ENV", "VOLUME", "WORKDIR", "USER", "EXPOSE", "HEALTHCHECK", "ENTRYPOINT", "CMD"}


def test_the_dockerfile_has_known_instructions_and_is_not_root_s() -> None:
    """Each line is an instruction, the program runs as a user with a number that is not 0, and state is a volume."""
    text = re.sub(r"\\\n", "", re.sub(r"^#.*\n", "", packaged_file("Dockerfile"), flags=re.MULTILINE))
    lines = [line.split(maxsplit=1) for line in text.splitlines() if line]
    assert {word for word, _ in lines} <= INSTRUCTIONS
    assert lines[0][0] == "FROM"
    last = dict((word, rest) for word, rest in lines)  # noqa: C402 - a list of two
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", last["USER"])
    assert [word for word, _ in lines].index("RUN") < [word for word, _ in lines].index("USER")
    assert (last["VOLUME"], last["ENTRYPOINT"]) == ('["/var/lib/btcore"]', '["btcore"]')
    assert ":latest" not in last["FROM"]


def test_the_compose_file_takes_away_what_is_not_needed() -> None:
    """No capabilities, no new privileges, nothing writable but the state; and time to finish the work in progress."""
    text = packaged_file("compose.yaml")
    wanted = ["read_only: true", "cap_drop: [ALL]", "no-new-privileges:true", "stop_grace_period: 45s"]
    assert [one for one in wanted if one not in text] == []
    assert "\t" not in text
    assert "privileged: true" not in text


@pytest.mark.servers
@VERIFYING
@pytest.mark.parametrize("options", [(), ("--user",)], ids=str)
def test_systemd_takes_the_unit(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]
) -> None:
    """`systemd-analyze verify` finds nothing wrong in it."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    unit = tmp_path / "btcore.service"
    # /bin/true: where the tests run, there may be no program of that name
    unit.write_text(re.sub(r"(?<=Exec)(Start|Reload)=\S+", r"\1=/bin/true", printed(capsys, *options)))
    command = ["systemd-analyze", *options, "verify", str(unit)]
    found = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (found.returncode, found.stdout, found.stderr) == (0, "", "")


MOST_EXPOSED = 2.0
"""Of 10: what systemd calls OK."""


@pytest.mark.servers
@VERIFYING
def test_the_unit_exposes_little(tmp_path: Path) -> None:
    """`systemd-analyze security` gives it a small number."""
    unit = tmp_path / "btcore.service"
    unit.write_text(packaged_file("btcore.service"))
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager", str(unit)]
    found = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    level = re.search(r"Overall exposure level for btcore.service: ([\d.]+)", found)
    assert level is not None
    assert float(level[1]) <= MOST_EXPOSED
