# SPDX-License-Identifier: GPL-3.0-or-later
"""The text of a site.toml: read from its file, decoded, and refused if it cannot be one.

What the text says is `toml.py`'s and `load.py`'s.
"""

from pathlib import Path

from btcore import predecessor
from btcore.errors import ConfigurationError, Problem

MAX_BYTES = 1 << 20
"""The largest file that is read: a site.toml is never as large."""

BTMON = "this is a configuration of btmon, not of btcore; btcore migrate {path} -o site.toml writes one of btcore"


def read_site_file(path: Path) -> str:
    """Return the text of a configuration. Raises ConfigurationError if it cannot be read, or is not one of btcore."""
    text = _decode(path, _read(path))
    if predecessor.is_configuration(text):
        raise _error(path, BTMON.format(path=path))
    return text


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise _error(path, "the file does not exist; run btcore init to write one") from None
    except OSError as error:
        raise _error(path, f"the file cannot be read: {error.strerror}") from None
    if len(raw) > MAX_BYTES:
        raise _error(path, f"the file is larger than {MAX_BYTES} bytes, so it is not a configuration of btcore")
    return raw


def _decode(path: Path, raw: bytes) -> str:
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")) or 0 in raw[:2]:
        raise _error(path, 'the file is in UTF-16, which Windows calls "Unicode"; save it as UTF-8')
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise _error(path, "the file is not text in UTF-8; save it as UTF-8", line) from None


def _error(path: Path, message: str, line: int | None = None) -> ConfigurationError:
    return ConfigurationError([Problem(message, line=line, file=str(path))])
