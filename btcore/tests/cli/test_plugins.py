# SPDX-License-Identifier: GPL-3.0-or-later
"""`btcore plugins`, as a user and a program call it."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import tomli
from helpers.config_plugins import site_loader
from helpers.distributions import install_distribution

from btcore.cli import OK, UNAVAILABLE, main

ROOMY = """
    from btcore import Secret, hookimpl, plugin, setting

    @plugin(api=1)
    class Roomy:
        '''Does both.

        At length.
        '''

        where: str = setting(help="the place", example="cellar")
        key: Secret = setting(default=Secret("hush"), help="the key")
        colour: str = setting(default="red", help="which one", choices=("red", "blue"))

        @hookimpl
        def collect(self, stop):
            return iter(())

        @hookimpl
        def process_batch(self, batch):
            pass
"""


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Install the wares, and a plugin that is a source and a sink."""
    site_loader(tmp_path, monkeypatch)
    install_distribution(tmp_path, "roomy-plugin", ROOMY, {"roomy": "Roomy"}, version="2.0")
    install_distribution(tmp_path, "bomb", "raise SystemExit(3)", {"bomb": "Bomb"})
    return tmp_path


def listed(capsys: pytest.CaptureFixture[str], *words: str) -> list[dict[str, Any]]:
    """Return what is listed as JSON."""
    main(["plugins", *words, "--json"])
    made: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return made


