# SPDX-License-Identifier: GPL-3.0-or-later
"""`btcore init`: what it writes loads, as it is and with everything switched on."""

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
import tomli
from helpers.config_plugins import site_loader
from helpers.distributions import install_distribution

from btcore.cli import OK, UNAVAILABLE, USAGE, init, main
from btcore.cli.init import site_text
from btcore.config.load import load_site
from btcore.config.site import Site
from btcore.discovery import installed

OFFERED = ("btcore", "btmon-ip", "btmon-print", "btmon-serial", "btmon-simulator", "btmon-sqlite", "many")

MANY = """
    from pathlib import Path
    from typing import Literal
    from btcore import ChannelRef, Duration, Secret, hookimpl, plugin, setting

    @plugin(api=1)
    class Many:
        '''Has every type.'''

        text: str = setting(help="a text")
        number: int = setting(help="a number")
        share: float = setting(help="a share")
        flag: bool = setting(help="a flag")
        wait: Duration = setting(help="a wait")
        key: Secret = setting(help="a key")
        token: Secret = setting(help="a token", example="MY_TOKEN")
        path: Path = setting(help="a path")
        channel: ChannelRef = setting(help="a channel")
        mode: Literal["a", "b"] = setting(help="a mode")
        texts: list[str] = setting(help="texts")
        modes: tuple[Literal["a", "b"], ...] = setting(help="modes")
        names: dict[ChannelRef, str] = setting(help="names")
        sizes: dict[str, int] = setting(help="sizes")
        other: ChannelRef | None = setting(default=None, help="a channel", example="399999_ch2")
        maybe: Duration | None = setting(default=None, help="perhaps")
        colour: str = setting(help="a colour", choices=("red", "blue"))
        colours: list[str] = setting(help="colours", choices=("red", "blue"))
        told: str = setting(help="told", example="12")
        listed: list[str] = setting(help="listed", example='["x"]')
        count: int = setting(help="counted", example="12")
        usual: dict[str, int] = setting(factory=lambda: {"a": 1}, help="a usual table")
        wide: Duration = setting(default=Duration(90), help="a usual wait")
        where: Path = setting(default=Path("x.db"), help="a usual path")
        roof: ChannelRef = setting(default=ChannelRef("", "ch1"), help="a usual channel")
        secret: Secret = setting(default=Secret("hush"), help="a usual secret")
        made: str = setting(factory=lambda: 'a "quoted" \\\\ text', help="made")

        @hookimpl
        def process_batch(self, batch):
            pass
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in an empty directory, beside which a plugin with every type of setting is installed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    install_distribution(tmp_path, "many", MANY, {"many": "Many"})
    return tmp_path


def switched_on(text: str) -> str:
    """Take away the # of all that is switched off."""
    return re.sub(r"(?m)^#(?=\S)", "", text)


def text_of(*wanted: str) -> str:
    """Return what is written where the default set and Many are installed."""
    among = {name: found for name, found in installed().items() if found[0].distribution in OFFERED}
    return site_text(wanted, among)


