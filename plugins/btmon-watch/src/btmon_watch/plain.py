# SPDX-License-Identifier: GPL-3.0-or-later
"""Plain characters, for a terminal or a file that has no others: each stands for one, so columns stay in line."""

import codecs

PLAIN = {
    "█": "#",
    **dict.fromkeys("▉▊▋▌", "#"),
    **dict.fromkeys("▍▎▏°", " "),
    "…": "~",
    "↑": "^",
    "↓": "v",
}
"""What stands for a character of a picture; for another one, as of a name, `?`."""

ERRORS = "btcore-watch-plain"
"""The name of this way to encode, for `errors=`."""


def plain(error: UnicodeError) -> tuple[str, int]:
    """Return what is written in place of characters that an encoding has not, and where to go on."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(PLAIN.get(one, "?") for one in error.object[error.start : error.end]), error.end


codecs.register_error(ERRORS, plain)
