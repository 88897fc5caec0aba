# SPDX-License-Identifier: GPL-3.0-or-later
"""A command line, read as btmon read it: `--serial --serial-port=/dev/ttyUSB0 -p`.

A long option may be cut short as long as it is the only one that begins so, as in Python's optparse.
"""

from collections.abc import Sequence

import attrs

from btmon_migrate.given import Options
from btmon_migrate.options import CONFIGURATION, FLAGS, WITHOUT_NAME, Option


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
            elif not word.endswith(("btmon.py", "btmon3.py", "btmon", "python", "python2", "python3")):
                self.options.doubts.add(word, "btmon knew no such word, and did nothing with it; it is left out")

    def _long(self, word: str, rest: list[str]) -> None:
        written, equals, value = word.partition("=")
        flag = self._complete(written)
        if flag in WITHOUT_NAME:
            return
        option = FLAGS.get(flag)
        if option is None:
            self.options.doubts.add(written, "btmon had no such option, and ended; it is left out")
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
        if written in known or len(known) != 1:
            return written
        return known[0]

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
