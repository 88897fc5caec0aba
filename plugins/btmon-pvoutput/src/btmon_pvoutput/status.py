# SPDX-License-Identifier: GPL-3.0-or-later
"""A status: the numbers of one slot of time, and how they are written into a request.

Pure. What the numbers of a slot are is in `measures.py`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, tzinfo

from btcore import Number, Sample
from btcore.light import evolve, field, frozen
from btmon_pvoutput.measures import Measures

MAX_STATUSES = 30
"""Statuses that one request may carry."""

FIELDS = ("v1", "v2", "v3", "v4", "v5", "v6")
GENERATION = ("v1", "v2")
REQUIRED_FIELDS = frozenset(FIELDS[:4])
"""Fields of which PVOutput requires at least one."""

SECOND = 1_000_000
"""In microseconds, the unit of a reading's key."""


@frozen
class Status:
    """One slot: its day (yyyymmdd) and time (HH:MM), local to the system, and what is known of the fields v1 to v6.

    `end` is the same moment in seconds since 1970, `of` the samples that something in it is of.
    """

    day: str
    time: str
    values: Mapping[str, str]
    end: int = 0
    of: tuple[Sample, ...] = field(default=(), eq=False, repr=False)

    @property
    def slot(self) -> tuple[str, str]:
        """The key of a status at PVOutput: a second one with the same slot replaces the first."""
        return self.day, self.time

    @property
    def generated(self) -> int:
        """W that were generated."""
        return int(self.values.get("v2", 0))

    @property
    def power(self) -> int:
        """W that were generated or consumed, whichever is more."""
        return max(self.generated, int(self.values.get("v4", 0)))

    @property
    def without_generation(self) -> "Status | None":
        """The same without what was generated; None where there is nothing else that makes a status."""
        values = {field: text for field, text in self.values.items() if field not in GENERATION}
        return evolve(self, values=values) if REQUIRED_FIELDS & values.keys() else None

    @property
    def row(self) -> str:
        """As one of several in a request."""
        return ",".join([self.day, self.time, *(self.values.get(field, "") for field in FIELDS)]).rstrip(",")


def statuses(samples: Iterable[Sample], measures: Measures, interval: int, zone: tzinfo | None) -> list[Status]:
    """Make the statuses of some samples, oldest first, each slot once.

    `interval` is in seconds: the length of the slots, which end at its multiples. `zone` is the system's; None is the
    host's. Samples of several meters in one slot become one status. A slot without any power or energy has none.
    """
    slots: dict[int, dict[str, Number]] = {}
    of: dict[int, list[Sample]] = {}
    for sample in samples:
        end = slot_end(sample.newer.key, interval)
        found = measures.quantities(sample)
        slots.setdefault(end, {}).update(found)
        if any(number is not None for number in found.values()):
            of.setdefault(end, []).append(sample)
    made = (_status(end, measures.fields(slots[end]), zone, of.get(end, ())) for end in sorted(slots))
    unique: dict[tuple[str, str], Status] = {}
    for status in made:
        if REQUIRED_FIELDS & status.values.keys():
            # when summer time ends, an hour comes twice: the later status replaces the earlier, as at the service
            earlier = unique.pop(status.slot, None)
            unique[status.slot] = evolve(status, of=(*earlier.of, *status.of)) if earlier else status
    return list(unique.values())


def slot_end(key: int, interval: int) -> int:
    """Return when the slot of a reading ends, in seconds since 1970; a reading at the end itself is of that slot."""
    return -(-key // (interval * SECOND)) * interval


def _status(end: int, values: Mapping[str, str], zone: tzinfo | None, of: Iterable[Sample]) -> Status:
    local = datetime.fromtimestamp(end, UTC).astimezone(zone)
    return Status(f"{local:%Y%m%d}", f"{local:%H:%M}", values, end, tuple(of))


def split_requests(of: Sequence[Status]) -> Iterator[Sequence[Status]]:
    """Split statuses into what one request may carry."""
    for start in range(0, len(of), MAX_STATUSES):
        yield of[start : start + MAX_STATUSES]


def request(of: Sequence[Status], lifetime: str) -> tuple[str, dict[str, str]]:
    """Return the page and the form that add these statuses. `lifetime` is the flag c1."""
    if len(of) == 1:
        (status,) = of
        return "addstatus.jsp", {"d": status.day, "t": status.time, "c1": lifetime, **status.values}
    return "addbatchstatus.jsp", {"c1": lifetime, "data": ";".join(status.row for status in of)}
