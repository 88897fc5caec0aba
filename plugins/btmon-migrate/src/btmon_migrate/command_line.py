# SPDX-License-Identifier: GPL-3.0-or-later
"""A command line, read as btmon read it: `--serial --serial-port=/dev/ttyUSB0 -p`.

A long option may be cut short as long as it is the only one that begins so, as in Python's optparse.
"""

import re
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

import attrs

from btmon_migrate.given import Options
from btmon_migrate.options import CONFIGURATION, FLAGS, WITHOUT_NAME, Option, option_name

PROGRAM = re.compile(r"btmon3?(-[\d.]+)?(\.py)?")
STARTER = re.compile(r"python[\d.]*|env|exec|nice|nohup|setsid|sudo")
"""The first word of a command that starts btmon."""


def split_words(words: Sequence[str]) -> tuple[list[str], Sequence[str]]:
    """Return the file that is given before a command line, if any, and the words behind btmon's own name."""
    name = Path(words[0]).name
    is_file = not (words[0].startswith("-") or PROGRAM.fullmatch(name) or STARTER.fullmatch(name))
    rest = words[is_file:]
    behind = next((number for number, _ in enumerate(rest, 1) if _ends_with_program(rest[:number])), 0)
    return list(words[:is_file]), rest[behind:]


def _ends_with_program(words: Sequence[str]) -> bool:
    """Whether the last word is btmon. Behind an option only btmon.py is: `--mqtt-clientid btmon` is a value."""
    name = Path(words[-1]).name
    is_certain = name.endswith(".py") or not any(word.startswith("-") for word in words)
    return is_certain and PROGRAM.fullmatch(name) is not None


@attrs.define
class CommandLine:
    """Reads the words of a command line, and adds what they say. `files` are the configuration files that it names."""

    options: Options
    files: list[str] = attrs.field(factory=list)

    def read(self, words: Sequence[str]) -> None:
        """Read all words. What btmon would not have understood becomes a doubt."""
        rest = list(words)
        while rest:
            word = rest.pop(0)
            if word.startswith("--"):
                self._long(word, rest)
            elif word.startswith("-") and word != "-":
                self._short(word, rest)
            else:
                self.options.doubts.add(word, "btmon knew no such word, and did nothing with it; it is left out")

    def _long(self, word: str, rest: list[str]) -> None:
        written, equals, value = word.partition("=")
        flag = self._complete(written)
        if flag in WITHOUT_NAME:
            return
        option = FLAGS.get(flag)
        if option is None:
            near = get_close_matches(flag, FLAGS, 1)
            hint = f"did you mean {near[0]}? It" if near else "it"
            self.options.doubts.add(written, f"btmon had no such option, and ended; {hint} is left out")
        else:
            self._take(option, flag, [value, *rest] if equals else rest, given=bool(equals))

    def _short(self, word: str, rest: list[str]) -> None:
        letters = word[1:]
        while letters:
            flag, letters = f"-{letters[0]}", letters[1:]
            option = FLAGS.get(flag)
            if option is None:
                if flag not in WITHOUT_NAME:
                    self.options.doubts.add(flag, "btmon had no such option, and ended; it is left out")
            elif option.takes_value and letters:
                self._take(option, flag, [letters], given=True)
                return
            else:
                self._take(option, flag, rest, given=False)

    def _complete(self, written: str) -> str:
        known = [flag for flag in (*FLAGS, *WITHOUT_NAME) if flag.startswith(written)]
        if written in known:
            return written
        if len(known) == 1:
            return known[0]
        return self._without_hyphens(written)

    def _without_hyphens(self, written: str) -> str:
        """Return what is meant by --serialport, which old descriptions have."""
        known = FLAGS.get(f"--{option_name(written[2:]).replace('_', '-')}")
        if known is None:
            return written
        self.options.doubts.add(written, f"btmon knew it as {known.flags[-1]}, and ended; it is taken as that")
        return known.flags[-1]

    def _take(self, option: Option, flag: str, words: list[str], *, given: bool) -> None:
        if not option.takes_value:
            if given:
                self.options.doubts.add(flag, "takes no value; btmon ended")
            self.options.add(option.name, value=True, where=flag)
        elif not words:
            self.options.doubts.add(flag, "expected a value behind it; it is left out")
        elif option is CONFIGURATION:
            self.files.append(words.pop(0))
        else:
            self.options.add(option.name, words.pop(0), flag)
