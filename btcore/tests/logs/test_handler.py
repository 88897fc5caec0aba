# SPDX-License-Identifier: GPL-3.0-or-later
"""Logs: one line an event, and never a secret, however it is written."""

import asyncio
import base64
import html
import io
import json
import logging
import sys
import threading
import warnings
from collections.abc import Iterator
from urllib.parse import quote, quote_plus, urlencode

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from btcore.logs.formatter import Formatter
from btcore.logs.handler import LogHandler, set_up
from btcore.logs.recent import MAX_TEXT, MAX_WARNINGS, recent_warnings
from btcore.redaction import MIN_SECRET_LENGTH

SECRET = 'p&ss "wörd/+=\\1'


class Written(io.StringIO):
    """Takes what is logged; asked for it, waits until everything is written."""

    def getvalue(self) -> str:
        """Return all that was logged so far."""
        for handler in logging.getLogger().handlers:
            if isinstance(handler, LogHandler):
                assert handler.queue.flush(20)
        return super().getvalue()


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """Set up the program's log, with one secret; return where it goes."""
    root = logging.getLogger()
    before = (root.handlers[:], root.level, sys.excepthook, threading.excepthook)
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    out = Written()
    monkeypatch.setattr(sys, "stderr", out)
    set_up(verbose=True, secrets=[SECRET, "abc"])
    yield out
    logging.captureWarnings(capture=False)
    for handler in root.handlers:
        handler.close()
    root.handlers[:], root.level, sys.excepthook, threading.excepthook = before


def hidden(text: str) -> bool:
    """Whether nothing of the secret is in a text: not even a part that says much."""
    return not any(part in text for part in ("p&ss", "wörd", "rd/+=", "w%C3", "d%2F"))


WAYS = {
    "plain": SECRET,
    "quoted": quote(SECRET),
    "quoted whole": quote(SECRET, safe=""),
    "a form": quote_plus(SECRET),
    "an address": "https://service/?" + urlencode({"key": SECRET, "v": "1"}),
    "repr": repr({"key": SECRET}),
    "JSON": json.dumps({"key": SECRET}),
    "XML": html.escape(SECRET),
}


@pytest.mark.parametrize("text", WAYS.values(), ids=WAYS)
def test_no_way_of_writing_a_secret_shows_it(text: str) -> None:
    """A secret is redacted out as it is, as in an address, in a form, in JSON, in XML, and as Python shows it."""
    shown = Formatter("%(message)s", [SECRET]).redact(f"before {text} after")
    assert ("***" in shown, hidden(shown)) == (True, True)
    assert shown.startswith("before ")
    assert shown.endswith(" after")


@given(secret=st.text(min_size=MIN_SECRET_LENGTH, max_size=40), before=st.text(max_size=20), after=st.text(max_size=5))
def test_no_basic_authorization_shows_a_secret(secret: str, before: str, after: str) -> None:
    """A password within base64, after any user's name, cannot be read from what is left."""
    assume("*" not in secret)
    token = base64.b64encode(f"{before}:{secret}{after}".encode()).decode()
    shown = Formatter("%(message)s", [secret]).redact(f"Authorization: Basic {token}")
    left = shown.removeprefix("Authorization: Basic ").split("***")
    assert len(left) >= 2
    # what is left tells no more than the two bytes that the secret's first and last share with others
    assert sum(len(part) for part in left) * 6 // 8 <= len(f"{before}:{after}".encode()) + 4


@given(st.lists(st.text(min_size=MIN_SECRET_LENGTH, max_size=12), max_size=5), st.text(max_size=40))
def test_texts_without_secrets_stay(secrets: list[str], text: str) -> None:
    """Only what holds a secret is changed."""
    form = Formatter("%(message)s", secrets)
    assume(not any(way in text for way in form.redact._forms))
    assert form.redact(text) == text


def test_the_longest_secret_goes_first() -> None:
    """A secret that is the beginning of another does not leave the other's end."""
    assert Formatter("", ["secret", "secret-and-more"]).redact("secret-and-more, secret") == "***, ***"


