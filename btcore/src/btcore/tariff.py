# SPDX-License-Identifier: GPL-3.0-or-later
"""What energy costs: the table [tariff] as every sink is given it. Pure; sums of money are a sink's own work.

Prices are of a kWh, in the currency's unit. They are kept as whole millionths of it, so that sums are exact.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import date
from functools import lru_cache
from typing import Any

from btcore.classes import field, frozen
from btcore.validators import gt, in_

MILLIONTHS = 1_000_000
"""The millionths of a unit of the currency."""

DIGITS = 6
"""The most digits of a price behind the point."""

ROUNDING = 1e-3
"""The most millionths by which a number differs from its digits."""

MAX_PRICE = 1_000_000
"""A price above is a mistake in any currency."""

DAY_MINUTES = 1440

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")

HOURS = re.compile(r"(\d{1,2})(?::(\d{2}))?-(\d{1,2})(?::(\d{2}))?")
CURRENCY = re.compile(r"[A-Z]{3}")


def millionths(price: float) -> int:
    """Return a price in millionths, exactly what the configuration has. Raises ValueError for more digits."""
    exact = round(price * MILLIONTHS)
    if abs(price) > MAX_PRICE or abs(price * MILLIONTHS - exact) > ROUNDING:
        raise ValueError(f"expected an amount with at most {DIGITS} digits behind the point, found {price:g}")
    return exact


@lru_cache(maxsize=64)
def parse_hours(text: str) -> tuple[tuple[int, int], ...]:
    """Return the minutes of the day of `22-6` or `7:30-9, 17-20`, each from and to. Raises ValueError."""
    found = []
    for part in text.split(","):
        match = HOURS.fullmatch(part.strip())
        if match is None:
            raise ValueError(f'expected hours such as "22-6" or "7:30-9, 17-20", found "{part.strip():.20}"')
        hours = [int(match[group] or 0) for group in (1, 2, 3, 4)]
        start, end = hours[0] * 60 + hours[1], hours[2] * 60 + hours[3]
        if max(start, end) > DAY_MINUTES or max(hours[1], hours[3]) > 59:  # noqa: PLR2004 - minutes
            raise ValueError(f'expected hours from 0 to 24, found "{part.strip()}"')
        found += [(start, end)] if start < end else [(start, DAY_MINUTES), (0, end)]
    return tuple(found)


@lru_cache(maxsize=64)
def parse_names(text: str, names: tuple[str, ...]) -> frozenset[int]:
    """Return which of the names `mon-fri` or `nov-mar, jul` are. Raises ValueError."""
    found: set[int] = set()
    for part in text.lower().split(","):
        first, _, last = part.strip().partition("-")
        if first not in names or (last or first) not in names:
            raise ValueError(
                f'expected "{names[0]}-{names[4]}" or "{names[5]}, {names[6]}", found "{part.strip():.20}"'
            )
        at, end = names.index(first), names.index(last or first)
        found |= set(range(at, end + 1)) if at <= end else set(range(at, len(names))) | set(range(end + 1))
    return frozenset(found)


def _check_price(_owner: object, _field: object, price: float) -> None:
    millionths(price)


def _check_positive(_owner: object, field: Any, price: float) -> None:  # noqa: ANN401 - an attribute
    if price < 0:
        raise ValueError(f"expected no negative {field.name}, found {price:g}")
    millionths(price)


def _check_hours(_owner: object, _field: object, text: str) -> None:
    parse_hours(text)


def _check_days(_owner: object, _field: object, text: str) -> None:
    parse_names(text, WEEKDAYS)


def _check_months(_owner: object, _field: object, text: str) -> None:
    parse_names(text, MONTHS)


@frozen(kw_only=True)
class TimePrice:
    """A price that holds at some times only. All times are local. Raises ValueError for what is no such time."""

    price: float = field(validator=_check_price, metadata={"help": "price of a kWh at these times"})
    hours: str = field(
        default="0-24", validator=_check_hours, metadata={"help": 'hours of the day, such as "22-6" or "7:30-9, 17-20"'}
    )
    days: str = field(
        default="mon-sun", validator=_check_days, metadata={"help": 'days of the week, such as "mon-fri" or "sat, sun"'}
    )
    months: str = field(default="jan-dec", validator=_check_months, metadata={"help": 'months, such as "nov-mar"'})

    def holds(self, month: int, weekday: int, minute: int) -> bool:
        """Whether it holds: in a month from 1, on a weekday from 0 (Monday), at a minute of the day."""
        return (
            any(start <= minute < end for start, end in parse_hours(self.hours))
            and weekday in parse_names(self.days, WEEKDAYS)
            and month - 1 in parse_names(self.months, MONTHS)
        )


@frozen(kw_only=True)
class Prices:
    """What a kWh costs: `price`, but at some times another; the first of `times` that holds."""

    price: float = field(validator=_check_price, metadata={"help": "price of a kWh from the grid"})
    times: tuple[TimePrice, ...] = field(
        default=(), metadata={"help": "other prices at some times; the first that holds counts"}
    )

    def at(self, month: int, weekday: int, minute: int) -> int:
        """Return the price of a kWh in millionths; as `TimePrice.holds`."""
        held = (one.price for one in self.times if one.holds(month, weekday, minute))
        return millionths(next(held, self.price))


@frozen(kw_only=True)
class Tier(Prices):
    """What a kWh costs above so many in a billing cycle."""

    above: float = field(validator=gt(0.0), metadata={"help": "kWh in a billing cycle above which this tier begins"})


@frozen(kw_only=True)
class Rate(Prices):
    """All that a contract says. Raises ValueError for tiers that do not rise."""

    tiers: tuple[Tier, ...] = field(default=(), metadata={"help": "other prices above so many kWh in a billing cycle"})
    export_price: float = field(
        default=0.0, validator=_check_price, metadata={"help": "what a kWh that goes to the grid earns"}
    )
    standing_charge: float = field(
        default=0.0, validator=_check_positive, metadata={"help": "what a month costs without any energy"}
    )
    daily_charge: float = field(
        default=0.0, validator=_check_positive, metadata={"help": "what a day costs without any energy"}
    )

    def __attrs_post_init__(self) -> None:
        """Check that each tier begins above the one before."""
        bounds = [tier.above for tier in self.tiers]
        if bounds != sorted(set(bounds)):
            raise ValueError(f"tiers: expected each `above` to be higher than the one before, found {bounds}")

    def steps(self) -> Iterator[tuple[float, Prices]]:
        """Yield the kWh of the billing cycle above which prices hold, and the prices, from 0 on."""
        yield 0.0, self
        yield from ((tier.above, tier) for tier in self.tiers)

    def has_parts_of_hours(self) -> bool:
        """Whether a price changes within an hour."""
        spans = [parse_hours(one.hours) for _, prices in self.steps() for one in prices.times]
        return any(moment % 60 for of_one in spans for span in of_one for moment in span)


@frozen(kw_only=True)
class RateChange(Rate):
    """A rate that holds from a day on."""

    from_: date = field(metadata={"help": "the day from which this holds, such as 2026-01-01"})


def _check_currency(_owner: object, _field: object, text: str) -> None:
    if not CURRENCY.fullmatch(text):
        raise ValueError(f'expected the code of a currency, such as "EUR" or "USD", found "{text:.20}"')


@frozen(kw_only=True)
class Tariff(Rate):
    """The table [tariff]: the first rate, and those that followed. Raises ValueError for changes out of order."""

    currency: str = field(validator=_check_currency, metadata={"help": 'code of the currency: "EUR", "USD"'})
    billing_start: date = field(
        default=date(2020, 1, 1), metadata={"help": "any day on which a billing cycle began, such as 2026-03-15"}
    )
    billing_months: int = field(
        default=1, validator=in_((1, 2, 3, 4, 6, 12)), metadata={"help": "months of a billing cycle"}
    )
    changes: tuple[RateChange, ...] = field(default=(), metadata={"help": "the rates that followed, in order"})

    def __attrs_post_init__(self) -> None:
        """Check the order of the changes, too."""
        super().__attrs_post_init__()
        days = [change.from_ for change in self.changes]
        if days != sorted(set(days)):
            raise ValueError("changes: expected each `from` to be later than the one before")

    def rate(self, day: date) -> Rate:
        """Return the rate that holds on a day."""
        return next((one for one in reversed(self.changes) if one.from_ <= day), self)

    def cycle(self, day: date) -> tuple[date, date]:
        """Return the first day of the billing cycle that a day is in, and that of the next one."""
        first = self.billing_start
        months = (day.year - first.year) * 12 + day.month - first.month
        number = months // self.billing_months * self.billing_months
        if _months_later(first, number) > day:
            number -= self.billing_months
        return _months_later(first, number), _months_later(first, number + self.billing_months)

    def cycles(self, first: date, last: date) -> Sequence[tuple[date, date]]:
        """Return the billing cycles from that of one day to that of another."""
        found = [self.cycle(first)]
        while found[-1][1] <= last:
            found.append(self.cycle(found[-1][1]))
        return found


def _months_later(day: date, months: int) -> date:
    """Return the same day so many months later; the last of the month where it has no such day."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, _days_of(year, month + 1)))


def _days_of(year: int, month: int) -> int:
    return (date(year + month // 12, month % 12 + 1, 1) - date(year, month, 1)).days
