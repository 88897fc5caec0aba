# SPDX-License-Identifier: GPL-3.0-or-later
"""The sink for a program: it is started, and gets each line on its standard input."""

import shutil
from collections.abc import Iterable, Iterator

import attrs

from btcore import (
    Batch,
    Context,
    DiagnosisContext,
    Duration,
    Finding,
    Problem,
    Retry,
    Secret,
    Serials,
    Stop,
    hookimpl,
    plugin,
    setting,
)
from btmon_pipe.child import Child, child_environment
from btmon_pipe.exchange import Ended, Senseless, TimedOut
from btmon_pipe.sender import LineSender
from btmon_pipe.sink import LineSink, count_readings


@plugin(api=1)
class PipeProgram(LineSink):
    """Starts a program, and writes each sample to its standard input as a line of JSON."""

    command: list[str] = setting(
        help="the program and its arguments, without a shell", validator=attrs.validators.min_len(1)
    )
    acknowledge: bool = setting(
        default=False,
        help="whether the program answers each line with a line of its own: ok, retry WHY or reject WHY",
    )
    timeout: Duration = setting(
        default=Duration(30),
        help="the program is killed and started again if it neither reads nor answers for this long",
        validator=attrs.validators.gt(0),
    )
    environment: dict[str, Secret] = setting(
        factory=dict, help="variables of its environment; beside these it gets PATH, HOME, LANG, TZ and the like"
    )
    serials: Serials = setting(
        default="full", help="how meters are named: full, the serial number; short, XXX and the last three digits"
    )
    _child: Child | None = attrs.field(init=False, default=None, repr=False)
    _sender: LineSender = attrs.field(init=False, factory=LineSender, repr=False)

    def check(self) -> Iterator[Problem]:
        """Find a program that is not there: a warning, as it may come."""
        if self.command and shutil.which(self.command[0]) is None:
            yield Problem(f"there is no program {self.command[0]!r}", key="command", warning=True)

    def diagnose(self, _context: DiagnosisContext) -> Iterable[Finding]:
        """Find a program that is not there; it is not started."""
        if shutil.which(self.command[0]) is None:
            text = f"there is no program {self.command[0]!r} that this user may start"
            yield Finding("program-missing", text, "Correct `command`, or make the file executable")

    @hookimpl
    def open(self, context: Context) -> None:
        """Start the program, so that one that cannot start is reported before there is anything for it."""
        self._prepare(context, self.serials)
        if not context.dry_run:
            self._start()

    @hookimpl
    def close(self) -> None:
        """End the program's input, and wait for its end."""
        if self._child is not None:
            self._child.stop()
        self._child = None

    @hookimpl
    def process_batch(self, batch: Batch) -> int:
        """Write a batch; return of how many readings something was written. Raises Retry, Reject or Stop."""
        records = self._records(batch)
        if records:
            child = self._running()
            try:
                self._sender.send(records, child.exchange, acknowledge=self.acknowledge, who="the program")
                if child.has_ended:
                    raise Ended  # noqa: TRY301 - as if it had been noticed while writing
            except Ended:
                raise self._failed(child, f"the program {child.describe_end()}") from None
            except TimedOut:
                raise self._failed(child, f"the program took nothing for {self.timeout:g} s, and was killed") from None
            except Senseless as error:
                expected = "expected ok, retry or reject for each line"
                raise self._failed(child, f"the program answered {str(error)!r:.100}; {expected}") from None
        return count_readings(batch, records)

    def _running(self) -> Child:
        """Return the program. Raises Retry if it has ended: it is started again after the core's wait."""
        if self._child is not None and self._child.has_ended:
            raise self._failed(self._child, f"the program {self._child.describe_end()}")
        return self._child or self._start()

    def _start(self) -> Child:
        environment = child_environment({name: secret.reveal() for name, secret in self.environment.items()})
        try:
            self._child = Child(self.command, environment, self._context.log, self.acknowledge, self.timeout)
        except (FileNotFoundError, PermissionError, ValueError) as error:  # ValueError: a null character in an argument
            reason = getattr(error, "strerror", None) or error
            raise Stop(f"the program {self.command[0]!r} cannot be started: {reason}; check `command`") from None
        return self._child

    def _failed(self, child: Child, why: str) -> Retry:
        """End what is left of the program: the next try starts it anew, after the core's wait."""
        child.stop(at_once=True)
        self._child = None
        return Retry(why)