def test_very_short_secrets_are_left() -> None:
    """A text of a few letters would blank out half of the log."""
    assert Formatter("", ["abc"]).redact("abcd abc") == "abcd abc"


def test_messages_arguments_and_tracebacks_show_none(log: io.StringIO) -> None:
    """A secret is redacted out of the message, its arguments, an exception's text and its traceback."""

    def fail() -> None:
        raise ValueError(f"login with {SECRET} refused")

    try:
        fail()
    except ValueError:
        logging.getLogger("sink.roof").exception("key %s and %r", SECRET, SECRET)
    assert (log.getvalue().count("***") >= 3, hidden(log.getvalue())) == (True, True)
    assert "Traceback" in log.getvalue()


def test_what_no_one_caught_shows_none(log: io.StringIO) -> None:
    """An exception that ends a thread or the program, and a library's warning, go through the log too."""

    def fail() -> None:
        raise ValueError(f"key {SECRET}")

    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()
    try:
        fail()
    except ValueError as error:
        sys.excepthook(type(error), error, error.__traceback__)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning(f"insecure {SECRET}", UserWarning, "file.py", 1)
    assert (log.getvalue().count("***") >= 3, hidden(log.getvalue())) == (True, True)
    assert log.getvalue().count("CRITICAL btcore: unexpected failure") == 2


