# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line: one module a command, found by name.

Only the top level, the exit codes and the report of a failure belong here. Data goes to stdout, all else to stderr.
"""

import gc
import io
import os
import sys
from collections.abc import Iterable, Sequence
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

from btcore.cli.plain_run import read_plain
from btcore.errors import BtcoreError, ConfigurationError, Unavailable, WrongUse
from btcore.logs.handler import say
from btcore.runtime.process import exit_process, open_standard_files
from btcore.text import plain_lines
from btcore.values.durations import parse_duration
from btcore.values.invalid_value import ConversionContext, InvalidValue

if TYPE_CHECKING:
    import argparse

OK = 0
FAILING = 1
USAGE = 2
UNAVAILABLE = 69
CONFIGURATION = 78
INTERRUPTED = 130

MAX_SECONDS = 7 * 86_400.0
"""Seconds of the longest time that a command can be given."""

SITE = Path("site.toml")
"""The configuration where none is named."""

COMMANDS = {
    "run": "read the meters and deliver to the sinks until stopped",
    "check": "check a configuration for mistakes without running it",
    "status": "show how a site is: its sources, sinks and journal",
    "reload": "let the running program read its configuration again",
    "service": "print a unit of systemd, a Dockerfile or a compose file",
    "doctor": "find out what is wrong with a site, and say what to do",
    "capture": "record what comes in on a source, to look into it or to attach it to a report",
    "device": "show the settings of a meter, and change them",
    "dead-letters": "list what a sink will never take, deliver it after all, or drop it",
    "replay": "deliver to a sink again what the journal still holds",
    "journal": "check or compact the journal, export a part of it as a capture",
    "import": "bring captures, logs of btmon and CSV files into the journal, each reading once",
    "init": "write a commented site.toml from the installed plugins",
    "plugins": "list the installed plugins, or show the settings of one",
    "new-plugin": "write the distribution of a new plugin: class, tests, README, to be changed",
    "decode": "show the packets in a capture",
    "simulate": "simulate meters: send packets to a file, standard output or a TCP port",
}


def program() -> NoReturn:
    """Run one command as the process, and exit with its code even if a thread does not return."""
    code = INTERRUPTED
    gc.disable()  # until the command is imported, which makes no garbage that is worth looking for
    try:
        open_standard_files()
        code = main()
    except SystemExit as error:  # argparse's way to end
        code = error.code if isinstance(error.code, int) else OK if error.code is None else USAGE
    except KeyboardInterrupt:
        pass
    except BaseException:  # noqa: BLE001 - a fault of ours
        sys.excepthook(*sys.exc_info())
        code = 1
    finally:
        exit_process(code)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit code: 0 ok, 1 something fails, 2 usage, 69 unavailable, 78 configuration."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    try:
        args = _arguments(words)
        gc.collect(0)
        gc.freeze()  # else all that is imported is looked through twice
        gc.enable()
        return int(args.main(args))
    except ConfigurationError as error:
        for problem in error.problems:
            say(str(problem))
        return CONFIGURATION
    except BtcoreError as error:
        say(f"btcore: {error}")
        return USAGE if isinstance(error, WrongUse) else UNAVAILABLE
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # the reader of our output went away (`| head`): quiet, and nothing left for the interpreter to flush
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK


def add_config(parser: "argparse.ArgumentParser") -> None:
    """Add the arguments that name a configuration, for `config_of`: `FILE`, or `--config FILE`."""
    parser.add_argument("file", nargs="?", type=Path, metavar="FILE", help=f"the configuration (default: {SITE})")
    parser.add_argument("--config", type=Path, metavar="FILE", help="the same as FILE")


def add_config_option(parser: "argparse.ArgumentParser") -> None:
    """Add the option that names a configuration, for `config_of`, to a command that has other arguments."""
    help_text = f"the configuration (default: {SITE})"
    parser.add_argument("--config", type=Path, metavar="FILE", help=help_text)
    parser.set_defaults(file=None)


def config_of(args: "argparse.Namespace") -> Path:
    """Return the configuration that a command is given. Exits with the usage if there are two."""
    given: list[Path] = [path for path in (args.file, args.config) if path is not None]
    if len({path.absolute() for path in given}) > 1:
        args.usage(f"expected one configuration, found two: {args.file} and {args.config}")
    return given[0] if given else SITE


def add_seconds(parser: "argparse.ArgumentParser", default: float, text: str) -> None:
    """Add the option `--for`."""
    parser.add_argument(
        "--for", dest="seconds", type=_seconds, default=default, metavar="TIME", help=f"{text} (default: {default:g}s)"
    )


def write_lines(lines: Iterable[str]) -> None:
    """Write lines of data to standard output, each made plain. Raises Unavailable if it is not writable."""
    write_text(f"{plain_lines(line)}\n" for line in lines)


def write_text(parts: Iterable[str], *, encoding: str | None = None) -> None:
    """Write texts unchanged, in this encoding if one is given, else in the terminal's. Raises Unavailable."""
    out = standard_output()
    try:
        if encoding and isinstance(out, io.TextIOWrapper):
            out.reconfigure(encoding=encoding)
        out.writelines(parts)
        out.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise Unavailable(f"cannot write to standard output: {error.strerror or error}") from None


def standard_output() -> TextIO:
    """Return standard output. Raises Unavailable when there is none."""
    if sys.stdout is None or sys.stdout.closed:
        raise Unavailable("cannot write to standard output: it is closed")
    return sys.stdout


def _arguments(words: Sequence[str]) -> Any:  # noqa: ANN401 - a namespace, of either kind
    if (plain := read_plain(words)) is not None:
        run = import_module("btcore.cli.run")  # as any command, when it is asked for
        return SimpleNamespace(**plain, command="run", main=run.main)
    from btcore.cli.arguments import read_arguments  # noqa: PLC0415 - argparse: what is plain does not need it

    return read_arguments(words, COMMANDS)


def _seconds(text: str) -> float:
    try:
        seconds: float = parse_duration(text, ConversionContext(Path()))
    except InvalidValue:
        seconds = 0.0
    if not 0 < seconds <= MAX_SECONDS:
        import argparse  # noqa: PLC0415 - whoever asks has it

        raise argparse.ArgumentTypeError(f'{text!r} is not a time; expected one such as "20s" or "5m"')
    return seconds
