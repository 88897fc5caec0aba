# SPDX-License-Identifier: GPL-3.0-or-later
"""`btcore new-plugin`: writes the distribution of a plugin, to be changed: class, settings, tests, README, sample, CI.

The files are those of `templates/`, with names in place of `@NAME@` and the like; only this command reads them.
"""

import argparse
import builtins
import re
import shlex
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path

from btcore.cli import OK, write_lines
from btcore.discovery import DISTRIBUTIONS
from btcore.errors import Unavailable
from btcore.text import plain
from btcore.version import __version__

KINDS = {
    "sink": "Sends each sample as JSON to a web address",
    "source": "Reads what a gateway sends over TCP",
    "decoder": "Decodes a meter's lines of text",
}
"""The kinds, and what the plugin of each does as it is written."""

NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
MAX_NAME = 20
PREFIX = "btmon-"

FILES: Mapping[str, str] = {
    "common/pyproject.toml": "pyproject.toml",
    "common/LICENSE": "LICENSE",
    "common/ci.yml": ".github/workflows/ci.yml",
    "common/gitignore": ".gitignore",
    "README.md": "README.md",
    "sample.toml": "sample.toml",
    "module.py": "src/{module}/__init__.py",
    "test_module.py": "tests/test_{name}.py",
}
"""The files of a distribution, by the template of each: those of its kind, and those that all kinds have in common."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument(
        "name", metavar="NAME", help="what a site.toml calls the plugin: small letters, digits, hyphens"
    )
    parser.add_argument("--kind", choices=list(KINDS), default="sink", help="what it is (default: sink)")
    parser.add_argument("--dir", type=Path, metavar="DIR", help="the folder to write (default: ./btmon-NAME)")


def main(args: argparse.Namespace) -> int:
    """Write the files, and list them. Raises Unavailable."""
    name = args.name.removeprefix(PREFIX)
    if wrong := name_problem(name):
        args.usage(wrong)
    folder = args.dir or Path(f"{PREFIX}{name}")
    files = dict(distribution_files(name, args.kind))
    write_files(folder, files)
    write_lines(plain(str(folder / file)) for file in files)
    enter = f"cd {shlex.quote(plain(str(folder)))}"
    write_lines(["", "Next:", f"  {enter} && python3 -m venv .venv && .venv/bin/pip install -e '.[test]'",
                 "  .venv/bin/pytest"])  # fmt: skip
    return OK


def name_problem(name: str) -> str:
    """Return what is wrong with the name of a plugin, or ""."""
    if not NAME.fullmatch(name) or len(name) > MAX_NAME:
        return (
            f"NAME: expected small letters, digits and hyphens, such as my-service, at most {MAX_NAME}; found {name!r}"
        )
    if name in DISTRIBUTIONS:
        return f"NAME: {DISTRIBUTIONS[name]} has a plugin {name} already: choose another name"
    return ""


def distribution_files(name: str, kind: str) -> Iterator[tuple[str, str]]:
    """Yield the files of a distribution: the path of each in its folder, and its text."""
    folder = resources.files("btcore") / "templates"
    texts = {path: (folder / _template(file, kind)).read_text("utf-8") for file, path in FILES.items()}
    code = "".join(text for path, text in texts.items() if path.endswith(".py"))
    names = _names(name, kind, _class_name(name, kind, code))
    for path, text in texts.items():
        filled = text
        for key, value in names.items():
            filled = filled.replace(f"@{key}@", value)
        yield path.format(module=names["MODULE"], name=name.replace("-", "_")), filled
    yield f"src/{names['MODULE']}/py.typed", ""


def _template(file: str, kind: str) -> str:
    return f"{file}.txt" if file.startswith("common/") else f"{kind}/{file}.txt"


def _class_name(name: str, kind: str, code: str) -> str:
    """Return the name of the class. It has its kind in it where the templates, or Python, have that name already."""
    found = "".join(part.capitalize() for part in name.split("-"))
    is_taken = len(found) == 1 or hasattr(builtins, found) or re.search(rf"\b{found}\b", code)
    return f"{found}{kind.capitalize()}" if is_taken else found


def _names(name: str, kind: str, class_name: str) -> dict[str, str]:
    distribution, summary = f"{PREFIX}{name}", KINDS[kind]
    major, minor = __version__.split(".")[:2]
    return {
        "NAME": name,
        "DISTRIBUTION": distribution,
        "MODULE": distribution.replace("-", "_"),
        "CLASS": class_name,
        "TITLE": " ".join(part.capitalize() for part in name.split("-")),
        "VARIABLE": name.upper().replace("-", "_"),
        "FORMAT": name.replace("-", "_"),
        "MARK": name.upper().replace("-", "")[:8],
        "SUMMARY": summary,
        "SUMMARY_LOWER": f"{summary[0].lower()}{summary[1:]}",
        "EXTRA": "[web]" if kind == "sink" else "",
        "RANGE": f">={major}.{minor},<{major}.{int(minor) + 1}",
    }


def write_files(folder: Path, files: Mapping[str, str]) -> None:
    """Write files into a folder, which must be empty or not there. Raises Unavailable."""
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise Unavailable(f"{folder} exists already, and is not an empty folder: nothing was written")
        for name, text in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
    except OSError as error:
        raise Unavailable(f"cannot write {folder}: {error.strerror or error}") from None
