# SPDX-License-Identifier: GPL-3.0-or-later
"""Opening the journal that a configuration chooses, by a name or a URL: `sqlite`, `sqlite:////srv/btcore/journal.db`.

What is before the colon is the name of an entry point in the group `btcore.journals`; what comes after it is read by
the implementation alone. No message here shows a URL: it may contain a password. Implementations do not belong here.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qsl, unquote

from btcore.classes import evolve, field, frozen
from btcore.discovery import Installed, PluginError, find, installed
from btcore.errors import BtcoreError, ConfigurationError, Problem, Unavailable, is_interrupt
from btcore.journal import Journal, JournalNotReady
from btcore.redaction import REDACTED, redact
from btcore.text import describe_error, nearest

GROUP = "btcore.journals"

DEFAULT = "sqlite"
"""The journal of a configuration that names none."""

USER = re.compile(r"(?<=//).*@")
"""In a URL, a user's name and password, of any characters: up to the last @."""

SECRET_NAME = re.compile(r"pass|token|secret|key|cred|auth", re.IGNORECASE)
"""In the name of a parameter of a URL: its value is a secret."""


READ_ONLY = "Linux makes it so when a disk fails: look at `dmesg`, and mount it for writing again"
"""What is said of a file system that may only be read."""

Sync = Literal["normal", "always"]


@frozen
class JournalOptions:
    """What an implementation is given: the URL, the state directory, and how large the journal may become (0: any).

    `must_exist`: a journal that is not there is not made, but raises Unavailable. `sync`: with `always`, a reading is
    on the disk before it counts as kept; with `normal`, it survives the end of the program.
    """

    url: str = field(repr=False)
    state: Path
    max_bytes: int = 0
    must_exist: bool = False
    sync: Sync = "normal"

    @property
    def rest(self) -> str:
        """What comes after the name and the colon."""
        return self.url.partition(":")[2]


Opener = Callable[[JournalOptions], Journal]
"""What an entry point names: opens the journal, or makes it. Raises Unavailable, or `wrong_url`.

Where it can be opened later without anybody changing the configuration, as on a full disk, it raises JournalNotReady.

It may have an attribute `check`, which is called with the same, opens nothing, and raises as well; it may return a text
that says what would make it raise JournalNotReady now. And one
`is_filled_by_others`, which is true where such a journal has readings without any source of this site.
"""


def open_journal(
    url: str, state: Path, max_bytes: int = 0, *, must_exist: bool = False, sync: Sync = "normal"
) -> Journal:
    """Open the journal of a name or a URL; make it, unless it `must_exist`.

    Raises Unavailable, ConfigurationError; JournalNotReady where it is enough to wait.
    """
    try:
        found = find_journal(url)
        opener: Opener = found.load_object()
    except PluginError as error:
        raise wrong_url(str(error)) from None
    try:
        return opener(JournalOptions(url, state, max_bytes, must_exist, sync))
    except ConfigurationError as error:
        raise _redacted(error, url) from None
    except JournalNotReady as error:
        raise JournalNotReady(redact(str(error), secrets_in(url)), error.location) from None
    except BaseException as error:
        if is_interrupt(error):
            raise
        why = str(error) if isinstance(error, BtcoreError) else f"the {found} cannot be opened: {describe_error(error)}"
        raise Unavailable(redact(why, secrets_in(url))) from None


def check_url(url: str, state: Path) -> str:
    """Raise ConfigurationError where a journal cannot be had by a URL, as far as is known without opening anything.

    Return what would keep it from being opened now, though not later; "" for nothing.
    """
    try:
        check = getattr(find_journal(url).load_object(), "check", None)
    except PluginError as error:
        raise wrong_url(str(error)) from None
    if not callable(check):
        return ""
    try:
        found = check(JournalOptions(url, state, must_exist=True))
    except ConfigurationError as error:
        raise _redacted(error, url) from None
    return redact(found, secrets_in(url)) if isinstance(found, str) else ""


def is_filled_by_others(url: str) -> bool:
    """Whether the journal of a URL has readings that no source of this site appends."""
    if ":" not in url:
        return False
    try:
        return bool(getattr(find_journal(url).load_object(), "is_filled_by_others", False))
    except PluginError:
        return False  # whoever opens it says why


def _redacted(error: ConfigurationError, url: str) -> ConfigurationError:
    """Return an error without the secrets of a URL."""
    return ConfigurationError([evolve(one, message=redact(one.message, secrets_in(url))) for one in error.problems])


def find_journal(url: str) -> Installed:
    """Return the installed implementation that a name or a URL chooses. Raises PluginError."""
    return find(_name(url), installed(GROUP), _describe_missing)


def wrong_url(message: str) -> ConfigurationError:
    """Return the error of a URL that a journal cannot use; the message says what was expected, without the URL."""
    return ConfigurationError([Problem(message, key="journal")])


def check_journal(_: object, __: object, url: str) -> None:
    """Raise ValueError where no installed implementation has the name; for a setting."""
    try:
        find_journal(url)
    except PluginError as error:
        raise ValueError(str(error)) from None


def secrets_in(url: str) -> Iterator[str]:
    """Yield the texts of a URL that no message may show: a password, and parameters such as a token."""
    for user in USER.findall(url):
        name, _, password = user.removesuffix("@").partition(":")
        yield from {password or name, unquote(password or name)}
    for name, value in parse_qsl(USER.sub("", url).partition("?")[2]):
        if SECRET_NAME.search(name):
            yield value


def describe_url(url: str) -> str:
    """Return a URL without its secrets."""
    address, mark, _ = USER.sub(f"{REDACTED}@", url).partition("?")
    return address + (f"?{REDACTED}" if mark else "")


def _name(url: str) -> str:
    return url.partition(":")[0]


def _describe_missing(name: str, among: Mapping[str, object]) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9+._-]{0,30}", name):
        wanted = f"the name of a journal ({', '.join(among)}), alone or as the beginning of a URL"
        return f"expected {wanted}, such as {DEFAULT}:////srv/btcore/journal.db"
    known = f"; the installed journals are {', '.join(among)}" if among else "; pip install --force-reinstall btcore"
    return f'no journal "{name}" is installed{nearest(name, among) or known}'
