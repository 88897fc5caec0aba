"""One name for one thing: what docs/vocabulary.md lists under "Not used" is used nowhere.

`python tests/test_vocabulary.py` prints how much is left, file by file; with `--rewrite` it writes the list anew.
A list that gets longer is a mistake, unless a module has another name.
"""

import ast
import functools
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType

import pytest

import btcore
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
    "level": "up to date",
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

NOT_OURS: Mapping[str, set[str]] = {
    "btcore/src/btcore/capture/hex_text.py": {"base", "_base"},  # of a number: 8, 10 or 16
    "btcore/src/btcore/logs/moderation.py": {"level"},  # of a log record
    "btcore/src/btcore/logs/repeat_limit.py": {"level"},
    "btcore/src/btcore/logs/tally.py": {"level"},
    "btcore/src/btcore/runtime/names.py": {"level"},
    "btcore/src/btcore/sources/identity.py": {"level"},
    "plugins/btmon-pvoutput/src/btmon_pvoutput/address.py": {"base"},  # of an address, without its path
    "plugins/btmon-pvoutput/src/btmon_pvoutput/service.py": {"base", "_base"},
    "plugins/btmon-services/src/btmon_services/peoplepower.py": {"_seq"},  # the service's own word
    "plugins/btmon-services/src/btmon_services/thingspeak.py": {"_base"},
    "plugins/btmon-sqlite/src/btmon_sqlite/database.py": {"cursor"},  # of the module sqlite3
}
"""Names by module that are somebody else's: of a library, of a service, of mathematics."""

LEFT = Path(__file__).parent / "vocabulary_left.txt"
"""What is still to be renamed, a file and a word a line. It only ever gets shorter."""


def identifiers(tree: ast.AST) -> Iterator[str]:
    """Yield the names that a module gives: functions, classes, arguments, variables, attributes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr


def texts(tree: ast.AST) -> Iterator[str]:
    """Yield the strings of a module, docstrings and pieces of f-strings among them."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def unused_in_name(name: str) -> str | None:
    """Return the word in a name that is not used, if there is one."""
    plain = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).strip("_").lower()
    if plain in NAMES:
        return plain
    return next((part for part in plain.split("_") if part in PARTS), None)


def unused_in_text(text: str) -> Iterator[str]:
    """Yield each phrase of a text that is not used."""
    for phrase in PHRASES:
        for found in re.finditer(phrase, " ".join(text.split()), re.IGNORECASE):
            yield found[0]


def left_in_module(path: Path) -> set[str]:
    """Return what a module still has: names, and phrases of its strings."""
    tree = ast.parse(path.read_text("utf-8"))
    ours = set(identifiers(tree)) - NOT_OURS.get(path.relative_to(ROOT).as_posix(), set())
    return {name for name in ours if unused_in_name(name)} | {
        one for text in texts(tree) for one in unused_in_text(text)
    }


@functools.cache
def left() -> frozenset[str]:
    """Return what is left, as the lines of `LEFT`."""
    found = {path: left_in_module(path) for path in MODULES}
    found |= {path: set(unused_in_text(path.read_text("utf-8"))) for path in TEXTS}
    return frozenset(f"{path.relative_to(ROOT).as_posix()}: {word}" for path, words in found.items() for word in words)


def test_no_name_and_no_text_has_a_word_that_is_not_used() -> None:
    """Names, messages and pages say what the vocabulary says; what is still to be renamed is listed."""
    assert left() - set(LEFT.read_text("utf-8").splitlines()) == set()


def test_what_was_renamed_is_no_longer_listed() -> None:
    """The list of what is left gets shorter: `python tests/test_vocabulary.py --rewrite` takes out what is done."""
    assert set(LEFT.read_text("utf-8").splitlines()) - left() == set()


@pytest.mark.parametrize("word", sorted({**PARTS, **NAMES}))
def test_each_word_is_on_the_page(word: str) -> None:
    """What this test looks for is what the page says not to use, in the singular or the plural."""
    page = PAGE.read_text("utf-8").partition("## Not used")[2]
    assert re.search(rf"\*{word.removesuffix('s')}", page) or f"{word}*" in page


@pytest.mark.parametrize("module", [btcore, btcore.web], ids=lambda module: module.__name__)
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


def main(*, rewrite: bool) -> None:
    """Print how much is left in each file; write the list anew, where a module has another name or is done."""
    if rewrite:
        LEFT.write_text("".join(f"{line}\n" for line in sorted(left())), "utf-8")
    for file, count in sorted(Counter(line.partition(": ")[0] for line in left()).items()):
        sys.stdout.write(f"{count:4} {file}\n")


if __name__ == "__main__":
    main(rewrite="--rewrite" in sys.argv)