def test_every_installed_plugin_is_listed(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The listing has each plugin with what it can be, where it is from, and what it says of itself in a line."""
    assert main(["plugins"]) == OK
    rows = {line.split()[0]: " ".join(line.split()[1:]) for line in capsys.readouterr().out.splitlines()}
    assert rows["roomy"] == "source sink roomy-plugin 2.0 Does both."
    assert rows["NAME"] == "KIND FROM WHAT IT DOES"


def test_a_broken_plugin_is_listed_with_the_reason(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A plugin that cannot be loaded, or whose settings cannot be read, is listed as broken, and no other with it."""
    install_distribution(shop, "rival", ROOMY, {"tap": "Roomy"})
    errors = {str(one["name"]): str(one["error"]) for one in listed(capsys) if one["error"]}
    assert sorted(errors) == ["bomb", "strange", "tap", "undelivered", "vague"]
    assert "cannot be imported (SystemExit: 3)" in errors["bomb"]
    assert "cannot read its settings (TypeError" in errors["strange"]
    assert "is provided by" in errors["tap"]
    assert main(["plugins"]) == OK
    assert 'broken: plugin "bomb" of bomb 1.0 cannot be imported' in capsys.readouterr().out


def test_the_list_as_json_has_a_stable_shape(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each plugin is an object of the same six keys."""
    found = listed(capsys)
    assert {tuple(one) for one in found} == {("name", "kinds", "distribution", "version", "summary", "error")}
    assert next(one for one in found if one["name"] == "roomy") == {
        "name": "roomy",
        "kinds": ["source", "sink"],
        "distribution": "roomy-plugin",
        "version": "2.0",
        "summary": "Does both.",
        "error": None,
    }


def test_one_plugin_as_json_has_its_settings(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A named plugin has its settings and those of the core; a secret's default is not told."""
    (one,) = listed(capsys, "roomy")
    place, key, colour = one["settings"]
    assert place == {
        "name": "where",
        "type": "text",
        "default": None,
        "required": True,
        "help": "the place",
        "choices": [],
    }
    assert (key["type"], key["default"]) == ("secret text", "***")
    assert colour["choices"] == ["red", "blue"]
    core = one["core_settings"]
    assert ([entry["name"] for entry in core["source"]], core["sink"][0]["name"]) == (
        [
            "formats",
            "clock",
            "meters",
            "serial",
            "max_new_meters_per_day",
            "max_packets_per_second",
            "sync_clock",
            "min_backoff",
            "max_backoff",
        ],
        "interval",
    )


def test_one_plugin_is_told_with_its_settings_and_an_example(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A named plugin is told with type, default and help of each setting, the core's apart, and tables to copy."""
    assert main(["plugins", "roomy"]) == OK
    told = capsys.readouterr().out
    assert "hush" not in told
    rows = [" ".join(line.split()) for line in told.splitlines()]
    assert "where text (required) the place" in rows
    assert 'colour text "red" which one (one of red, blue)' in rows
    assert "Further settings of every sink:" in rows
    example = told.partition("Example for site.toml, as a sink:")[2]
    assert tomli.loads(example) == {"sink": {"roomy": {"where": "cellar"}}}


def test_a_plugin_that_is_not_installed_is_told(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Asking for a plugin that is not there says what may be meant, with the exit code for what is not to be had."""
    assert main(["plugins", "rommy"]) == UNAVAILABLE
    told = capsys.readouterr()
    assert (told.out, told.err) == ("", 'btcore: no plugin "rommy" is installed; did you mean "roomy"?\n')


def test_a_broken_plugin_that_is_asked_for_is_told(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Asking for a plugin that cannot be loaded says why, and that it is not to be had."""
    assert main(["plugins", "bomb"]) == UNAVAILABLE
    assert capsys.readouterr().out.startswith("bomb: broken: plugin")


SLOPPY = """
    from btcore import hookimpl, plugin, setting

    @plugin(api=1)
    class Sloppy:
        password: str = setting(default="", help="a word")
        port: int = 7

        @hookimpl
        def process_batch(self, batch):
            pass

        def close(self):
            pass

    @plugin(api=1)
    class Typo:
        '''Has a hook that there is not.'''

        @hookimpl
        def proces_batch(self, batch):
            pass

    class Plain:
        pass
"""


def test_check_says_what_is_wrong_with_each_plugin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each plugin is loaded: one without a fault is ok, each fault of another is a line, and the exit code says it."""
    monkeypatch.syspath_prepend(str(tmp_path))
    install_distribution(tmp_path, "sloppy", SLOPPY, {"sloppy": "Sloppy", "typo": "Typo", "plain": "Plain"})
    install_distribution(tmp_path, "bomb", "raise SystemExit(3)", {"bomb": "Bomb"})
    install_distribution(tmp_path, "rival", SLOPPY, {"print": "Sloppy"})
    assert main(["plugins", "--check"]) == UNAVAILABLE
    lines = capsys.readouterr().out.splitlines()
    assert "brultech: ok" in lines
    for fault in (
        "sloppy: the class has no docstring",
        "sloppy: the method `close` is not decorated with @hookimpl, so it is never called",
        "sloppy: the field `port` is no setting: declare it with setting(help=...)",
        "sloppy: the setting `password` is a plain text, which logs and listings show: its type should be Secret",
        'typo: plugin "typo" of sloppy 1.0 has a hook that btcore does not know: "proces_batch"',
        'plain: plugin "plain" of sloppy 1.0 is not a plugin',
        'bomb: plugin "bomb" of bomb 1.0 cannot be imported (SystemExit: 3)',
        'print: the plugin "print" is provided by',
    ):
        assert any(line.startswith(fault) for line in lines), fault


RUDE = """
    import threading

    from btcore import hookimpl, plugin

    print("hello")
    over = threading.Event()
    threading.Thread(target=over.wait, name="the postman", daemon=True).start()


    @plugin(api=1)
    class Rude:
        '''Is rude.'''

        @hookimpl
        def process_batch(self, batch):
            pass
"""


def test_check_says_what_a_plugin_does_when_it_is_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A plugin that prints, starts threads or does not return when it is imported is told so, and holds nobody up."""
    monkeypatch.setattr("btcore.cli.looking.PATIENCE", 3.0)
    monkeypatch.syspath_prepend(str(tmp_path))
    rude = install_distribution(tmp_path, "rude", RUDE, {"rude": "Rude", "odd name": "Rude", "ok": "Rude"})
    sleeping = install_distribution(tmp_path, "sleeping", "import threading\nthreading.Event().wait()", {"asleep": "A"})
    absent = install_distribution(tmp_path, "absent", "", {"absent": "Absent"})
    assert main(["plugins", "--check", "--json"]) == UNAVAILABLE
    faults = {one["name"]: one["faults"] for one in json.loads(capsys.readouterr().out)}
    sys.modules[rude].over.set()
    assert faults["asleep"] == [
        "it has not been imported within 3 s: a module declares, and the hook `open` does the work"
    ]
    assert faults["odd name"] == [
        "its name 'odd name' cannot stand in [sink.NAME] as it is: use at most 40 ASCII letters, digits and hyphens",
        "it prints when it is imported (hello): use `context.log`, or print nothing",
        "it starts threads when it is imported (the postman): start them in the hook `open`",
    ]
    assert (faults["ok"], faults["brultech"]) == ([], [])
    assert f"its entry point is {absent}:Absent" in faults["absent"][0]
    sys.modules.pop(sleeping, None)
    assert main(["plugins"]) == OK
    assert "broken: it has not been imported within 3 s" in capsys.readouterr().out


def test_check_of_one_plugin(capsys: pytest.CaptureFixture[str]) -> None:
    """With a name, that plugin alone is loaded; as JSON, its faults are a list."""
    assert main(["plugins", "--check", "sqlite"]) == OK
    assert capsys.readouterr().out == "sqlite: ok\n"
    assert main(["plugins", "--check", "sqlite", "--json"]) == OK
    (found,) = json.loads(capsys.readouterr().out)
    assert (found["name"], found["distribution"], found["faults"]) == ("sqlite", "btmon-sqlite", [])


def test_all_our_own_plugins_pass_the_check(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is wrong with what this project declares."""
    assert main(["plugins", "--check"]) == OK
    assert [line for line in capsys.readouterr().out.splitlines() if not line.endswith(": ok")] == []
