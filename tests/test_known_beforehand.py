# SPDX-License-Identifier: GPL-3.0-or-later
"""What `btcore check` knows of the project's own plugins before anything runs: each with its place and words."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from btcore.config.load import load_site
from btcore.errors import ConfigurationError, Problem

SOURCE = '[source.panel]\nuse = "tcp-server"\n'
SINK = "[sink.print]\n"
PVO = '[sink.roof]\nuse = "pvoutput"\napi_key = "k3y"\nsystem_id = "1"\ngeneration = "01000777_ch1"\n'
EMON = '[sink.emoncms]\ntoken = "k3y"\n'


def twice(kind: str, plugin: str, one: str, other: str) -> str:
    """Return two tables of a plugin."""
    return "".join(f'[{kind}.{name}]\nuse = "{plugin}"\n{text}' for name, text in (("one", one), ("two", other)))


def found(folder: Path, text: str) -> tuple[list[Problem], list[Problem]]:
    """Return the mistakes and the warnings of a configuration."""
    (folder / "site.toml").write_text(text)
    try:
        return [], list(load_site(folder / "site.toml").warnings)
    except ConfigurationError as error:
        return list(error.problems), list(error.warnings)


@pytest.mark.parametrize(
    ("text", "key", "said"),
    [
        (
            twice("source", "tcp-server", "", "") + SINK,
            "port",
            "tcp port 8083 is already used by [source.one] (line 1); only one table can use it",
        ),
        (
            twice("source", "tcp-server", "", 'host = "127.0.0.1"\n') + SINK,
            "port",
            "tcp port 8083/127.0.0.1 is already used",
        ),
        (twice("source", "tcp-server", 'host = "0.0.0.0"\n', 'host = "::1"\n') + SINK, "port", "tcp port 8083/::1 is"),
        (
            twice("source", "tcp-server", 'host = "localhost"\n', 'host = "127.0.0.1"\n') + SINK,
            "port",
            "tcp port 8083/127.0.0.1 is already used",
        ),
        (
            twice("source", "tcp-client", 'host = "meter.local"\n', 'host = "Meter.local"\n') + SINK,
            "host",
            "tcp connection to meter.local:5000 is already used by [source.one]",
        ),
        (
            twice("source", "serial", 'port = "/dev/ttyS9"\n', 'port = "/dev/../dev/ttyS9"\n') + SINK,
            "port",
            "serial line /dev/ttyS9 is already used by [source.one]",
        ),
        (
            f'[source.tcp-client]\nhost = "m.local"\n[source.serial]\nport = "socket://M.local:5000"\n{SINK}',
            "port",
            "tcp connection to m.local:5000 is already used by [source.tcp-client]",
        ),
        (
            SOURCE + twice("sink", "sqlite", 'file = "energy.db"\n', 'file = "./energy.db"\n'),
            "file",
            "only one table can use it, unless each lists different `meters`",
        ),
        (
            SOURCE
            + twice(
                "sink",
                "sqlite",
                'file = "e.db"\ntable = "House"\n',
                'file = "e.db"\ntable = "house"\nschema = "ecmread"\n',
            ),
            "file",
            "table house of ",
        ),
        (
            SOURCE + twice("sink", "sqlite", 'file = "e.db"\n', 'file = "e.db"\ntable = "gem48ptbin_counters"\n'),
            "file",
            "table gem48ptbin_counters of ",
        ),
        (SOURCE + '[sink.sqlite]\nfile = "."\n', "file", "is a directory: name a file, such as "),
        (
            SOURCE + PVO + 'interval = "7m"\n',
            "interval",
            '7 min is no interval of PVOutput: set interval = "5m"',
        ),
        (
            SOURCE + PVO + "interval = 0\n",
            "interval",
            '0 min is no interval of PVOutput: set interval = "5m"',
        ),
        (
            SOURCE + PVO.replace("_ch1", "_t1"),
            "generation",
            "01000777_t1 is not such a channel: expected one such as 01000777_ch1",
        ),
        (
            f'[source.serial]\nport = "/dev/ttyS9"\nbaud = 19201\n{SINK}',
            "baud",
            "no serial port has 19201 baud: an ECM sends at 19200, a GEM at 19200 or 115200",
        ),
        (
            SOURCE + EMON + 'url = "https://emoncms.org/input/post?apikey=k3y"\n',
            "url",
            "the address contains a key: move it to `token`, which no log shows",
        ),
        (
            SOURCE + '[sink.thingspeak]\ntokens = { "399999" = "k3y" }\nurl = "https://t.example/?api_key=k3y"\n',
            "url",
            "the address contains a key: move it to `tokens`",
        ),
        (
            SOURCE + '[sink.plotwatt]\napi_key = "k3y"\nmap = { "01000777_t1" = "1" }\n',
            "map",
            "01000777_t1 does not measure power: expected a channel such as 01000777_ch1",
        ),
        (f"[source.tcp-server]\nport = 70000\n{SINK}", "port", "expected a whole number from 0 to 65535, found 70000"),
        (
            f'[source.tcp-client]\nhost = "x"\nport = 0\n{SINK}',
            "port",
            "expected a whole number from 1 to 65535, found 0",
        ),
        (f"[source.tcp-server]\nidle_timeout = 0\n{SINK}", "idle_timeout", "expected a duration above 0s, found 0s"),
        (f"[source.simulator]\nfault_rate = 2\n{SINK}", "fault_rate", "expected a number from 0 to 1, found 2"),
    ],
)
def test_a_mistake_that_can_be_known_is_told(tmp_path: Path, text: str, key: str, said: str) -> None:
    """One mistake, at its setting; no key in any of it."""
    (problem,), _ = found(tmp_path, text)
    assert (problem.key, said in problem.message) == (key, True), problem
    assert "k3y" not in str(problem)


OLD_NAMES = {
    "the site's": "{line}\n[source.simulator]\n[sink.print]\n",
    "every `[source.x]`": "[source.x]\nuse = 'simulator'\n{line}\n[sink.print]\n",
    "every `[sink.x]`": "[source.simulator]\n[sink.x]\nuse = 'print'\n{line}\n",
    "`tcp-server`, `tcp-client`, `serial`": "[source.x]\nuse = 'tcp-server'\n{line}\n[sink.print]\n",
    "the hosted services": "[source.simulator]\n[sink.x]\nuse = 'emoncms'\ntoken = 'k3y'\n{line}\n",
    "`tcp-client`, `serial`": "[source.x]\nuse = 'serial'\nport = '/dev/x'\n{line}\n[sink.print]\n",
}
"""A configuration with a line in a table, by what CHANGELOG.md calls the table."""


def renamed_settings() -> Iterator[tuple[str, str, str]]:
    """Yield what CHANGELOG.md tells of each renamed setting: its table, its old and its present name."""
    text = (Path(__file__).parents[1] / "CHANGELOG.md").read_text()
    rows = text.partition("| table | setting was | is |\n|---|---|---|\n")[2].partition("\n\n")[0]
    table = ""
    for row in rows.splitlines():
        named, was, now = (cell.strip() for cell in row.strip("|").split("|"))
        table = named or table
        yield from ((table, *pair) for pair in zip(*(re.findall(r"`(\w+)", cell) for cell in (was, now)), strict=True))


@pytest.mark.parametrize(("table", "was", "now"), list(renamed_settings()))
def test_each_old_name_is_reported_with_the_present_one(tmp_path: Path, table: str, was: str, now: str) -> None:
    """Every setting that CHANGELOG.md lists as renamed, in its table."""
    (problem,), _ = found(tmp_path, OLD_NAMES[table].format(line=f'{was} = "1m"'))
    assert (problem.key, problem.message) == (was, f"unknown setting; it is called {now} now")


@pytest.mark.parametrize(
    ("text", "key", "said"),
    [
        (f'[source.file]\npath = "capture.json"\n{SINK}', "path", "capture.json: the file does not exist"),
        (f'[source.file]\npath = "."\n{SINK}', "path", "this is a directory, not a capture"),
        (
            f'[source.serial]\nport = "/dev/ttyS9"\nbaud = 9600\n{SINK}',
            "baud",
            "no meter sends 9600 baud: an ECM sends at 19200, a GEM at 19200 or 115200, as it is set",
        ),
        (SOURCE + '[sink.sqlite]\nfile = "data/e.db"\n', "file", "/data does not exist, and btcore does not make it"),
        (
            SOURCE + '[sink.sqlite]\nfile = "/etc/btcore/e.db"\n',
            "file",
            "/etc/btcore/e.db is below /etc, where a service may not write; /var/lib/btcore/e.db would work",
        ),
    ],
)
def test_what_may_be_right_later_is_a_warning(tmp_path: Path, text: str, key: str, said: str) -> None:
    """It is told at its setting, and the configuration may run."""
    problems, (warning,) = found(tmp_path, text)
    assert problems == []
    assert (warning.key, said in warning.message) == (key, True), warning


@pytest.mark.parametrize(
    "text",
    [
        twice("source", "tcp-server", "", "port = 8084\n") + SINK,
        twice("source", "tcp-server", "port = 0\n", "port = 0\n") + SINK,
        twice("source", "tcp-server", 'host = "192.168.1.1"\n', 'host = "192.168.1.2"\n') + SINK,
        twice("source", "tcp-client", 'host = "a"\n', 'host = "b"\n') + SINK,
        twice("source", "tcp-client", 'host = "a"\n', 'host = "a"\nport = 5001\n') + SINK,
        twice("source", "serial", 'port = "/dev/ttyS8"\n', 'port = "/dev/ttyS9"\nbaud = 115200\n') + SINK,
        SOURCE + twice("sink", "sqlite", 'file = "a.db"\n', 'file = "b.db"\n'),
        SOURCE + twice("sink", "sqlite", 'file = "a.db"\n', 'file = "a.db"\nschema = "ecmread"\n'),
        SOURCE + twice("sink", "sqlite", 'file = "a.db"\nmeters = ["1"]\n', 'file = "a.db"\nmeters = ["2"]\n'),
        SOURCE + twice("sink", "print", "", 'interval = "1m"\n'),
        SOURCE + PVO + 'interval = "10m"\n',
        SOURCE + EMON + 'url = "https://emon.example/emoncms?v=1"\n',
    ],
)
def test_what_can_be_has_neither(tmp_path: Path, text: str) -> None:
    """Two tables of a kind that use different things, and settings that fit, are not remarked."""
    assert found(tmp_path, text) == ([], [])


def test_the_demonstration_starts_without_a_warning() -> None:
    """Its folder is there in a fresh checkout."""
    assert load_site(Path(__file__).parents[1] / "demo.toml").warnings == ()


VIRTUAL = SOURCE + SINK + '[channels]\n01000777_ch1 = "mains"\n01000777_p1 = "water"\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('house = { expression = "mains + solar" }', 'no such channel: "solar"; expected SERIAL_CHANNEL'),
        ('house = { expression = "mians" }', 'no such channel: "mians"; did you mean "mains"?'),
        ('house = { expression = "water" }', '"water" has no energy'),
        ('house = { expression = "mains * mains" }', "two channels cannot be multiplied"),
        ('house = { expression = "max(0, mains)" }', "counts import and export apart"),
        ('house = { expression = "ch2 + mains" }', '"ch2": which meter? Write SERIAL_ch2'),
        ("house = { expression = 5 }", "expected an expression of channels, as text"),
        ('a = { expression = "b" }\nb = { expression = "2 * a" }', "it is calculated of itself: a -> b -> a"),
        ('mains = { expression = "01000777_ch2" }', '"mains" is a channel, or the name of another one'),
        ('"a house" = { expression = "mains" }', "expected a name that begins with a letter"),
        ('house = { expression = "mains", unit = "L" }', "are for pulse counters"),
        ('house = { expression = "mains", colour = 1 }', "unknown"),
    ],
)
def test_a_virtual_channel_that_cannot_be_is_told(text: str, said: str, tmp_path: Path) -> None:
    """A mistake in an expression is told with its channel, and with what was expected."""
    mistakes, _ = found(tmp_path, f"{VIRTUAL}{text}\n")
    assert any(said in mistake.message for mistake in mistakes), [mistake.message for mistake in mistakes]
    assert {mistake.table for mistake in mistakes} == {"[channels]"} or all("channels" in str(one) for one in mistakes)


def test_a_virtual_channel_of_others_has_their_parts(tmp_path: Path) -> None:
    """An expression may name another virtual channel, wherever in the file that stands."""
    text = 'rest = { expression = "house - 2 * 01000777_ch2" }\nhouse = { expression = "mains + 01000777_ch3" }\n'
    (tmp_path / "site.toml").write_text(VIRTUAL + text)
    rest, house = load_site(tmp_path / "site.toml").virtual_channels
    assert {label: int(factor) for (_, label), factor in rest.terms.factors.items()} == {"ch1": 1, "ch3": 1, "ch2": -2}
    assert house.name == "house"
