# SPDX-License-Identifier: GPL-3.0-or-later
"""A program that is started, fed through its standard input, and ended: with all that it has started itself."""

import os
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from logging import Logger

import attrs

from btmon_pipe.exchange import Exchange

GRACE = 5.0
"""Seconds that a program may take to end after the end of its input, and again after SIGTERM."""

MAX_LINE = 300
"""The most characters of what it says on its standard error that are shown."""

PASSED_ON = ("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR")
"""The variables of our environment that it gets: in others there may be the keys of other sinks."""


def child_environment(own: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a program."""
    return {name: os.environ[name] for name in PASSED_ON if name in os.environ} | dict(own)


@attrs.define
class Child:
    """A running program. Raises OSError if it cannot be started."""

    command: Sequence[str]
    environment: Mapping[str, str] = attrs.field(repr=False)
    log: Logger = attrs.field(repr=False)
    answers: bool
    timeout: float
    last_words: str = attrs.field(init=False, default="")
    exchange: Exchange = attrs.field(init=False, repr=False)
    _process: subprocess.Popen[bytes] = attrs.field(init=False, repr=False)
    _listener: threading.Thread = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        """Start it, in a session of its own: no Ctrl-C reaches it before it has all that is for it."""
        self._process = subprocess.Popen(  # noqa: S603 - the configuration says what is run
            list(self.command),
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE if self.answers else subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=dict(self.environment),
            start_new_session=True,
        )
        process = self._process
        assert process.stdin is not None  # noqa: S101 - it was asked for
        self.exchange = Exchange(
            process.stdin.fileno(), process.stdout.fileno() if process.stdout else None, self.timeout
        )
        self._listener = threading.Thread(target=self._listen, name="standard error of a program", daemon=True)
        self._listener.start()

    @property
    def has_ended(self) -> bool:
        """Whether it runs no more."""
        return self._process.poll() is not None

    def describe_end(self) -> str:
        """Return how it has ended, in words, with what it said last."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(GRACE)
        self._listener.join(GRACE)
        code = self._process.returncode
        if code is None:
            how = "closed its input"
        elif code < 0:
            names = {number.value: number.name for number in signal.Signals}
            how = f"was ended by {names.get(-code, f'signal {-code}')}"
        else:
            how = f"ended with exit code {code}"
        return f"{how}: {self.last_words}" if self.last_words else how

    def stop(self, *, at_once: bool = False) -> None:
        """End its input, and wait for its end; kill it if that takes long, or `at_once`."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        for how in (signal.SIGKILL,) if at_once else (None, signal.SIGTERM, signal.SIGKILL):
            if how is not None:
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(self._process.pid, how)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(GRACE)
                break
        self._listener.join(GRACE)

    def _listen(self) -> None:
        """Keep the last line of its standard error; the log has all of them, at debug level."""
        assert self._process.stderr is not None  # noqa: S101 - it was asked for
        with self._process.stderr as stream:
            while line := stream.readline(MAX_LINE):
                text = line.decode(errors="replace").strip()
                if text:
                    self.last_words = text
                    self.log.debug("the program says: %s", text)