def loaded(folder: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> Site:
    """Load a text, with each variable that it names set."""
    for name in re.findall(r'env = "(\w+)"', text):
        monkeypatch.setenv(name, "1234567890")
    (folder / "made.toml").write_text(text)
    return load_site(folder / "made.toml")


def test_the_usual_plugins_are_on_and_the_file_loads(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A TCP server and the SQLite file are switched on; the file loads, and the next command is told."""
    assert main(["init"]) == OK
    site = load_site(Path("site.toml"))
    assert [source.plugin for source in site.sources] == ["tcp-server"]
    assert [sink.plugin for sink in site.sinks] == ["sqlite"]
    told = capsys.readouterr()
    assert (told.out, told.err) == ("", "wrote site.toml. Next: btcore check site.toml\n")


@pytest.mark.parametrize(("options", "sinks"), [([], ["print", "sqlite"]), (["sqlite"], ["sqlite"])])
def test_printing_is_on_where_there_is_a_terminal(folder: Path, options: list[str], sinks: list[str]) -> None:
    """Who sits at a terminal sees the readings; a service has none, and would fill its log."""
    ours, theirs = pty.openpty()
    try:
        subprocess.run([sys.executable, "-m", "btcore", "init", *options], stdout=theirs, timeout=60, check=True)
    finally:
        os.close(ours)
        os.close(theirs)
    assert sorted(sink.plugin for sink in load_site(Path("site.toml")).sinks) == sinks


def test_a_service_s_files_are_where_it_may_write(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A configuration below /etc has its database below /var/lib, and prints nothing, whoever sits at a terminal."""
    monkeypatch.setattr(init, "SYSTEM", folder)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert main(["init", "--output", str(folder / "site.toml")]) == OK
    text = Path("site.toml").read_text()
    assert '\nfile = "/var/lib/btcore/energy.db"\n' in text
    assert "\n#[sink.print]\n" in text
    assert '\nfile = "energy.db"\n' in text_of()


def test_everything_switched_on_loads(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With every table and setting of every installed plugin switched on, the file has no mistake."""
    site = loaded(folder, switched_on(text_of()), monkeypatch)
    assert {"many", "print", "sqlite"} <= {sink.plugin for sink in site.sinks}
    assert site.channels == {"399999_ch1": "solar"}


def test_settings_that_are_switched_on_have_their_defaults(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is switched off shows the default, or the example that the plugin gives where there is none."""
    text = text_of("many")
    plain, full = (loaded(folder, written, monkeypatch) for written in (text, switched_on(text)))
    many = [next(vars(sink.instance) for sink in site.sinks if sink.plugin == "many") for site in (plain, full)]
    assert many[0].pop("other") is None
    assert str(many[1].pop("other")) == "399999_ch2"
    assert many[0] == many[1]


def test_the_plugins_that_are_asked_for_are_on(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A named plugin is switched on in place of the usual ones of its kind."""
    site = loaded(folder, text_of("many"), monkeypatch)
    assert [sink.plugin for sink in site.sinks] == ["many"]
    assert [source.plugin for source in site.sources] == ["tcp-server"]


def test_no_secret_is_written(folder: Path) -> None:
    """A default that is a secret is not written."""
    assert "hush" not in text_of("many")


def test_it_goes_to_standard_output_on_request(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With - the text goes to standard output, and no file is written."""
    assert main(["init", "--output", "-"]) == OK
    assert capsys.readouterr().out == site_text([], installed())
    assert not Path("site.toml").exists()


def test_a_file_that_is_there_is_not_written_over(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that is there stays as it is without --force, and is written anew with it."""
    Path("site.toml").write_text("mine")
    assert main(["init"]) == USAGE
    assert (Path("site.toml").read_text(), "--force" in capsys.readouterr().err) == ("mine", True)
    assert main(["init", "--force"]) == OK
    assert Path("site.toml").read_text() == site_text([], installed())


def test_a_place_that_cannot_be_written_is_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A directory that is not there is told with the system's words."""
    assert main(["init", "--output", "no/site.toml"]) == UNAVAILABLE
    assert capsys.readouterr().err == "btcore: cannot write no/site.toml: No such file or directory\n"


@pytest.mark.parametrize(("name", "said"), [("mnay", 'did you mean "many"?'), ("strange", "cannot read its settings")])
def test_a_plugin_that_cannot_be_switched_on_is_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, said: str
) -> None:
    """A plugin that is not installed or is broken is told when it is asked for, and nothing is written."""
    site_loader(folder, monkeypatch)
    assert main(["init", name]) == UNAVAILABLE
    assert (said in capsys.readouterr().err, Path("site.toml").exists()) == (True, False)


def test_broken_plugins_are_left_out(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A broken plugin that nobody asked for does not disturb the rest."""
    site_loader(folder, monkeypatch)
    assert "[sink.strange]" not in site_text([], installed())


HOSTILE = """
    import math
    from btcore import hookimpl, plugin, setting

    @plugin(api=1)
    class Hostile:
        "Steers\\x1b[2J\\u202e\\u2028a terminal."

        text: str = setting(default="a\\x7f\\x9bb\\ud800", help="broken\\n[sink.print]\\r\\x00x = 1")
        given: str = setting(help="given", example="'a'\\n[sink.other]\\nuse = 'print'")
        number: int = setting(help="a number", example="1\\ny = 2")
        share: float = setting(default=math.inf, help="a share")
        größe: str = setting(default="x", help="a name that TOML has to quote")
        choice: str = setting(help="chosen", choices=("one\\ntwo", "three"))

        @hookimpl
        def process_batch(self, batch):
            pass
"""


@pytest.fixture
def hostile(folder: Path) -> str:
    """Install a plugin whose name and texts would break a file; return its name."""
    install_distribution(folder, "hostile", HOSTILE, {"odd name.x": "Hostile"})
    return "odd name.x"


def test_no_text_of_a_plugin_writes_a_line_of_its_own(hostile: str) -> None:
    """Whatever a plugin is called and says, the file is valid TOML, also all switched on, with its table alone."""
    among = {hostile: installed()[hostile]}
    for text in (site_text([hostile], among), switched_on(site_text([hostile], among))):
        tables = tomli.loads(text)
        assert list(tables["sink"]) == [hostile]
        assert {"given", "number", "choice"} <= set(tables["sink"][hostile])
        assert "y" not in tables["sink"][hostile]
        assert not set(text) & set("\x00\x1b\x7f\x9b\u202e\u2028\ud800\r")
    assert tables["sink"][hostile]["größe"] == "x"


def test_no_text_of_a_plugin_steers_a_terminal(hostile: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What is listed of a plugin is plain, each row one line."""
    assert main(["plugins"]) == OK
    assert main(["plugins", hostile]) == OK
    shown = capsys.readouterr().out
    assert not set(shown) & set("\x00\x1b\x7f\x9b\u202e\u2028\ud800\r")
    assert not any(line.startswith("[sink.print]") for line in shown.splitlines())
