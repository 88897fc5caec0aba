# SPDX-License-Identifier: GPL-3.0-or-later
"""The table [tariff] in words: which rate is in force on a day, and what in it is hardly meant. Pure."""

from collections.abc import Iterator, Mapping
from datetime import date, timedelta

from btcore.tariff import MONTHS, WEEKDAYS, Prices, Rate, RateChange, Tariff, TimePrice, parse_names

CENTS = 5.0
"""A price of a kWh above this is most likely one in cents, where a unit of the currency has about a dollar's worth."""

LIKE_DOLLARS = frozenset({"AUD", "CAD", "CHF", "EUR", "GBP", "NZD", "SGD", "USD"})


def describe_tariff(tariff: Tariff, day: date) -> Iterator[str]:
    """Yield what holds on a day, which bill the day is of, and each rate that follows."""
    yield f"{_since(tariff, day)}: {describe_rate(tariff.rate(day))}"
    first, last = tariff.cycle(day)
    months = tariff.billing_months
    length = "" if months == 1 else f", of {months} months"
    yield f"the bill of {day} is from {first} to {last - timedelta(1)}{length}"
    for change in tariff.changes:
        if change.from_ > day:
            yield f"from {change.from_} on: {describe_rate(change)}"


def tariff_record(tariff: Tariff, day: date) -> Mapping[str, object]:
    """Return what holds on a day, for JSON: prices of a kWh, and what a month and a day cost without any energy."""
    rate, (first, last) = tariff.rate(day), tariff.cycle(day)
    return {
        "currency": tariff.currency,
        "since": str(rate.from_) if isinstance(rate, RateChange) else None,
        "price": rate.price,
        "times": len(rate.times),
        "tiers": len(rate.tiers),
        "export_price": rate.export_price,
        "standing_charge": rate.standing_charge,
        "daily_charge": rate.daily_charge,
        "bill": [str(first), str(last - timedelta(1))],
        "next": next((str(change.from_) for change in tariff.changes if change.from_ > day), None),
    }


def describe_rate(rate: Rate) -> str:
    """Return the prices of a rate in one line."""
    parts = [f"{_amount(rate.price)} a kWh", *_times(rate)]
    for tier in rate.tiers:
        parts += [f"{_amount(tier.price)} above {tier.above:g} kWh", *_times(tier)]
    if rate.export_price:
        parts.append(f"{_amount(rate.export_price)} for a kWh to the grid")
    if rate.standing_charge:
        parts.append(f"{_amount(rate.standing_charge)} a month")
    if rate.daily_charge:
        parts.append(f"{_amount(rate.daily_charge)} a day")
    return "; ".join(parts)


def doubts(tariff: Tariff) -> Iterator[tuple[str, str]]:
    """Yield what is hardly meant: the key, and what is wrong."""
    for key, rate in (("price", tariff), *(("changes", change) for change in tariff.changes)):
        if rate.price >= CENTS and tariff.currency in LIKE_DOLLARS:
            yield (
                key,
                (
                    f"{_amount(rate.price)} {tariff.currency} for a kWh is much: if these are cents, write"
                    f" {_amount(rate.price / 100)}"
                ),
            )


def _since(tariff: Tariff, day: date) -> str:
    rate = tariff.rate(day)
    if isinstance(rate, RateChange):
        return f"since {rate.from_}"
    return f"until {tariff.changes[0].from_ - timedelta(1)}" if tariff.changes else "always"


def _times(prices: Prices) -> Iterator[str]:
    return (f"{_amount(one.price)} {_when(one)}" for one in prices.times)


def _when(one: TimePrice) -> str:
    """Return the times of a price; what is always so is left out."""
    parts = [f"at {one.hours}"] if one.hours != "0-24" else []
    if len(parse_names(one.days, WEEKDAYS)) < len(WEEKDAYS):
        parts.append(f"on {one.days}")
    if len(parse_names(one.months, MONTHS)) < len(MONTHS):
        parts.append(f"in {one.months}")
    return " ".join(parts) or "at all times"


def _amount(price: float) -> str:
    """Return an amount with two digits behind the point, or as many as it has."""
    units, _, digits = f"{price:.6f}".partition(".")
    return f"{units}.{digits.rstrip('0').ljust(2, '0')}"
