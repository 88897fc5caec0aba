# SPDX-License-Identifier: GPL-3.0-or-later
"""`btcore migrate`: its arguments, which files it reads, and where the site.toml goes.

Standard output has the site.toml and nothing else; standard error the doubts, a line each.
"""

import argparse
import codecs
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from btcore import API, BtcoreError, Command, LoadConfiguration
from btmon_migrate.checking import check_site
from btmon_migrate.command_line import CommandLine, split_words
from btmon_migrate.given import Doubts, Options
from btmon_migrate.home_assistant import home_assistant_site, is_home_assistant
from btmon_migrate.ini import read_ini
from btmon_migrate.secrets import move_secrets, write_secrets
from btmon_migrate.serial2mqtt import is_serial2mqtt, serial2mqtt_site
from btmon_migrate.site import Site, make_site
from btmon_migrate.yaml_file import read_yaml

LARGEST = 1_000_000
"""Bytes of the largest configuration that is read."""

UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
"""How a file begins that an editor of Windows saved as Unicode."""

YAML = (".yaml", ".yml")
"""How the names of files of other programs end."""


class MigrationError(BtcoreError):
    """A file that cannot be read or written."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `btcore migrate`."""
    parser.add_argument(
        "words",
        nargs="*",
        metavar="FILE | -- OPTION",
        help="the configuration file of btmon, or of another program in YAML; or, behind --, the command line of btmon",
    )
    parser.add_argument(
        "-o",
        "--output",
        default="-",
        metavar="FILE",
        help="the site.toml to write; passwords and keys go into secrets/ beside it (default: -, standard output)",
    )


def run(args: argparse.Namespace, load: LoadConfiguration) -> int:
    """Write a site.toml: 0 if everything was carried over, 1 if a person has to look. Raises MigrationError."""
    if not args.words:
        args.usage("expected the configuration file of btmon, or its command line behind --")
    doubts = Doubts()
    site = _site(args.words, doubts)
    check_site(site, load, doubts)
    if args.output == "-":
        sys.stdout.write(site.text())
    else:
        _write(site, Path(args.output))
    for doubt in doubts:
        sys.stderr.write(f"btcore migrate: {doubt}\n")
    return 1 if doubts else 0


MIGRATE = Command(
    api=API,
    help="make a site.toml of a configuration or command line of btmon",
    add_arguments=add_arguments,
    run=run,
)


def _site(words: Sequence[str], doubts: Doubts) -> Site:
    """Make a site of what is given: a file in YAML is of another program than btmon."""
    first = Path(words[0])
    if first.suffix.lower() not in YAML:
        return make_site(*_read(words, Options(doubts)))
    node = read_yaml(_file_text(first), first.name, doubts)
    if is_home_assistant(node):
        site = home_assistant_site(node)
    elif is_serial2mqtt(node):
        site = serial2mqtt_site(node)
    else:
        raise MigrationError(f"{first}: expected greeneye_monitor of Home Assistant, or device and mqtt of serial2mqtt")
    site.complete(doubts)
    return site


def _read(words: Sequence[str], options: Options) -> tuple[str, Options]:
    """Read a file, a command line, or both: what the command line says counts more."""
    files, rest = split_words(words)
    line = CommandLine(options)
    line.read(rest)
    for file in (*files, *line.files):
        if file in line.files and not Path(file).is_file():
            options.doubts.add("-c", f"{file}: no such file; btmon went on without it")
        else:
            read_ini(_file_text(Path(file)), Path(file).name, options)
    return " and ".join(Path(file).name for file in (*files, *line.files)) or "a command line", options


def _file_text(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            data = stream.read(LARGEST + 1)
    except OSError as error:
        raise MigrationError(f"{file}: {error.strerror}") from None
    if len(data) > LARGEST or (b"\0" in data and not data.startswith(UTF16)):
        raise MigrationError(f"{file}: expected a configuration of btmon, a text of less than {LARGEST:,} bytes")
    return _decoded(data)


def _decoded(data: bytes) -> str:
    """Read UTF-8, what Windows calls Unicode, and else Latin-1, in which anything is a text."""
    for encoding in ["utf-16"] if data.startswith(UTF16) else ["utf-8-sig"]:
        with suppress(UnicodeDecodeError):
            return data.decode(encoding)
    return data.decode("latin-1")


def _write(site: Site, output: Path) -> None:
    """Write it and its secrets; nothing that is there is overwritten. Raises MigrationError."""
    secrets = move_secrets(site.tables)
    for file in (output, *(output.parent / name for name in secrets)):
        if file.exists():
            raise MigrationError(f"{file} already exists; move it away, or choose another directory with -o")
    written: list[Path] = []
    try:
        written.extend(write_secrets(secrets, output.parent))
        with output.open("x", encoding="utf-8") as stream:
            written.append(output)
            stream.write(site.text())
    except OSError as error:
        for file in written:
            file.unlink(missing_ok=True)
        raise MigrationError(
            f"cannot write {error.filename or output}: {error.strerror}; nothing was written"
        ) from None
