"""The rooms of the house: what may import what."""

import ast
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import btcore
from btcore.hookspecs import Hooks

ROOT = Path(__file__).parents[1]
CORE = ROOT / "btcore" / "src" / "btcore"
PLUGINS = sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))

ROAD = (
    "version errors formats origin journal clocks wording tally text signals",
    "telnet hextext pcap slips predecessor variables",
    "owner",
    "redaction log_queue moderation process positions",
    "logs",
    "sqlite_keys sqlite_meters sqlite_retention sqlite_room outcome further_channels schemas records settings nested",
    "segments findings mismatch limits patience preview web",
    "again answers bounds capture channel_hints device_clock hookspecs framing passage durations",
    "complaints references validation whole_readings",
    "links reporting",
    "energy",
    "admission calculate lifetime notices silence",
    "chain",
    "chains intake",
    "brultech channels sqlite_journal sampling decoders discovery conversion",
    "recognition respondents claims",
    "meters polling destinations describe parts hosting fruitless inspection",
    "identity",
    "example fingerprint tables",
    "place",
    "configuration",
    "named",
    "backlog collection refused roll trial unwanted upkeep",
    "calls",
    "delivery",
    "purpose",
    "supervisor",
    "cli",
)
"""The rooms along the road of the data: each may import those of its own step and of steps before it, never after."""

PUBLIC = {"btcore", "btcore.web"}
"""What a plugin may import of the core."""


def imports(file: Path) -> Iterator[str]:
    """Yield the modules that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def room(module: str) -> str:
    """Return the room of the core that a module belongs to: `btcore.cli.run` is in `cli`."""
    return module.split(".")[1]


STEPS = {name: step for step, names in enumerate(ROAD) for name in names.split()}


def own_room(file: Path) -> str:
    """Return the room that a file of the core belongs to."""
    return file.relative_to(CORE).parts[0].removesuffix(".py")


ROOMS = [file for file in CORE.rglob("*.py") if not own_room(file).startswith("__")]


def test_every_room_of_the_core_has_its_place_on_the_road() -> None:
    """No module is missing from the road, and none on it is gone."""
    assert {own_room(file) for file in ROOMS} == set(STEPS)


def test_the_core_s_imports_follow_the_data_and_never_go_back() -> None:
    """A module of the core imports only what comes before it on the road of the data."""
    back = [
        f"{file.relative_to(CORE)} imports {module}"
        for file in ROOMS
        for module in imports(file)
        if module.startswith("btcore.") and STEPS[room(module)] > STEPS[own_room(file)]
    ]
    assert back == []


@pytest.mark.parametrize("plugin", PLUGINS, ids=lambda path: str(path.name))
def test_a_plugin_uses_nothing_of_the_core_but_its_public_names(plugin: Path) -> None:
    """The project's own plugins import from `btcore` (names that it exports) and `btcore.web`: no private path."""
    wrong = []
    for file in (plugin / "src").rglob("*.py"):
        wrong += [f"{file.name}: {m}" for m in imports(file) if m.startswith("btcore.") and m not in PUBLIC]
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module == "btcore":
                wrong += [f"{file.name}: {name.name}" for name in node.names if name.name not in btcore.__all__]
    assert wrong == []


@pytest.mark.parametrize("plugin", PLUGINS, ids=lambda path: str(path.name))
def test_every_plugin_folder_has_the_same_shape(plugin: Path) -> None:
    """A plugin's folder has a pyproject, a README that shows its sample, the sample, typed sources and tests."""
    package = plugin.name.replace("-", "_")
    expected = ["pyproject.toml", "README.md", "sample.toml", f"src/{package}/py.typed", "tests"]
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
    """The core needs the standard library, attrs, pluggy, tomli and platformdirs; only `btcore.web` needs requests."""
    allowed = {"attrs", "pluggy", "tomli", "platformdirs", "btcore", *sys.stdlib_module_names}
    found = {module.split(".")[0] for file in ROOMS if own_room(file) != "web" for module in imports(file)}
    assert found - allowed == set()


def test_running_a_site_imports_only_what_it_uses(tmp_path: Path) -> None:
    """A site without uploaders imports neither requests nor pyserial nor any plugin that it does not name."""
    site = tmp_path / "site.toml"
    site.write_text('state = "state"\n[source.file]\npath = "capture"\n[sink.sqlite]\nfile = "energy.db"\n')
    (tmp_path / "capture").write_bytes(b"")
    code = (
        "import sys; from btcore.cli import main; main(['run', '--once', '--config', sys.argv[1]]);"
        "print(*[name for name in ('requests', 'serial', 'rich', 'btmon_ip', 'btmon_print') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(site)], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
