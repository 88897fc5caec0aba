# SPDX-License-Identifier: GPL-3.0-or-later
"""The chains of all meters: which reading continues from which.

The last reading of each chain is kept: the next one continues from it. A reading that continues from none begins a
chain of its own, so that one damaged packet costs no energy, and two meters with one serial number are kept apart. The
lifetime of a serial number is kept with its chains. Pure, except for this memory, which is bounded: the baselines of a
meter that was forgotten are read again when it is heard again.
"""

import itertools
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import timedelta

from btcore.calculate.chain import COMPLEMENT, UNPROVEN, Chain, ChainBaseline, SerialState, keys, resume, route_of
from btcore.calculate.lifetime import carry_lifetime
from btcore.calculate.links import NEW, Lifetime, Link
from btcore.calculate.notices import Notice, new_baseline, new_number, two_meters
from btcore.calculate.transition import SLOW_ROUTE_DELAY, NoSample, Transition, comparable, is_same_meter, precedes
from btcore.classes import evolve
from btcore.records import Reading

MAX_METERS = 1024
"""Serial numbers that are remembered; above it, the one silent for longest is forgotten until it is heard again."""

MIN_LATE_LINKS = 2
"""Links of a run of late readings after which they are taken to be those of another meter."""

MAX_LATE = 10
"""Late readings in a row after which the last reading before them is no longer believed."""

MIN_SWITCHES = 3
"""How often readings change from one chain to another until two meters are known to send the serial number."""

MAX_HEARD = 256
"""Packets of all meters that are read again after a restart, so that one that comes twice is recognized."""

MAX_CANDIDATES = 8
"""Meters heard last that are compared with a new serial number, as one of them may have changed its own."""

NO_LIFETIMES: Mapping[str, Lifetime] = {}
"""Of meters that are followed from their first reading on, or from baselines."""


