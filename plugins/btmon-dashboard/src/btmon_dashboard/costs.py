# SPDX-License-Identifier: GPL-3.0-or-later
"""What energy costs, exactly. Pure.

An amount is a whole number, of which 3.6 million times a million are one unit of the currency: Ws times millionths of
the price of a kWh. So no cent is lost or made, however a time is cut; it is divided once, when it is shown.
"""

import time
from calendar import monthrange
from datetime import date

from btcore import Rate, Tariff
from btmon_dashboard.spans import SECOND

WS = 3_600_000
"""The Ws of a kWh."""

MILLIONTHS = 1_000_000
UNIT = WS * MILLIONTHS
"""The amount that is one unit of the currency."""


def day_of(moment: int) -> date:
    """Return the local day of a moment in microseconds."""
    local = time.localtime(moment // SECOND)
    return date(local.tm_year, local.tm_mon, local.tm_mday)


def price_key(tariff: Tariff, moment: int) -> tuple[int, ...]:
    """Return the prices that hold at a moment, of each tier."""
    local = time.localtime(moment // SECOND)
    rate = tariff.rate(date(local.tm_year, local.tm_mon, local.tm_mday))
    minute = local.tm_hour * 60 + local.tm_min
    return tuple(prices.at(local.tm_mon, local.tm_wday, minute) for _, prices in rate.steps())


def cost_of(rate: Rate, prices: tuple[int, ...], before: int, ws: int) -> int:
    """Return what Ws cost, of which so many were taken before in the billing cycle."""
    bounds = [round(above * WS) for above, _ in rate.steps()]
    cost = 0
    for at, price in enumerate(prices):
        end = bounds[at + 1] if at + 1 < len(bounds) else before + ws
        cost += price * max(min(before + ws, end) - max(before, bounds[at]), 0)
    return cost


def credit_of(rate: Rate, ws: int) -> int:
    """Return what Ws that went to the grid earn."""
    return ws * round(rate.export_price * MILLIONTHS)


def charge_of(rate: Rate, day: date, hour: int, hours: int) -> int:
    """Return what one of the hours of a day costs without any energy: a month's charge is that of its days."""
    days = monthrange(day.year, day.month)[1]
    monthly = round(rate.standing_charge * MILLIONTHS) * WS
    daily = round(rate.daily_charge * MILLIONTHS) * WS

    def upto(hour: int) -> int:
        return (monthly * ((day.day - 1) * hours + hour) // (days * hours)) + daily * hour // hours

    return upto(hour + 1) - upto(hour)


def money(amount: int) -> float:
    """Return an amount in units of the currency."""
    return round(amount / UNIT, 6)