def test_breaking_off_is_no_fault(log: io.StringIO) -> None:
    """A person who does not want to wait is not told of a fault of the program."""
    sys.excepthook(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert log.getvalue() == ""


def test_a_message_that_does_not_fit_its_arguments_shows_none(
    log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plugin's wrong call is a line of the log as well, and not a dump of its arguments."""
    ours = [one for one in logging.getLogger().handlers if isinstance(one, LogHandler)]
    monkeypatch.setattr(logging.getLogger(), "handlers", ours)  # without that of the test tool, which raises
    logging.getLogger("sink.roof").info("%d watts", SECRET)
    assert hidden(log.getvalue())
    assert "sink.roof: %d watts (not formatted: TypeError)\n" in log.getvalue()


def test_a_message_is_one_line(log: io.StringIO) -> None:
    """What comes from outside can neither begin a line of its own nor steer a terminal."""
    logging.getLogger("sink.roof").info("answered %s", "busy\r\n2026-01-01 INFO forged\x1b[2J\x9b1m\x00")
    assert log.getvalue().count("\n") == 1
    assert "sink.roof: answered busy 2026-01-01 INFO forged [2J 1m \n" in log.getvalue()


@pytest.mark.parametrize(
    ("verbose", "quiet", "expected"), [(False, False, "iwe"), (False, True, "we"), (True, False, "diwe")]
)
def test_how_much_is_told(
    *, monkeypatch: pytest.MonkeyPatch, log: io.StringIO, verbose: bool, quiet: bool, expected: str
) -> None:
    """By default the log has what matters; quiet only what is wrong, verbose everything."""
    monkeypatch.setattr(sys, "stderr", log)
    set_up(verbose=verbose, quiet=quiet)
    tell = logging.getLogger("btcore.test")
    for say, what in ((tell.debug, "d"), (tell.info, "i"), (tell.warning, "w"), (tell.error, "e")):
        say(what)
    assert "".join(line[-1] for line in log.getvalue().splitlines()) == expected


class Untold:
    """A plugin's object that raises what is no ordinary exception when it is to be told."""

    def __str__(self) -> str:
        """Raise."""
        raise asyncio.CancelledError


def test_an_argument_that_cannot_be_told_harms_nobody(log: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a plugin's object raises while a line is made, whoever logs goes on, and the line says so."""
    monkeypatch.setattr(sys, "stderr", log)
    set_up()
    logging.getLogger("sink.roof").warning("status %s", Untold())
    logging.getLogger("sink.roof").warning(Untold())
    assert "status %s (not formatted: CancelledError)\n" in log.getvalue()
    assert "(not formatted: CancelledError)" in log.getvalue()


LINES = "-----BEGIN KEY-----\nq1w2e3r4t5\n-----END KEY-----"


def test_all_that_a_traceback_consists_of_shows_none(log: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    """Groups, notes, causes and contexts are part of a traceback: none shows a secret, of several lines neither."""
    monkeypatch.setattr(sys, "stderr", log)
    set_up(verbose=True, secrets=[SECRET, LINES])
    first, second = ValueError(f"first {SECRET}"), OSError(f"second {LINES}")
    first.__cause__ = KeyError(f"cause {SECRET}")
    second.__context__ = KeyError(f"context {LINES}")
    group = BaseExceptionGroup(f"all {LINES}", [first, ExceptionGroup("inner", [second])])
    group.add_note(f"note {LINES}")
    logging.getLogger("sink.roof").error("failed", exc_info=group)
    shown = log.getvalue()
    assert all(word in shown for word in ("first", "second", "cause", "context", "note", "inner"))
    assert (hidden(shown), "q1w2" in shown) == (True, False)


def test_a_traceback_cannot_begin_a_line_of_the_log(log: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lines of a traceback are kept and indented: no text of an exception looks like a line of the log."""
    error = ValueError("busy\n2026-01-01 00:00:00,000 INFO    btcore: forged\x1b[2J\u202e\u2028x")
    logging.getLogger("sink.roof").error("failed", exc_info=error)
    first, *others = log.getvalue().splitlines()
    assert first.endswith("ERROR   sink.roof: failed")
    assert (len(others), all(line.startswith("  ") for line in others)) == (2, True)
    assert others[-1] == "  2026-01-01 00:00:00,000 INFO    btcore: forged [2J x"


def test_what_is_left_out_is_told_at_the_end_without_secrets(log: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the end of the program it is told what was left out within the hour; no part of a secret is cut out of it."""
    monkeypatch.setattr(sys, "stderr", log)
    set_up(secrets=[SECRET])
    for number in range(10):
        logging.getLogger("sink.roof").warning("%s %d %s", "x" * 170, number, SECRET)
    for handler in logging.getLogger().handlers:
        handler.close()
    shown = io.StringIO.getvalue(log)  # without a wait: the program ends now
    assert "7 more like this within the hour" in shown
    assert hidden(shown)
    assert "p&" not in shown


def test_what_others_write_to_stderr_is_bounded(log: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a library writes to stderr by itself is made plain, without secrets, and neither long nor without end."""
    monkeypatch.setattr(sys, "stderr", log)
    set_up(secrets=[SECRET])
    sys.stderr.write(f"library\x1b[2J {SECRET}\n")
    sys.stderr.write("y" * 100_000 + "\n")
    for _ in range(10):
        sys.stderr.write("z" * 1000)
    lines = log.getvalue().splitlines()
    assert lines[0].startswith("library [2J ***")
    assert lines[1].endswith(" more characters)")
    assert (max(map(len, lines)) < 6000, lines[2].startswith("z" * 4000)) == (True, True)


def test_the_last_warnings_are_remembered_without_secrets(log: io.StringIO) -> None:
    """The newest first, so many and no more, each short; a line of information is none."""
    logger = logging.getLogger("sink.roof")
    logger.info("nothing special")
    logger.warning("refused: %s", SECRET)
    for number in range(MAX_WARNINGS):
        logger.error("failed %d %s", number, "x" * 1000)
    found = recent_warnings()
    assert (len(found), found[0]["from"], found[0]["level"]) == (MAX_WARNINGS, "sink.roof", "error")
    assert found[0]["text"].startswith(f"failed {MAX_WARNINGS - 1} xxx")
    assert max(len(one["text"]) for one in found) <= MAX_TEXT
    logger.warning("refused: %s", SECRET)
    assert recent_warnings()[0]["level"] == "warning"
    assert hidden(recent_warnings()[0]["text"])
    assert "***" in recent_warnings()[0]["text"]
