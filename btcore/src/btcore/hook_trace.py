# SPDX-License-Identifier: GPL-3.0-or-later
"""Traces of hook calls: who was called, for how long, with how many readings, and what it answered.

The trace is on while a `HookTrace` is: it sets the level of the logger `btcore.trace`. Off, it costs one look when an
instance is registered (`hookspecs.is_traced`), and nothing in a call.
"""

import logging
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from time import perf_counter
from typing import Any, Self

import pluggy

from btcore.classes import define, field, frozen
from btcore.hookspecs import TRACE
from btcore.records import Batch, Chunk, Reading
from btcore.text import describe_error, plural

COUNTED_ONLY = {"decode_packet"}
"""Hooks that are called for each packet: they are counted, and have no line of their own."""

MAX_ANSWERS = 8
"""The most kinds of answers that are counted for one hook of one instance; all others count as one."""


@frozen
class HookCall:
    """One call: of whose hook, how long it took, what it was given, and what it answered; `kind` is short for that."""

    who: str
    hook: str
    seconds: float
    given: str
    answer: str
    kind: str
    readings: int = 0

    def __str__(self) -> str:
        """As a line of the log."""
        return f"{self.who} {self.hook}({self.given}): {self.seconds:.3f} s, {self.answer}"


def trace_calls(manager: "pluggy.PluginManager", who: str) -> None:
    """Trace the calls of the one instance that a plugin manager has."""
    begun: list[float] = []  # a stack: an instance is called by one thread at a time

    def before(*_call: object) -> None:
        begun.append(perf_counter())

    def after(outcome: "pluggy.Result[Any]", hook: str, methods: Sequence[Any], given: Mapping[str, Any]) -> None:
        seconds = perf_counter() - begun.pop()
        if not methods:
            return  # it does not have this hook
        if hook == "collect" and outcome.exception is None:
            outcome.force_result(_traced_items(outcome.get_result(), who))
            return
        _log(_call(who, hook, seconds, given, outcome))

    manager.add_hookcall_monitoring(before, after)


def _call(who: str, hook: str, seconds: float, given: Mapping[str, Any], outcome: "pluggy.Result[Any]") -> HookCall:
    batch = given.get("batch")
    known = f"{plural(len(batch.readings), 'reading')}, {plural(len(batch.samples), 'sample')}" if batch else ""
    count = len(batch.readings) if isinstance(batch, Batch) else 0
    if outcome.exception is not None:
        return HookCall(who, hook, seconds, known, *_raised(outcome.exception), count)
    result = outcome.get_result()
    if hook == "decode_packet":
        kind = "not mine" if result is None else type(result).__name__
    else:
        kind = "returned" if result is None or not isinstance(result, int) else "returned a count"
    return HookCall(who, hook, seconds, known, f"returned {_short(result)}", kind, count)


def _raised(error: BaseException) -> tuple[str, str]:
    kind = type(error).__name__
    return f"raised {kind}: {describe_error(error)}", kind


def _short(result: object) -> str:
    if result is None or isinstance(result, int):
        return str(result)
    return f"a {type(result).__name__}"


def _traced_items(items: Any, who: str) -> Any:  # noqa: ANN401 - whatever a plugin returns
    """Return what a source yields, to be counted as it comes; what is no iterable is returned as it is."""
    return _count_items(items, who) if isinstance(items, Iterable) and not isinstance(items, str | bytes) else items


def _count_items(items: Iterable[Any], who: str) -> Iterator[Any]:
    """Yield the items of a source; when it ends, log how many they were, and how long they were waited for."""
    begin, waited, counts = perf_counter(), 0.0, {"chunks": 0, "bytes": 0, "readings": 0}
    answer, kind = "closed", "closed"
    source = iter(items)
    try:
        while True:
            asked = perf_counter()
            try:
                item = next(source)
            except StopIteration:
                answer, kind = "ended", "ended"
                return
            finally:
                waited += perf_counter() - asked
            _count(item, counts)
            yield item
    except Exception as error:
        answer, kind = _raised(error)
        raise
    finally:
        close = getattr(source, "close", None)
        if callable(close):
            close()
        given = f"{plural(counts['chunks'], 'chunk')}, {counts['bytes']} bytes, {plural(counts['readings'], 'reading')}"
        answer = f"{answer}; {waited:.3f} s of that in the plugin"
        _log(HookCall(who, "collect", perf_counter() - begin, given, answer, kind, counts["readings"]))


def _count(item: object, counts: dict[str, int]) -> None:
    if isinstance(item, Chunk):
        counts["chunks"] += 1
        counts["bytes"] += len(item.data)
    elif isinstance(item, Reading):
        counts["readings"] += 1


def _log(call: HookCall) -> None:
    TRACE.debug("%s", call, extra={"hook_call": call})


@define
class HookTotal:
    """All calls of one hook of one instance."""

    calls: int = 0
    seconds: float = 0.0
    longest: float = 0.0
    readings: int = 0
    answers: dict[str, int] = field(factory=dict)

    def add(self, call: HookCall) -> None:
        """Count a call."""
        self.calls += 1
        self.seconds += call.seconds
        self.longest = max(self.longest, call.seconds)
        self.readings += call.readings
        kind = call.kind if call.kind in self.answers or len(self.answers) < MAX_ANSWERS else "others"
        self.answers[kind] = self.answers.get(kind, 0) + 1


class HookTrace(logging.Filter):
    """Counts the calls that the logger of the trace reports, and lets through those that have a line of their own."""

    def __init__(self) -> None:
        """Count nothing yet."""
        super().__init__()
        self._totals: dict[tuple[str, str], HookTotal] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        """Switch the trace on: for instances that are registered from now on."""
        TRACE.setLevel(logging.DEBUG)
        TRACE.addFilter(self)
        return self

    def __exit__(self, *_: object) -> None:
        """Switch it off."""
        TRACE.removeFilter(self)
        TRACE.setLevel(logging.NOTSET)

    def filter(self, record: logging.LogRecord) -> bool:
        """Count the call of a record; return whether it is logged."""
        call = getattr(record, "hook_call", None)
        if not isinstance(call, HookCall):
            return True
        with self._lock:
            self._totals.setdefault((call.who, call.hook), HookTotal()).add(call)
        return call.hook not in COUNTED_ONLY

    def table(self) -> list[str]:
        """Return a line for each hook of each instance, under a line of headings."""
        with self._lock:
            rows = [_row(who, hook, total) for (who, hook), total in sorted(self._totals.items())]
        rows.insert(0, ("WHO", "HOOK", "CALLS", "SECONDS", "LONGEST", "READINGS", "ANSWERS"))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _row(who: str, hook: str, total: HookTotal) -> tuple[str, ...]:
    answers = ", ".join(f"{kind} {count}" for kind, count in sorted(total.answers.items()))
    numbers = (str(total.calls), f"{total.seconds:.3f}", f"{total.longest:.3f}", str(total.readings))
    return (who, hook, *numbers, answers)
