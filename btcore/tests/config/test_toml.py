# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines of keys, and mistakes of the syntax: against texts that are made so that both are known."""

from typing import Any

import pytest
import tomli
from hypothesis import given
from hypothesis import strategies as st

from btcore.config.toml import Key, Mistake, read

NAMES = st.text("abcxyz-_0189", min_size=1, max_size=6)
QUOTED = st.sampled_from(['"a.b"', "'c d'", '"#"', '"[x]"', "'='"])
TEXTS = st.sampled_from(['"x"', "'y'", '"""\na\n[b]\nc = 1\n"""', "'''\n'' [[z]]\n\n'''", '"# no comment"', '"""q"""'])
SCALARS = st.sampled_from(["1", "-2.5", "true", "2026-06-21", "0xff", "inf"]) | TEXTS
ARRAYS = st.lists(SCALARS, max_size=4).map(lambda items: "[ # first\n" + ",\n\n".join(items) + "\n]")
TABLES = st.lists(st.sampled_from(["1", '"x"', "[1, 2]", "{ z = 1 }"]), max_size=3).map(
    lambda values: "{ " + ", ".join(f"k{place} = {value}" for place, value in enumerate(values)) + " }"
)
VALUES = SCALARS | ARRAYS | TABLES
NOISE = st.sampled_from(["", "\n", "# a comment = 1\n", "  \n\t# [no.header]\n"])


@st.composite
def documents(draw: st.DrawFn) -> tuple[str, dict[Key, int]]:
    """Draw a document, and the line where each of its keys is."""
    text = ""
    lines: dict[Key, int] = {}
    for number in range(draw(st.integers(0, 4))):
        table = (f"t{number}", draw(NAMES))
        text += draw(NOISE)
        lines[table] = text.count("\n") + 1
        text += f"[ {table[0]} . {table[1]} ] # here\n"
        for place in range(draw(st.integers(0, 4))):
            text += draw(NOISE)
            last = draw(NAMES | QUOTED)
            path = (*table, f"k{place}", last.strip("\"'"))
            lines[path] = text.count("\n") + 1
            text += f"k{place}. {last} = {draw(VALUES)}\n"
    return text, lines


@given(documents())
def test_every_key_has_the_line_that_its_statement_begins_at(made: tuple[str, dict[Key, int]]) -> None:
    """Each key's line is found behind arrays and texts of many lines, dotted and quoted keys, comments and tables."""
    text, lines = made
    document = read(text)
    assert {path: document.lines[path] for path in lines} == lines


@given(documents())
def test_what_is_read_is_what_the_parser_reads(made: tuple[str, dict[Key, int]]) -> None:
    """A text without mistakes is read as the parser alone reads it, with either line ending."""
    text, _ = made
    for written in (text, text.replace("\n", "\r\n"), text.removesuffix("\n")):
        document = read(written)
        assert (_shown(document.data), document.mistakes) == (_shown(tomli.loads(text)), ())


def _shown(data: Any) -> str:  # noqa: ANN401 - whatever TOML holds
    return repr(data)


@given(st.text("ab=[]{}\"'#.,\\ \n1\r\0é", max_size=60))
def test_no_text_makes_it_fail(text: str) -> None:
    """Whatever the text, there is a document, and it has mistakes when, and only when, the parser finds one."""
    document = read(text)
    try:
        tomli.loads(text + "\n")
    except (ValueError, RecursionError):
        assert document.mistakes
    else:
        assert document.mistakes == ()


@given(documents(), st.sampled_from(["a b = 1", "host = meter.local", "port: 80", "= 1", "[x", '"', "x = 007"]))
def test_one_bad_line_is_told_and_costs_only_itself(made: tuple[str, dict[Key, int]], bad: str) -> None:
    """One line that is no TOML is the only mistake, at its line, and what is before it keeps its meaning."""
    text, lines = made
    line = text.count("\n") + 1
    document = read(f"{text}{bad}\n")
    assert [mistake.line for mistake in document.mistakes] == [line]
    assert {path: document.lines[path] for path in lines} == lines


def test_several_mistakes_are_told_together_and_the_rest_is_read() -> None:
    """Two bad lines are two mistakes; the lines between them are read."""
    document = read('[a]\nx = yes\ny = 1\n[b]\nz: 2\nw = "ok"\n')
    assert [mistake.line for mistake in document.mistakes] == [2, 5]
    assert document.data == {"a": {"y": 1}, "b": {"w": "ok"}}
    assert document.incomplete == {("a",), ("b",)}


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("host = meter.local\n", 1, "text must be in quotes"),
        ("\nport: 80\n", 2, "port = ..."),
        ('path = "C:\\meter"\n', 1, "single quotes"),
        ("serial = 01234567\n", 1, "in quotes"),
        ("a = 1\n\na = 2\n", 3, "set twice"),
        ("[a]\n[b]\n[a]\n", 3, "appears twice"),
        ("a = [\n", 1, "never closed"),
        ('x = 1\na = """\nb = 2\n', 2, "never closed"),
        ("a = [\n  1,\n  x,\n]\n", 3, "in the value that starts at line 1"),
        ("a = " + "[" * 2000, 1, "nested"),
    ],
)
def test_a_mistake_has_its_line_and_what_to_do(text: str, line: int, words: str) -> None:
    """A mistake of the syntax is told once, with the line of its place and words that help."""
    (mistake,) = read(text).mistakes
    assert (mistake.line, words in mistake.message) == (line, True)


def test_the_rest_of_a_torn_value_is_no_mistake_of_its_own() -> None:
    """Behind a value that is given up, its other lines are not told; the next setting is read again."""
    document = read('formats = [\n  "a",\n  b,\n  c,\n]\nport = 1\nx = y\n')
    assert [mistake.line for mistake in document.mistakes] == [3, 7]
    assert document.data == {"port": 1}


def test_keys_under_a_header_that_cannot_be_read_belong_to_no_other_table() -> None:
    """What is under a bad or doubled header is left out, up to the next header."""
    document = read("[a]\nx = 1\n[b\ny = 2\n[c]\nz = 3\n[a]\nv = 4\n")
    assert document.data == {"a": {"x": 1}, "c": {"z": 3}}
    assert [mistake.line for mistake in document.mistakes] == [3, 7]


def test_elements_of_an_array_of_tables_have_lines_of_their_own() -> None:
    """A key of the second element has its own line, not that of the first; tables below an element as well."""
    document = read("[[a]]\nx = 1\n[[a]]\nx = 2\n[a.b]\ny = 3\n")
    assert [document.line(key) for key in (("a", 0, "x"), ("a", 1, "x"), ("a", 1, "b", "y"))] == [2, 4, 6]


def test_a_key_without_a_line_has_that_of_what_is_around_it() -> None:
    """A key that is not in the text has its table's line; what is in no table has none."""
    document = read("\n[a.b]\nx = { y = 1 }\n")
    asked: list[Key] = [("a", "b", "missing"), ("a", "b", "x", "y"), ("a", "b", "x", 0), ("c",), ()]
    assert [document.line(key) for key in asked] == [2, 3, 3, None, None]


def test_a_table_that_is_opened_after_its_part_has_its_own_line() -> None:
    """A table's line is that of its header, also when a table below it comes first."""
    assert read("[a.b]\n[a]\n").line(("a",)) == 2


def test_mistakes_are_in_the_order_of_the_text() -> None:
    """What only the whole text shows to be wrong stands in line with the rest."""
    document = read("a = 1\na = 2\nb = x\na = 3\n")
    assert [(type(one), one.line) for one in document.mistakes] == [(Mistake, 2), (Mistake, 3), (Mistake, 4)]


@pytest.mark.parametrize(
    "text",
    ["a = 1\n" * 20_000, "[a]\n" * 20_000, "a = [\n" + "1,\n" * 20_000, 'a = """\n' + "b\n" * 20_000, "[\n" * 20_000],
)
def test_a_file_of_nothing_but_mistakes_is_done_with_soon(text: str) -> None:
    """However many mistakes there are, reading comes to an end in seconds, and tells of some."""
    assert read(text).mistakes
