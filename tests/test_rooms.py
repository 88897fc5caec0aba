# SPDX-License-Identifier: GPL-3.0-or-later
"""The wings and rooms of the house: what may import what."""

import ast
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest
from house import CORE, WINGS, arrows, backward, circles, imports, rooms, wing
from packages import PACKAGES

import btcore
from btcore.cli import COMMANDS
from btcore.hookspecs import Hooks

ROOT = Path(__file__).parents[1]
PLUGINS = sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))

CONTRACT = {"btcore.journal", "btcore.journal.opening", "btcore.journal.partitions", "btcore.decode.packetless"}
"""For whoever writes a journal: what it promises, how it is opened, and what it keeps of a reading without a packet."""

PUBLIC = {"btcore", "btcore.light", "btcore.web", "btcore.serve", "btcore.sql", *CONTRACT}
"""What a plugin may import of the core."""


def is_private(module: str) -> bool:
    """Whether a module is a room of the core that is not public; a name in a public one is none."""
    return module.startswith("btcore.") and module.removeprefix("btcore.") in rooms() and module not in PUBLIC


MOST_ROOMS = 14
SQL_ROOMS = 18  # it stores, and it reads
"""About as many as a person keeps in mind."""


def test_every_folder_of_the_core_is_a_wing_on_the_road() -> None:
    """No wing is missing from the road, and none on it is gone."""
    assert {wing(room) for room in rooms()} == set(WINGS)


def test_the_core_s_imports_follow_the_data_and_never_go_back() -> None:
    """A wing of the core imports only itself and wings before it on the road of the data."""
    assert backward() == []


def test_no_rooms_import_each_other() -> None:
    """There is an order in which all rooms can be read: none needs one that needs it."""
    assert circles(arrows()) == []


def test_circles_are_found() -> None:
    """Rooms that import each other are found, however far round; those that only use them are not free either."""
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": set(), "e": {"d"}}) == ["a", "b", "c"]


def test_what_runs_against_the_road_is_found() -> None:
    """With the wings in the wrong order, imports are told."""
    assert "runtime.supervisor imports sources.worker" in backward(reversed(WINGS))


@pytest.mark.parametrize("name", WINGS[1:])
def test_a_wing_says_what_belongs_in_it(name: str) -> None:
    """A wing's docstring says in more than a line what belongs there; its rooms, but for one a command, are few."""
    docstring = ast.get_docstring(ast.parse(CORE.joinpath(*name.split("."), "__init__.py").read_text())) or ""
    assert len(docstring.splitlines()) > 1
    commands = {f"cli.{command.replace('-', '_')}" for command in COMMANDS}
    here = [room for room in rooms() if wing(room) == name and room not in {name, *commands}]
    assert len(here) <= (SQL_ROOMS if name == "sql" else MOST_ROOMS)


@pytest.mark.parametrize("plugin", PLUGINS, ids=lambda path: str(path.name))
def test_a_plugin_uses_nothing_of_the_core_but_its_public_names(plugin: Path) -> None:
    """The project's own plugins import names that `btcore` exports, and the public modules below it."""
    wrong = []
    for file in (plugin / "src").rglob("*.py"):
        wrong += [f"{file.name}: {m}" for m in imports(file) if is_private(m)]
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module == "btcore":
                wrong += [f"{file.name}: {name.name}" for name in node.names if name.name not in btcore.__all__]
    assert wrong == []


@pytest.mark.parametrize("plugin", PLUGINS, ids=lambda path: str(path.name))
def test_every_plugin_folder_has_the_same_shape(plugin: Path) -> None:
    """A plugin's folder has a pyproject, a README that shows its sample, the sample, typed sources and tests."""
    package = PACKAGES[plugin.name]
    sample = ["sample.toml"] if package.plugins else []  # a package of commands alone has no table
    expected = ["pyproject.toml", "README.md", *sample, f"src/{package.module}/py.typed", "tests"]
    assert [part for part in expected if not (plugin / part).exists()] == []


def test_every_hook_is_documented_with_its_exact_signature() -> None:
    """`docs/writing-a-plugin.md` shows each hook's signature as it is, so that nobody implements another."""
    page = (ROOT / "docs" / "writing-a-plugin.md").read_text().replace("\\|", "|")
    missing = []
    for name, hook in inspect.getmembers(Hooks, inspect.isfunction):
        signature = inspect.signature(hook)
        words = [str(value).replace("'", "") for key, value in signature.parameters.items() if key != "self"]
        returns = inspect.formatannotation(signature.return_annotation)
        shown = re.sub(
            r"\b(?:btcore|collections|threading)\.(?:\w+\.)*", "", f"{name}({', '.join(words)}) -> {returns}"
        )
        if f"`{shown}`" not in page:
            missing.append(shown)
    assert missing == []


