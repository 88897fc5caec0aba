# SPDX-License-Identifier: GPL-3.0-or-later
"""References of a setting: a path, a text in an environment variable, or a text in a file.

Such a text may be a secret: no message shows it. Its conversion belongs to `convert.py`.
"""

import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from btcore.values.invalid_value import ConversionContext, InvalidValue, ValueProblem, format_value, invalid
from btcore.values.variables import path_variable_problem

ESCAPE = "a \\ inside double quotes starts an escape: write a Windows path in single quotes ('C:\\...'), or with /"

MAX_NAME_BYTES = 255
"""The longest name of a file on the file systems of Linux and macOS."""

SECRET_BYTES = 65_536
"""The largest file with a text that is read."""


def parse_path(value: object, context: ConversionContext) -> Path:
    """Return a path; a relative one is relative to the configuration. Raises InvalidValue."""
    if not isinstance(value, str) or not value or "\0" in value:
        raise invalid("a path, as text", value)
    if any(letter < " " for letter in value):
        raise InvalidValue(ValueProblem(f"not a path: it contains a tab or a line break; {ESCAPE}"))
    if wrong := path_variable_problem(value) or _name_problem(value):
        raise InvalidValue(ValueProblem(wrong))
    try:
        return context.directory / Path(value).expanduser()
    except RuntimeError:
        raise InvalidValue(ValueProblem(f"no such user: {format_value(value)}")) from None


def _name_problem(path: str) -> str:
    """Return why no file can have this name, or ""."""
    try:
        longest = max(len(part) for part in os.fsencode(path).split(b"/"))
    except UnicodeEncodeError as error:
        names = f"the names of files are in {error.encoding} here, which lacks a letter of this one"
        return f"{names}; run btcore with LC_ALL=C.UTF-8, or choose plain letters"
    return f"the name of a file has at most {MAX_NAME_BYTES} bytes, found {longest}" if longest > MAX_NAME_BYTES else ""


def resolve_reference(value: Mapping[str, object], context: ConversionContext) -> str:
    """Return the text of an environment variable or a file. Raises InvalidValue."""
    match dict(value):
        case {"env": str(name), **rest} if not rest:
            if (alone := name.strip("${}%")) != name:
                raise InvalidValue(ValueProblem(f'write only the name of the variable: {{ env = "{alone}" }}'))
            text, source = os.environ.get(name), f"the environment variable {name}"
            if text is None:
                raise InvalidValue(ValueProblem(f"{source} is not set; set it for btcore, or write the value here"))
        case {"file": str(name), **rest} if not rest:
            text, source = _file_text(name, context), f"the file {name}"
        case _:
            raise InvalidValue(
                ValueProblem('expected text, { env = "NAME" } or { file = "path" }, found another table')
            )
    if not text:
        raise InvalidValue(ValueProblem(f"{source} is empty"))
    context.secrets.append(text)
    return text


def _file_text(name: str, context: ConversionContext) -> str:
    path = parse_path(name, context)
    try:
        if not path.is_file():
            raise InvalidValue(
                ValueProblem(f"there is no file {path}" if not path.exists() else f"{path} is no regular file")
            )
        with path.open("rb") as file:
            raw = file.read(SECRET_BYTES + 1)
            warnings = _open_to_others(path, os.fstat(file.fileno()).st_mode, path.parent.stat().st_mode)
            context.warnings.extend(warnings)
    except OSError as error:
        raise InvalidValue(ValueProblem(f"the file {path} cannot be read: {error.strerror}")) from None
    if len(raw) > SECRET_BYTES:
        raise InvalidValue(
            ValueProblem(f"the file {path} is larger than {SECRET_BYTES} bytes; it must contain only the text")
        )
    try:
        return raw.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise InvalidValue(ValueProblem(f"the file {path} is not text in UTF-8")) from None


def _open_to_others(path: Path, mode: int, folder: int) -> Iterator[str]:
    """Yield a warning if every user of this computer can read or change a file with a text."""
    from shlex import quote  # noqa: PLC0415 - few files have secrets

    ways = {stat.S_IROTH: "read", stat.S_IWOTH: "changed", stat.S_IROTH | stat.S_IWOTH: "read and changed"}
    if what := ways.get(mode & (stat.S_IROTH | stat.S_IWOTH)):
        yield f"the file {path} can be {what} by every user of this computer: chmod 600 {quote(str(path))}"
    if folder & stat.S_IWOTH and not folder & stat.S_ISVTX:
        where = quote(str(path.parent))
        yield f"the file {path} can be replaced by every user of this computer: chmod o-w {where}"
