"""The rooms of the house: what may import what."""

import ast
import inspect
import re
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
    ("version", "errors", "formats", "schemas", "limits", "outcome", "logs", "positions"),
    ("records", "settings", "polling"),
    ("capture", "hookspecs", "framing", "calculate", "journal"),
    ("brultech", "sqlite_journal", "sampling", "decoders", "discovery"),
    ("configuration",),
    ("collection", "delivery"),
    ("supervisor",),
    ("cli",),
)
"""The modules along the road of the data: each may import what is on its own step or before it, never after."""


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


STEPS = {name: step for step, names in enumerate(ROAD) for name in names}


def test_the_core_s_imports_follow_the_data_and_never_go_back() -> None:
    """A module of the core imports only what comes before it on the road of the data."""
    back = [
        f"{file.relative_to(CORE)} imports {module}"
        for file in CORE.rglob("*.py")
        if file.name not in ("__init__.py", "__main__.py") or file.parent.name == "cli"
        for module in imports(file)
        if module.startswith("btcore.")
        and STEPS.get(room(module)) is not None
        and STEPS.get(_own(file)) is not None
        and STEPS[room(module)] > STEPS[_own(file)]
    ]
    assert back == []


def _own(file: Path) -> str:
    inside = file.relative_to(CORE)
    return inside.parts[0].removesuffix(".py")


@pytest.mark.parametrize("plugin", PLUGINS, ids=lambda path: str(path.name))
def test_a_plugin_uses_nothing_of_the_core_but_its_public_names(plugin: Path) -> None:
    """The project's own plugins import from `btcore` alone, and only names that it exports: no private path."""
    wrong = []
    for file in (plugin / "src").rglob("*.py"):
        wrong += [f"{file.name}: {module}" for module in imports(file) if module.startswith("btcore.")]
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
    """The core's modules import the standard library, attrs, pluggy, tomli and platformdirs, and nothing else."""
    allowed = {"attrs", "pluggy", "tomli", "platformdirs", "btcore", *sys.stdlib_module_names}
    found = {module.split(".")[0] for file in CORE.rglob("*.py") for module in imports(file)}
    assert found - allowed == set()
