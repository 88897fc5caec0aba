# SPDX-License-Identifier: GPL-3.0-or-later
"""One name for one thing: what docs/vocabulary.md lists under "Not used" is used nowhere.

A word that is somebody else's is listed below with the module that has it.
"""

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

import btcore
import btcore.serve
import btcore.testing
import btcore.web

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "vocabulary.md"
MODULES = sorted([*ROOT.glob("btcore/src/**/*.py"), *ROOT.glob("plugins/*/src/**/*.py")])
TEXTS = sorted(
    path
    for pattern in ("*.md", "btcore/*.md", "docs/**/*.md", "plugins/*/*.md")
    for path in ROOT.glob(pattern)
    if path not in {PAGE, ROOT / "CHANGELOG.md"}  # the two that list old names beside the new ones
    and path.stem != "0030-settings-are-named-as-elsewhere"  # and a decision that compares them
)

PARTS = {
    "position": "offset",
    "seq": "offset",
    "aside": "dead letter",
    "cursor": "checkpoint",
    "parked": "stopped",
    "told": "report, describe",
    "said": "report, describe",
    "covered": "redacted",
    "blanked": "redacted",
    "beyond": "above the limit, overflow",
}
"""Words that are no part of a name (`_told_at`, `is_aside`), and what to say."""

NAMES = {
    "place": "offset",
    "places": "offsets",
    "base": "baseline",
    "bases": "baselines",
    "whole": "complete, entire, without a packet",
    "shown": "format, visible",
    "counted": "plural",
    "every": "interval",
    "period": "flush_interval",
    "pause": "min_call_interval",
    "keep": "retention",
}
"""Words that are no name by themselves, and what to say."""

PHRASES = {
    r"\bset(s|ting)? (it |them |that |all of it |all )?aside\b": "dead letter",
    r"\bset-aside\b": "dead letter",
    r"\bblank(s|ed)? out\b": "redact",
    r"\bparked\b": "stopped",
    r"\bcursors?\b": "checkpoint",
    r"\bmade[ -]up\b": "simulated",
    r"\bsinks?(?:'s)? place\b": "offset",
    r"\bplaces? in the journal\b": "offset",
    r"`(every|period|pause|keep|position|retry_max|journal_bytes|backlog_age|backlog_bytes)`": "the setting's new name",
}
"""What no message, docstring or page says, and what to say."""

ANY_PHRASE = re.compile("|".join(PHRASES), re.IGNORECASE)

NOT_OURS: Mapping[str, set[str]] = {
    "btcore/src/btcore/capture/hex_text.py": {"base", "_base"},  # of a number: 8, 10 or 16
    "btcore/src/btcore/sqlite_journal/tables/schema.py": {"cursor"},  # a table of an earlier version of the file
    "btcore/src/btcore/origin.py": {"made up"},  # what an earlier version wrote into the journal
    "plugins/btmon-pvoutput/src/btmon_pvoutput/service.py": {"base", "_base"},
    "plugins/btmon-services/src/btmon_services/peoplepower.py": {"_seq"},  # the service's own word
    "plugins/btmon-services/src/btmon_services/thingspeak.py": {"_base"},
}
"""Words by module that are somebody else's: of a library, of a service, of mathematics, of an earlier version."""


def identifiers(nodes: Iterable[ast.AST]) -> Iterator[str]:
    """Yield the names that a module gives: functions, classes, arguments, variables, attributes."""
    for node in nodes:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr


def texts(nodes: Iterable[ast.AST]) -> Iterator[str]:
    """Yield the strings of a module, docstrings and pieces of f-strings among them."""
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


@cache
def unused_in_name(name: str) -> str | None:
    """Return the word in a name that is not used, if there is one."""
    plain = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).strip("_").lower()
    if plain in NAMES:
        return plain
    return next((part for part in plain.split("_") if part in PARTS), None)


def unused_in_text(text: str) -> Iterator[str]:
    """Yield each phrase of a text that is not used."""
    plain = " ".join(text.split())
    if ANY_PHRASE.search(plain):  # few texts have one
        for phrase in PHRASES:
            for found in re.finditer(phrase, plain, re.IGNORECASE):
                yield found[0]


def unused_in_module(path: Path) -> set[str]:
    """Return what a module has of it: names, and phrases of its strings."""
    nodes = list(ast.walk(ast.parse(path.read_text("utf-8"))))
    names = {name for name in identifiers(nodes) if unused_in_name(name)}
    return names | {one for text in texts(nodes) for one in unused_in_text(text)}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_module_has_a_word_that_is_not_used(path: Path) -> None:
    """Names and messages say what the vocabulary says; each word that is somebody else's is there, and no other."""
    assert unused_in_module(path) == NOT_OURS.get(path.relative_to(ROOT).as_posix(), set())


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_page_has_a_word_that_is_not_used(path: Path) -> None:
    """Pages say what the vocabulary says."""
    assert set(unused_in_text(path.read_text("utf-8"))) == set()


@pytest.mark.parametrize("word", sorted({**PARTS, **NAMES}))
def test_each_word_is_on_the_page(word: str) -> None:
    """What this test looks for is what the page says not to use, in the singular or the plural."""
    page = PAGE.read_text("utf-8").partition("## Not used")[2]
    assert re.search(rf"\*{word.removesuffix('s')}", page) or f"{word}*" in page


@pytest.mark.parametrize(
    "module", [btcore, btcore.web, btcore.serve, btcore.testing], ids=lambda module: module.__name__
)
def test_each_public_name_is_on_the_page(module: ModuleType) -> None:
    """What a plugin imports stands in the vocabulary."""
    page = PAGE.read_text("utf-8").partition("## Not used")[0]
    assert [name for name in module.__all__ if f"`{name}`" not in page and not name.startswith("_")] == []


@pytest.mark.parametrize("name", ["is_parked", "parkedSince", "_told_at", "SEQ", "seq", "_places", "Base"])
def test_a_word_is_found_in_a_name(name: str) -> None:
    """However a name is written, a word that is not used is found in it."""
    assert unused_in_name(name) is not None


@pytest.mark.parametrize(
    "name", ["database", "sequence", "placeholder", "baseline", "keep_alive", "based", "wholesale"]
)
def test_a_word_within_another_is_none(name: str) -> None:
    """Only whole words count, and words of two meanings only where they stand alone."""
    assert unused_in_name(name) is None


def test_phrases_are_found_across_lines() -> None:
    """A phrase that is broken by the end of a line is one."""
    assert list(unused_in_text("what is set\n    aside, and the cursor")) == ["set aside", "cursor"]
