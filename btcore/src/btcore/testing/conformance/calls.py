# SPDX-License-Identifier: GPL-3.0-or-later
"""The calls of a plugin's hooks as the core makes them, and what came of each: by the rules of `sinks/calls.py`."""

import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from io import StringIO
from itertools import islice
from queue import Empty, SimpleQueue
from typing import Any, Literal

import attrs

from btcore.errors import Reject, Retry, Stop
from btcore.hook_calls import hook_caller
from btcore.records import Batch
from btcore.settings import Context
from btcore.sinks.results import check_result
from btcore.testing.conformance.lines import Output
from btcore.testing.kit.runs import recorded_log
from btcore.text import describe_error

PATIENCE = 20.0
"""Seconds that a call may take."""

Answered = Literal["delivered", "retry", "reject", "reject all", "stop", "bug", "hang"]
"""What came of a call: the answers of a sink, an exception that is none of them, or nothing within `PATIENCE`."""


MOST = 1000
"""The most things that are taken of what a plugin yields."""


class Hangs(Exception):
    """Raised when a call does not return: nothing more can be seen of this plugin."""


def bounded(found: Iterable[Any]) -> list[Any]:
    """Return what a plugin yields. Raises ValueError for what seems to have no end."""
    some = list(islice(found, MOST + 1))
    if len(some) > MOST:
        raise ValueError(f"it yields more than {MOST} things")
    return some


@attrs.frozen
class Outcome:
    """What came of one call, and the text of what it raised."""

    answer: Answered
    text: str = ""

    @property
    def is_classified(self) -> bool:
        """Whether the core knows what it means."""
        return self.answer not in ("bug", "hang")


class Lane:
    """A thread in which calls are made one after the other, as those of one instance are."""

    def __init__(self, output: Output) -> None:
        """Start it; what its calls raise is noted in `output`."""
        self._output = output
        self._works: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        self._outcomes: SimpleQueue[Outcome] = SimpleQueue()
        self._thread = threading.Thread(target=self._serve, daemon=True, name="conforms")
        self._thread.start()
        self.hangs = False

    def run(self, work: Callable[[], object]) -> Outcome:
        """Do something; return what came of it. What hangs is left behind, with all that comes after it."""
        if not self.hangs:
            self._works.put(work)
            with suppress(Empty):
                return self._outcomes.get(timeout=PATIENCE)
        self.hangs = True
        return Outcome("hang", f"it has not returned for {PATIENCE:.0f} s")

    def end(self) -> None:
        """End the thread, unless it hangs."""
        self._works.put(None)
        self._thread.join(1)

    def _serve(self) -> None:
        while (work := self._works.get()) is not None:
            self._outcomes.put(self._outcome(work))

    def _outcome(self, work: Callable[[], object]) -> Outcome:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - a plugin's code, which is what is looked at
            self._output.add("the text of an error", describe_error(error), _safe_repr(error))
            return Outcome(_meaning(error), describe_error(error))
        return Outcome("delivered")


@attrs.define
class Caller:
    """Opens instances, and takes note of what they say."""

    output: Output

    @contextmanager
    def using(self, instance: object) -> Iterator["Opened"]:
        """Return what calls the hooks of an instance, in a thread of its own; it is closed at the end of the block."""
        opened = Opened(instance, Lane(self.output))
        try:
            yield opened
        finally:
            opened.close()
            opened.lane.end()

    def apart(self, work: Callable[[], object], what: str) -> Outcome:
        """Do something in a thread of its own; return what came of it. Raises Hangs if it does not return."""
        lane = Lane(self.output)
        outcome = lane.run(work)
        lane.end()
        if outcome.answer == "hang":
            raise Hangs(f"{what} does not return within {PATIENCE:.0f} s: it has nothing to wait for")
        return outcome

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Take note of all that is logged and printed while the block runs."""
        printed = StringIO()
        with recorded_log() as lines, redirect_stdout(printed), redirect_stderr(printed):
            yield
        sys.stdout.write(printed.getvalue())
        self.output.add("the log", *lines)
        self.output.add("what it prints", printed.getvalue())


def _safe_repr(error: BaseException) -> str:
    try:
        return repr(error)
    except BaseException:  # noqa: BLE001 - of a plugin's own exception
        return ""


def _meaning(error: BaseException) -> Answered:
    match error:
        case Retry() | OSError():
            return "retry"
        case Reject():
            return "reject all" if error.whole_batch else "reject"
        case Stop():
            return "stop"
    return "bug"


@attrs.define
class Opened:
    """An instance, its hooks, and the calls of them."""

    instance: Any
    lane: Lane
    hooks: Any = attrs.field(init=False)
    closed: Outcome | None = None

    def __attrs_post_init__(self) -> None:
        """Find its hooks."""
        self.hooks = hook_caller(self.instance)

    def open(self, context: Context) -> Outcome:
        """Open it."""
        return self.lane.run(lambda: self.hooks.open(context=context))

    def process(self, batch: Batch) -> Outcome:
        """Deliver a batch. An answer that is no count of readings is a bug."""
        return self.lane.run(lambda: check_result(self.hooks.process_batch(batch=batch), batch))

    def close(self) -> Outcome:
        """Close it, once. Raises Hangs if that does not return."""
        if self.closed is None:
            hung = self.lane.hangs
            self.closed = self.lane.run(self.hooks.close)
            if self.closed.answer == "hang" and not hung:
                raise Hangs(f"`close` does not return within {PATIENCE:.0f} s: a program that ends waits for it")
        return self.closed
