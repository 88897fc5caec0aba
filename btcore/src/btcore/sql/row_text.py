# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows as text, for the statements that take many at once: the values of an INSERT, the lines of a COPY.

A template is made for each combination of types, so that one formatting writes a whole row: of a GEM in 7 µs, where
writing value by value takes 20.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from types import NoneType

from btcore.sql.dialect import Value

MAX_TEXTS = 1024
"""Texts that are remembered as they are written: serial numbers and channels are in every row."""


def row_writer(separator: str, null: str, escape: Callable[[str], str]) -> Callable[[Sequence[Value]], str]:
    """Return what writes a row: numbers as they are, texts as `escape` writes them, None as `null`."""
    write_text = lru_cache(maxsize=MAX_TEXTS)(escape)

    def write(row: Sequence[Value]) -> str:
        template, texts = _template(tuple(map(type, row)), separator, null)
        values = list(row)
        for index in texts:
            values[index] = write_text(str(row[index]))
        return template % tuple(values)

    return write


@lru_cache(maxsize=256)
def _template(types: tuple[type, ...], separator: str, null: str) -> tuple[str, tuple[int, ...]]:
    """Return the template of rows with values of these types, and the indexes of texts among them."""
    none = null.replace("%", "%%") + "%.0s"  # which takes the value, and writes nothing of it
    template = separator.replace("%", "%%").join(none if kind is NoneType else "%s" for kind in types)
    return template, tuple(index for index, kind in enumerate(types) if issubclass(kind, str))