class Chains:
    """The chains of all meters, by serial number."""

    def __init__(
        self,
        baselines: Mapping[str, ChainBaseline],
        *,
        heard: Iterable[tuple[str, bytes]] = (),
        recall: Callable[[str], ChainBaseline | None] = lambda _key: None,
        report: Callable[[Notice], None] = lambda _notice: None,
        max_meters: int = MAX_METERS,
        lifetimes: Mapping[str, Lifetime] = NO_LIFETIMES,
    ) -> None:
        """Resume from these baselines, by the keys of their chains.

        `heard` are the serial numbers and packets of the last readings before, as they may come again. `recall` returns
        the baseline of a chain that was forgotten. `report` takes what a person should know. `lifetimes` are those of
        meters, by serial number, as of the first reading that is followed of them.
        """
        self.skipped: Counter[str] = Counter()
        self._recall = recall
        self._report = report
        self._max_meters = max_meters
        self._lifetimes = lifetimes
        self._known: OrderedDict[str, SerialState] = OrderedDict()
        of_serial: dict[str, dict[str, ChainBaseline]] = {}
        for key, baseline in sorted(baselines.items(), key=lambda pair: pair[1].reading.offset):
            of_serial.setdefault(baseline.reading.serial, {})[key] = baseline
        for serial, of_chains in of_serial.items():
            self._known[serial] = resume(of_chains)
        for serial, raw in heard:
            if serial in self._known:
                self._known[serial].is_repeated(raw)

    def follow(self, reading: Reading) -> Link:
        """Add a reading to the chain that it continues, to a new one, or to none; return its link."""
        state = self._state_of(reading.serial)
        repeated = state.is_repeated(reading.raw)
        if reading.offset <= state.delivered:
            return Link(reading)  # read again after a restart
        if repeated and state.chains:
            is_repeat = route_of(state.chains[-1].last) != route_of(reading)
            if is_repeat or reading.format.has_seconds:  # without, an idle meter sends the same again and again
                return evolve(self._skip(reading, NoSample.DUPLICATE), is_repeat=is_repeat)
        if state.chains and (plain := state.continue_plainly(reading)) is not None:
            return plain
        link = self._continue(state, reading) if state.chains else self._begin_serial(state, reading)
        return state.add_to_lifetime(link, self._lifetimes.get(reading.serial, NEW)) if link.key else link

    def follow_run(self, readings: Sequence[Reading]) -> int:
        """Add readings of one meter as `follow` does, up to the first that has to be examined; return how many.

        They came one after the other, the same way, in one format.
        """
        serial = readings[0].serial
        state = self._known.get(serial)
        done = state.continue_run(readings) if state is not None else 0
        if done:
            self._known.move_to_end(serial)
        return done

    def follow_as(self, link: Link) -> bool:
        """Add a reading to its chain as another sink has; False, and nothing is added, where that is not certain."""
        serial = link.reading.serial
        state = self._known.get(serial)
        if state is None or not state.continue_as(link):
            return False
        self._known.move_to_end(serial)
        return True

    def _begin_serial(self, state: SerialState, reading: Reading) -> Link:
        """Add the first reading of a serial number; if a meter has changed its own to that, continue its chain."""
        found = self._predecessor(reading)
        if found is None:
            return self._begin_chain(state, reading)
        old, chain = found
        self._report(new_number(chain.last, reading))
        state.chains.append(
            Chain(reading.serial, chain.last, chain.first_offset, chain.links, chain.complement, chain.is_adjacent)
        )
        if reading.serial.startswith(f"{chain.last.serial}-"):  # that serial number had two meters until now
            old.chains.remove(chain)
        elif old.lifetime_reading is not None:
            state.lifetime_reading, state.lifetime = chain.last, old.lifetime
            if old.lifetime_reading is not chain.last:
                state.lifetime = carry_lifetime(old.lifetime_reading, old.lifetime, chain.last)
        return self._continue(state, reading)

    def key_of(self, reading: Reading) -> str:
        """Return the key of the chain that a reading which continues none most likely belongs to.

        That is the only chain whose meter can have sent it late, or else the only one of the same route.
        """
        state = self._known.get(reading.serial)
        chains = state.chains if state else []
        sent = [chain.key for chain in chains if chain.may_precede(reading)]
        keys = sent if len(sent) == 1 else [chain.key for chain in chains if route_of(reading) in chain.routes]
        return keys[0] if len(keys) == 1 else reading.serial

    def is_past(self, reading: Reading) -> bool:
        """Whether a reading is from before the last one of its route; if there is none, from long before any other.

        Long before, as of two recordings that are played at once, one is always a little behind.
        """
        state = self._known.get(reading.serial)
        chains = state.chains if state else []
        if len(chains) == 1 and route_of(reading) in chains[0].routes:  # nearly always so
            return reading.time <= chains[0].last.time
        of_route = [chain for chain in chains if route_of(reading) in chain.routes]
        late = timedelta(0) if of_route else timedelta(seconds=SLOW_ROUTE_DELAY)
        return any(reading.time <= chain.last.time - late for chain in of_route or chains)

    def mark_several(self, serial: str) -> None:
        """Note that several meters send a serial number."""
        if serial in self._known:
            self._known[serial].is_several = True

    def is_several(self, serial: str) -> bool:
        """Whether it is known that several meters send this serial number."""
        state = self._known.get(serial)
        return state is not None and state.is_several

    def last(self) -> dict[str, Reading]:
        """Return the last reading of each chain, by its key."""
        return {chain.key: chain.last for state in self._known.values() for chain in state.chains}

    def forget(self, is_needed: Callable[[str], bool] = lambda _key: False) -> list[str]:
        """Forget the meters above the limit, those silent for longest first; return the keys of their chains.

        A meter with a chain that is needed is kept.
        """
        surplus = len(self._known) - self._max_meters
        gone: list[str] = []
        if surplus > 0:
            kept = (s for s, state in self._known.items() if not any(is_needed(chain.key) for chain in state.chains))
            for serial in list(itertools.islice(kept, surplus)):
                gone += [chain.key for chain in self._known.pop(serial).chains]
        return gone

    def _state_of(self, serial: str) -> SerialState:
        state = self._known.get(serial)
        if state is None:
            state = self._known[serial] = resume(dict(self._recalled(serial)))
        self._known.move_to_end(serial)
        return state

    def _predecessor(self, reading: Reading) -> tuple[SerialState, Chain] | None:
        """Return the chain that a reading of a new serial number continues, if a meter has changed its own."""
        heard = (state for serial, state in reversed(self._known.items()) if serial != reading.serial)
        for state in itertools.islice(heard, MAX_CANDIDATES):
            for chain in state.chains:
                of_two = reading.serial.startswith(f"{chain.last.serial}-")
                if (chain.is_proven or of_two) and is_same_meter(chain.last, reading):
                    return state, chain
        return None

    def _recalled(self, serial: str) -> Iterator[tuple[str, ChainBaseline]]:
        # of a new meter only the first key is looked for, so the 31 others are not made: 12 µs less
        for key in itertools.chain(keys(serial, "#"), keys(f"{serial}{UNPROVEN}", "")):
            baseline = self._recall(key)
            if baseline is None and key == serial:
                return
            for name, found in (
                (key, baseline),
                (key + COMPLEMENT, self._recall(key + COMPLEMENT) if baseline else None),
            ):
                if found is not None:
                    yield name, found

    def _skip(self, reading: Reading, why: NoSample) -> Link:
        self.skipped[why.value] += 1
        return Link(reading)

    def _continue(self, state: SerialState, reading: Reading) -> Link:
        if len(state.chains) > 1:
            state.drop_unproven(reading)
        chain, transition = self._best_chain(state, reading)
        if isinstance(transition, Transition):
            return self._append(state, chain, reading, transition)
        if transition is NoSample.DUPLICATE:
            return self._skip(reading, transition)
        return self._late_or_new(state, reading, transition)

    def _best_chain(self, state: SerialState, reading: Reading) -> tuple[Chain, Transition | NoSample]:
        """Return the chain that a reading most likely belongs to, and the transition to it."""
        found: list[tuple[Chain, Transition | NoSample]] = []
        route = route_of(reading)
        of_route = sum(route in chain.routes for chain in state.chains)
        # nearly always it continues the only chain of its route
        for chain in sorted(state.chains, key=lambda one: route not in one.routes):
            transition = state.transition_to(chain, reading)
            if (
                transition is Transition.CONTINUED
                and chain.is_proven
                and not found
                and of_route == 1
                and route in chain.routes
            ):
                return chain, transition
            found.append((chain, transition))
        return min(found, key=lambda pair: state.rank(pair[0], pair[1], reading)) if found[1:] else found[0]

    def _append(self, state: SerialState, chain: Chain, reading: Reading, transition: Transition) -> Link:
        """Add a reading to a chain.

        Another chain that began after its last reading, and was continued, may be of the same meter, whose clock was
        set back and forth: then the energy is in that chain already, and must not be counted twice. Chains that are
        known to be of several meters and come by different routes are both counted.
        """
        before = chain.last
        rivals = [one for one in state.chains if one is not chain and one.first_offset > before.offset and one.links]
        state.late = 0
        is_one_more = state.is_several and not chain.is_proven
        if not chain.is_proven:
            chain.key = state.free_key(reading.serial)
        link = chain.add(reading, transition)
        if chain is not state.chains[-1]:
            state.chains.remove(chain)
            state.chains.append(chain)
            self._switched(state, before, reading)
        state.add_route(chain, route_of(reading))
        if is_one_more:
            self._report_several(state)
        if any(not (state.is_several and one.routes.isdisjoint(chain.routes)) for one in rivals):
            chain.first_offset, chain.links, chain.complement = reading.offset, 0, None
            self.skipped[NoSample.NEW_BASELINE.value] += 1
            return Link(reading, chain.key, complement=link.complement)
        return link

    def _switched(self, state: SerialState, before: Reading, reading: Reading) -> None:
        """Note that readings changed from one chain to another: if often, or by another route, there are two meters."""
        chain, other = state.chains[-1], state.chains[-2]
        if state.is_several or not (chain.links and other.links):
            return
        state.switches += 1
        elsewhere = route_of(reading) not in other.routes and route_of(other.last) not in chain.routes
        state.is_several = state.switches >= MIN_SWITCHES or (elsewhere and other.last.offset > before.offset)
        if state.is_several:
            self._report_several(state)

    def _report_several(self, state: SerialState) -> None:
        self._report(two_meters({one.key: one.last for one in state.chains if one.is_proven}))

    def _late_or_new(self, state: SerialState, reading: Reading, why: NoSample) -> Link:
        """Begin a chain, unless the reading may be late; several that continue each other on time are not late."""
        if any(chain.may_precede(reading) for chain in state.chains):
            return self._skip(reading, NoSample.OUT_OF_ORDER)
        is_new = why in (NoSample.NEW_BASELINE, NoSample.OTHER_FORMAT)
        if is_new and not any(_precedes(reading, chain.last) for chain in state.chains):
            return self._begin_chain(state, reading)
        state.late += 1
        run = state.add_late(reading)
        if run.links >= MIN_LATE_LINKS or state.late > MAX_LATE:
            return self._begin_chain(state, reading)
        return self._skip(reading, NoSample.OUT_OF_ORDER)

    def _begin_chain(self, state: SerialState, reading: Reading) -> Link:
        key = reading.serial
        if state.chains:
            key = state.unproven_key(reading)
            self.skipped[NoSample.NEW_BASELINE.value] += 1
            if route_of(reading) in state.chains[-1].routes:
                self._report(new_baseline(state.chains[-1].last, reading))
        state.chains.append(Chain(key, reading, reading.offset))
        state.late_runs, state.late = [], 0
        return Link(reading, key)


def _precedes(reading: Reading, last: Reading) -> bool:
    return comparable(last.format, reading.format) and precedes(reading, last)
