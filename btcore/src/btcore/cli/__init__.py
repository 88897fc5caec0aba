"""The command line: one module a command, found by name.

Here are only the top level, the exit codes and how a failure is told. Data goes to stdout, everything else to stderr.
"""

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

from btcore.errors import BtcoreError, ConfigurationError, Unavailable
from btcore.version import __version__

OK = 0
USAGE = 2
UNAVAILABLE = 69
CONFIGURATION = 78
INTERRUPTED = 130

COMMANDS = {
    "run": "read the meters and deliver to the sinks, until told to stop",
    "check": "look for mistakes in a configuration, without running it",
    "init": "write a commented site.toml from the installed plugins",
    "plugins": "list the installed plugins, or tell one's settings",
    "decode": "show what is in a capture",
    "simulate": "play meters: packets to a file, to standard output or to a TCP port",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit code: 0 ok, 2 usage, 69 unavailable, 78 configuration."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    args, beyond = _parser(words).parse_known_args(words)
    if beyond:  # told with the usage of the command, where argparse would show that of the whole program
        args.usage(f"unrecognized arguments: {' '.join(beyond)}")
    try:
        return int(args.main(args))
    except ConfigurationError as error:
        sys.stderr.write(f"{error}\n")
        return CONFIGURATION
    except (Unavailable, BtcoreError) as error:
        sys.stderr.write(f"btcore: {error}\n")
        return UNAVAILABLE
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # the reader of our output went away (`| head`): quiet, and nothing left for the interpreter to flush
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="btcore", description="Reads Brultech energy monitors and delivers to databases and services."
    )
    parser.add_argument("--version", action="version", version=f"btcore {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, text in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        if name in words:  # a command's module is imported only when it is asked for
            module = importlib.import_module(f"btcore.cli.{name}")
            module.add_arguments(command)
            command.set_defaults(main=module.main, usage=command.error)
    return parser
