# SPDX-License-Identifier: GPL-3.0-or-later
"""What a sink makes of each answer of its hosted service: nothing is lost, and nothing is taken for a bug."""

from collections.abc import Iterator, Sequence

import attrs

from btcore.testing.conformance.calls import Caller, Outcome
from btcore.testing.conformance.faults import Fault
from btcore.testing.conformance.sinks import full_batch
from btcore.testing.conformance.subject import Subject
from btcore.testing.kit.batches import make_batch, make_readings
from btcore.testing.kit.hosted_service import Reply, Request

SENT_BACK = "what came was: "


def _echo(request: Request) -> Reply:
    """Refuse a request as services do that show what they were sent, keys included."""
    text = f"{SENT_BACK}{request.path} {request.query} {dict(request.headers)} {request.text[:2000]}"
    return Reply(400, text)


@attrs.frozen
class Scenario:
    """What the service does, and which answers of the sink are right; the advice is for all others."""

    what: str
    reply: Reply
    right: frozenset[str]
    advice: str


LATER = frozenset({"retry"})
NOT_NOW = frozenset({"retry", "stop", "reject"})

SCENARIOS: Sequence[Scenario] = (
    Scenario("the service is down (503)", Reply(503, "down"), LATER, "raise Retry, so that the readings wait"),
    Scenario("the service fails (500)", Reply(500, "oops"), LATER | {"reject"},
             "raise Retry, so that the readings wait"),
    Scenario("it is too much for the service (429)", Reply(429, "slow down", {"Retry-After": "17"}), LATER,
             "raise Retry with the seconds that it asks for"),
    Scenario("the key is wrong (401)", Reply(401, "who are you?"), NOT_NOW,
             "raise Stop: a person has to act, and the readings wait"),
    Scenario("the key may not do that (403)", Reply(403, "no"), NOT_NOW, "raise Stop: a person has to act"),
    Scenario("the address is wrong (404)", Reply(404, "no such page"), NOT_NOW, "raise Stop: a person has to act"),
    Scenario("the service refuses it (400)", Reply(400, "bad"), NOT_NOW | {"reject all"}, "raise Reject"),
    Scenario("the connection is cut", Reply(wire="reset"), LATER, "raise Retry, or let the OSError pass"),
    Scenario("the service never answers", Reply(wire="hang"), LATER, "time out, and raise Retry"),
    Scenario("the service answers a byte now and then", Reply(wire="drip"), LATER,
             "bound the time of the entire request: a time-out between two bytes is none (btcore.web.Client has one)"),
)  # fmt: skip


def answer_faults(subject: Subject, caller: Caller, *, must_send: bool) -> Iterator[Fault]:
    """Yield what is wrong with a sink's answers for a hosted service. `must_send`: that it sends nothing is a fault."""
    if not _sends(subject, caller):
        advice = "give `conforms` settings with which it does; and keep nothing in the class, which instances share"
        if must_send:
            yield Fault("answer", f"of the readings of two meters it sends nothing to its service: {advice}")
        return
    for scenario in SCENARIOS:
        outcome = _outcome(subject, caller, scenario.reply)
        if outcome is not None and outcome.answer not in scenario.right:
            yield Fault("answer", f"when {scenario.what}: {_described(outcome)}; {scenario.advice}")
    yield from _unreachable_faults(subject, caller)
    yield from _nonsense_faults(subject, caller)
    yield from _recovery_faults(subject, caller)


def _described(outcome: Outcome) -> str:
    match outcome.answer:
        case "delivered":
            return "it returns, so the batch counts as delivered and is lost"
        case "bug":
            return f"it raises {outcome.text}, which the core takes for a bug"
        case "hang":
            return outcome.text
    return f"it answers {outcome.answer} ({outcome.text})"


def _sends(subject: Subject, caller: Caller) -> bool:
    """Whether a batch makes requests at all, with these settings."""
    seen = len(subject.service.requests)
    with caller.using(subject.make()) as opened:
        opened.open(subject.context("sink"))
        seen = len(subject.service.requests)
        opened.process(full_batch())
    return len(subject.service.requests) > seen


def _outcome(subject: Subject, caller: Caller, reply: Reply) -> Outcome | None:
    """Deliver a batch to a service that answers so from then on; None where it was not asked at all."""
    service = subject.service
    instance = subject.make(**subject.impatient())
    with caller.using(instance) as opened:
        if opened.open(subject.context("sink")).answer != "delivered":
            return None
        before, seen = service.answer, len(service.requests)
        service.answer = reply
        try:
            outcome = opened.process(full_batch())
            opened.close()
        finally:
            service.answer = before
    if len(service.requests) == seen:
        return None
    return outcome


def _unreachable_faults(subject: Subject, caller: Caller) -> Iterator[Fault]:
    """Look at a service that is not there when the sink is opened, and at `close` afterwards."""
    subject.service.down()
    try:
        with caller.using(subject.make(**subject.impatient())) as opened:
            outcome = opened.open(subject.context("sink"))
            if outcome.answer == "delivered":
                outcome = opened.process(full_batch())
            closed = opened.close()
    finally:
        subject.service.up()
    if outcome.answer not in {"retry", "stop"}:
        yield Fault("answer", f"when nobody listens at its address: {_described(outcome)}; let the OSError pass")
    if not closed.is_classified:
        yield Fault("close", f"`close` fails where `open` or the delivery failed before: {closed.text}")


def _nonsense_faults(subject: Subject, caller: Caller) -> Iterator[Fault]:
    """Look at answers that are not the service's own, and at one with the sink's own keys in it."""
    for body in ("<html>Welcome to our hotel</html>", "{", "\x00\xff", ""):
        outcome = _outcome(subject, caller, Reply(200, body))
        if outcome is not None and not outcome.is_classified:
            yield Fault("answer", f"when the answer is not the service's own ({body!r}): {_described(outcome)}")
            break
    service, before = subject.service, subject.service.answer
    with caller.using(subject.make(**subject.impatient())) as opened:
        opened.open(subject.context("sink"))
        service.answer = _echo
        outcome = opened.process(full_batch())
        opened.close()
        service.answer = before
    if outcome.answer == "delivered":
        yield Fault("answer", "when the service refuses it (400) and says why: it returns, so the batch is lost")


def _recovery_faults(subject: Subject, caller: Caller) -> Iterator[Fault]:
    """Fail once in the middle of a batch, then work again: the same instance delivers the batch."""
    with caller.using(subject.make(**subject.impatient())) as opened:
        opened.open(subject.context("sink"))
        subject.service.fail(Reply(wire="lost"), Reply(503))
        batch = make_batch(make_readings(3))
        outcomes = [opened.process(batch) for _ in range(6)]
        subject.service.forget_failures()
    if all(one.answer != "delivered" for one in outcomes):
        yield Fault("answer", f"it does not work again after a failure: {_described(outcomes[-1])}")