def test_every_hook_s_docstring_says_when_it_is_called() -> None:
    """The first sentence of a hook's documentation says when it is called."""
    assert [
        name
        for name, hook in inspect.getmembers(Hooks, inspect.isfunction)
        if not (inspect.getdoc(hook) or "").startswith("Call")
    ] == []


def test_the_core_imports_no_library_that_only_plugins_need() -> None:
    """The core needs the standard library, attrs, pluggy, tomli and platformdirs; `web` and `testing` need more."""
    allowed = {"attrs", "pluggy", "tomli", "platformdirs", "btcore", *sys.stdlib_module_names}
    core = [file for room, file in rooms().items() if wing(room).partition(".")[0] not in {"web", "testing"}]
    assert {module.split(".")[0] for file in core for module in imports(file)} - allowed == set()


def test_nothing_of_the_core_imports_what_is_for_tests() -> None:
    """`btcore.testing` is for tests, and parts of it need pytest and hypothesis, so no other wing imports it."""

    def is_for_tests(room: str) -> bool:
        return wing(room).partition(".")[0] == "testing"

    assert [
        room for room, others in arrows().items() if any(map(is_for_tests, others)) and not is_for_tests(room)
    ] == []


RUN = """
import signal, sys
listening = lambda event, found: event == "socket.bind" and isinstance(found[1], tuple) and signal.raise_signal(15)
sys.addaudithook(listening)  # as soon as it listens, it is stopped
from btcore.cli import main
assert main(["run", "--quiet", "--config", sys.argv[1]]) == 0
print(*sys.modules)
"""

WHAT_ALL_NEED = (
    "tomli, binascii, bisect, copy, encodings.utf_8_sig, json, logging, pathlib, queue, signal, socket,"
    " sqlite3, struct, typing, urllib.parse, zlib"
)
"""What a run needs by any means, with what those import by themselves."""

WHAT_A_RUN_NEEDS = {"btmon_ip", "btmon_sqlite", "ctypes", "faulthandler", "fcntl", "gc", "mmap", "resource"}

LATER = {
    *("tariff", "findings", "discovered", "import_progress", "commands", "open_files", "cli.arguments"),
    *("config.toml_mistakes", "values.virtual_channels", "workers.devices", "workers.draining", "device.meters"),
    *("runtime.observation", "mending.commands", "mending.redelivery", "hook_trace", "status.report"),
    *("workers.changes", "workers.clock_sync", "workers.fitness", "workers.sharing", "runtime.names"),
    *("calculate.intervals", "calculate.plain", "calculate.samples", "sinks.request_work"),
    *("replay.history", "replay.letters", "replay.selection", "status.merged", "status.present"),
    *("measurement", "serial_names", "values.channel_hints"),
    *("sqlite_journal.salvage", "sqlite_journal.found_checkpoints"),
    *("sql.diagnosis", "sql.reader", "sql.retention", "sql.salvage", "sql.samples", "sql.table_reader"),
}
"""Rooms that most runs never enter."""

ELSEWHERE = {"capture", "device", "doctor", "imports", "polling", "serve", "testing", "virtual", "web"}
"""Wings of which most runs need nothing, but for the meters that were heard."""


def test_running_a_site_imports_only_what_it_uses(tmp_path: Path) -> None:
    """A site of tcp-server and sqlite imports what is on these lists; a further module costs every site."""
    site = tmp_path / "site.toml"
    source, sink = 'use = "tcp-server"\nhost = "127.0.0.1"\nport = 0', 'file = "energy.db"'
    site.write_text(f'state = "state"\n[source.panel]\n{source}\n[sink.sqlite]\n{sink}\n')
    unavoidable = _output(f"import sys, {WHAT_ALL_NEED}; print(*sys.modules)")
    found = set(_output(RUN, str(site)).split()) - set(unavoidable.split())
    entered = {name.removeprefix("btcore.") for name in found if name.startswith("btcore.")}
    others = {name.partition(".")[0] for name in found if not name.startswith("btcore")}
    assert {name for name in others if not name.startswith("_")} - WHAT_A_RUN_NEEDS == set()
    unused = {room for room in entered & rooms().keys() if wing(room).partition(".")[0] in ELSEWHERE}
    assert (entered & LATER) | (unused - {"device", "device.heard"}) == set()


def _output(code: str, *words: str) -> str:
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout
