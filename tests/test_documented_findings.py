# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/doctor.md explains each code that a finding can have, and no other."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from btcore.decode.recognition import KINDS
from btcore.doctor.received import CODES, LEFT_OUT

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "doctor.md").read_text()
SOURCES = [*ROOT.glob("btcore/src/**/*.py"), *ROOT.glob("plugins/*/src/**/*.py")]
HEADINGS = re.findall(r"^### (\S+)$", PAGE, re.MULTILINE)


def written_codes() -> Iterator[str]:
    """Yield the codes that are written in the code as the first argument of a Finding."""
    texts = (file.read_text() for file in SOURCES)
    for text in (text for text in texts if "Finding(" in text):
        for node in ast.walk(ast.parse(text)):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id == "Finding"
                and node.args
            ):
                yield from (str(one.value) for one in ast.walk(node.args[0]) if isinstance(one, ast.Constant))


COMPUTED = {"name", "source-failing", "source-stopped"}
"""What is in an expression: codes that are chosen, and a word of that expression."""


def test_the_page_explains_each_code_and_no_other() -> None:
    """Each code of the core and of the project's plugins has one heading, and each heading is a code."""
    codes = {*written_codes(), *CODES.values(), LEFT_OUT, *COMPUTED} - {"name"}
    assert sorted(HEADINGS) == sorted(codes)


def test_every_kind_of_bytes_has_a_code() -> None:
    """Whatever bytes are taken for, there is a finding for it."""
    assert CODES.keys() == {kind.name for kind in KINDS}


def test_each_code_is_explained_in_a_sentence() -> None:
    """Under each heading stands at least one sentence."""
    texts = re.findall(r"^### \S+\n(.*?)(?=^#|\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert [text for text in texts if not text.strip().endswith(".") and "`" not in text] == []
