# SPDX-License-Identifier: GPL-3.0-or-later
"""Questions to a person at a terminal, one at a time, each with the answer that Enter gives. What to ask is not here.

Texts of plugins, and names of devices, are made plain: they could steer the terminal. Lines have 78 columns at most.
"""

import getpass
import textwrap
from collections.abc import Sequence

from btcore.errors import Unavailable
from btcore.text import plain

WIDTH = 78

YES, NO = {"y", "yes"}, {"n", "no"}


def show(text: str, indent: str = "", further: str = "") -> None:
    """Write a text for the person, its lines wrapped; those behind the first are indented `further`."""
    lines = textwrap.wrap(plain(text), WIDTH, initial_indent=indent, subsequent_indent=further or indent)
    print("\n".join(lines), flush=True)


def ask(question: str, default: str = "") -> str:
    """Return the answer, without blanks around it; the default where there is none."""
    return _read(f"{question} [{default}]: " if default else f"{question}: ") or default


def ask_secret(question: str) -> str:
    """Return an answer that is not shown while it is typed."""
    try:
        return getpass.getpass(f"{plain(question)} (is not shown): ").strip()
    except EOFError:
        print()
        raise _ended() from None


def confirm(question: str, *, default: bool = True) -> bool:
    """Return whether the answer is yes."""
    while True:
        answer = _read(f"{question} [{'Y/n' if default else 'y/N'}]: ").lower()
        if not answer or answer in YES | NO:
            return answer in YES if answer else default
        show("Please answer y or n.")


def choose(question: str, options: Sequence[str], default: int) -> int:
    """Return which of some options is chosen, by its place in the list, or by its text up to the colon."""
    show(question)
    for number, option in enumerate(options, 1):
        show(f"{number:2}  {option}", "  ", " " * 6)
    while True:
        answer = ask("Number", str(default + 1))
        if answer.isdecimal() and 1 <= int(answer) <= len(options):
            return int(answer) - 1
        named = [at for at, option in enumerate(options) if option.partition(":")[0] == answer.lower()]
        if len(named) == 1:
            return named[0]
        show(f"Please answer with a number from 1 to {len(options)}.")


def _read(prompt: str) -> str:
    """Show a prompt, its long beginning on lines of its own; return what is typed. Raises Unavailable at the end."""
    *before, last = textwrap.wrap(plain(prompt), WIDTH, drop_whitespace=True) or [""]
    for line in before:
        print(line)
    try:
        return input(f"{last} ").strip()
    except EOFError:
        print()
        raise _ended() from None


def _ended() -> Unavailable:
    return Unavailable("the answers end before the last question; nothing was written")
