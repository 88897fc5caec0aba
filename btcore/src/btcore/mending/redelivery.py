# SPDX-License-Identifier: GPL-3.0-or-later
"""Delivering again while no program runs, and showing what would be delivered again.

The running program does it in its sinks' workers; here a sink is opened for it alone.
"""

import logging
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from datetime import UTC
from itertools import chain
from threading import Event
from typing import Any

from btcore.backoff import Backoff
from btcore.classes import evolve
from btcore.config.site import Sink, Site, context_of
from btcore.decode.decoders import Decoders
from btcore.journal import Checkpoint, Journal
from btcore.journal.partitions import parts_of
from btcore.logs.failures import FailureReporter
from btcore.records import from_microseconds
from btcore.replay.history import History
from btcore.replay.requests import Request
from btcore.replay.selection import select
from btcore.settings import Delivery
from btcore.sinks.calls import HookCalls
from btcore.sinks.limits import RateLimit
from btcore.sinks.redelivery import Redelivery
from btcore.sinks.request_work import begin_request, sampling_of
from btcore.status import ReplayStatus
from btcore.status.replays import request_status

REPORT_INTERVAL = 0.5
"""Seconds between two reports of how far it has come."""


def deliver_at_rest(
    site: Site, journal: Journal, sink: Sink, request: Request, stop: Event, redact: Callable[[str], str] = str
) -> Iterator[ReplayStatus]:
    """Deliver what waits for a sink, up to a new request; yield now and then how far it has come, at last its result.

    Raises Stop, ShuttingDown, Unavailable. What is not done then is done by the next run.
    """
    context, delivery, log = context_of(site, sink), live_delivery(sink), logging.getLogger(sink.table)
    with ExitStack() as opened:
        decoders = open_decoders(site, opened)
        limiter = RateLimit(delivery.min_call_interval, delivery.max_calls_per_hour)
        redelivery = Redelivery(journal, decoders, context, delivery, limiter, redact)
        redelivery.requests.ask(request)
        backoff = Backoff(delivery.min_backoff, delivery.max_backoff)
        calls = HookCalls(sink.instance, backoff, FailureReporter(log), log, stop, str)
        opened.callback(calls.call, "close")
        calls.retry_until_prepared(lambda: calls.call("open", context=context))
        yield from _turns(redelivery, calls, request)


def _turns(redelivery: Redelivery, calls: HookCalls, request: Request) -> Iterator[ReplayStatus]:
    last = -math.inf
    while redelivery.requests.is_waiting(request.number):
        calls.raise_if_stopping()
        if not redelivery.turn(calls):
            calls.wait(redelivery.next_turn_in)
        status = redelivery.status()
        if status is not None and time.monotonic() - last >= REPORT_INTERVAL:
            last = time.monotonic()
            yield status
    yield request_status(redelivery.requests.get(request.number) or request, finished=True)


def live_delivery(sink: Sink) -> Delivery:
    """Return the delivery settings of a sink, with whether it takes only what is live."""
    return evolve(sink.delivery, only_live=sink.only_live)


def open_decoders(site: Site, opened: ExitStack) -> Decoders:
    """Return decoders of a site for one use; they are closed with the stack."""
    contexts = [context_of(site, one) for one in site.decoders]
    decoders: Decoders = Decoders(
        [one.instance for one in site.decoders], (), contexts, name_meter=site.meters.current_serial
    ).for_worker(logging.getLogger("btcore"))
    opened.callback(decoders.close)
    decoders.open(skip_failing=True)
    return decoders


def preview_request(site: Site, journal: Journal, sink: Sink, request: Request) -> Mapping[str, Any]:
    """Return what a request would deliver: how many readings and samples, of which meters, from when to when."""
    meters: Counter[str] = Counter()
    samples, keys = 0, []
    with ExitStack() as opened:
        decoders, delivery = open_decoders(site, opened), live_delivery(sink)
        sampling = sampling_of(context_of(site, sink), delivery)
        for part in parts_of(journal):
            one, live = begin_request(part, sink.table, request)
            end = one.read_to if delivery.interval else one.end
            history = History(part, decoders, sampling, end, (live or Checkpoint()).baselines)
            for found in chain.from_iterable(history.portions()):
                if (step := select(found.step, one)) is not None:
                    meters.update(reading.serial for reading in step.readings)
                    samples += len(step.samples)
                    keys += [reading.key for reading in step.readings]
                    keys = [min(keys), max(keys)] if keys else []
    span = [from_microseconds(key).astimezone(UTC).isoformat().replace("+00:00", "Z") for key in keys]
    first, last = (span[0], span[-1]) if span else ("", "")
    return {"readings": meters.total(), "samples": samples, "meters": dict(meters), "first": first, "last": last}
