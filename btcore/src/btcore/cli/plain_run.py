# SPDX-License-Identifier: GPL-3.0-or-later
"""The arguments of a `btcore run` as nearly everybody starts it, read without argparse.

argparse brings the languages and the archives of the standard library with it: 1 MB for years, and a twentieth of the
start. Whatever is not plain here (a mistake, a request for help, an option that is abbreviated or comes twice) is left
to argparse, which says what is wrong.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

from btcore.logs.forms import LogFormat

FLAGS = {
    "--once": "once",
    "--dry-run": "dry_run",
    "--trace": "trace",
    "-v": "verbose",
    "--verbose": "verbose",
    "-q": "quiet",
    "--quiet": "quiet",
}

FORMS = get_args(LogFormat)

EITHER = ({"file", "config"}, {"verbose", "quiet"})
"""Arguments of which only one is plain."""

DEFAULTS = {"file": None, "config": None, "log_format": "text", **dict.fromkeys(FLAGS.values(), False)}


def read_plain(words: Sequence[str]) -> dict[str, Any] | None:
    """Return the arguments of `run`, by their names; None where argparse is to read them."""
    if words[:1] != ["run"]:
        return None
    try:
        pairs = list(_pairs(iter(words[1:])))
    except (KeyError, ValueError):
        return None
    given = dict(pairs)
    if len(given) < len(pairs) or any(given.keys() >= both for both in EITHER):
        return None
    return {**DEFAULTS, **given}


def _pairs(words: Iterator[str]) -> Iterator[tuple[str, Any]]:
    """Yield what each option says. Raises KeyError or ValueError where it is not plain."""
    for word in words:
        if word == "--config":
            yield "config", _path(next(words, ""))
        elif word == "--log-format":
            yield "log_format", FORMS[FORMS.index(next(words, ""))]
        elif word.startswith("-"):
            yield FLAGS[word], True
        else:
            yield "file", _path(word)


def _path(word: str) -> Path:
    if not word or word.startswith("-"):
        raise ValueError(word)
    return Path(word)
