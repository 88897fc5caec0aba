"""Text from outside, made fit for one line of a terminal, a log or a file. What to say is not decided here."""

import json
import re

_UNFIT = re.compile(
    "["
    "\x00-\x1f\x7f-\x9f"  # control characters: they end lines and steer terminals
    "\u2028\u2029"  # line and paragraph separators
    "\u202a-\u202e\u2066-\u2069"  # what reverses the order in which letters are shown
    "]+"
)
_SURROGATES = re.compile("[\ud800-\udfff]")  # half characters, as in names that are not UTF-8: no encoding has them


def plain(text: str) -> str:
    """Return a text that is one line and cannot steer a terminal; letters of all languages stay."""
    return _SURROGATES.sub("\N{REPLACEMENT CHARACTER}", _UNFIT.sub(" ", text))


def plain_lines(text: str) -> str:
    """Return a text of several lines, each of them plain."""
    return "\n".join(map(plain, text.split("\n")))


def shortened(text: str, most: int) -> str:
    """Return the beginning of a text that is longer than `most` characters, and how much there was."""
    return text if len(text) <= most else f"{text[:most]}... ({len(text) - most} more characters)"


def quoted(text: str) -> str:
    """Return a text in quotes, as JSON and TOML read it, with everything escaped that is not plain."""
    whole = _SURROGATES.sub("\N{REPLACEMENT CHARACTER}", text)
    return _UNFIT.sub(_escaped, json.dumps(whole, ensure_ascii=False))


def _escaped(found: re.Match[str]) -> str:
    return "".join(f"\\u{ord(letter):04x}" for letter in found[0])
