# SPDX-License-Identifier: GPL-3.0-or-later
"""The table [tariff]: what it may say, and which price and billing cycle that gives."""

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from btcore import Tariff
from btcore.config.load import load_site
from btcore.config.site import Sink, Site, context_of
from btcore.errors import ConfigurationError
from btcore.tariff_text import describe_tariff, tariff_record

SITE = """
[source.simulator]
[sink.print]
"""
FULL = """
[tariff]
currency = "EUR"
price = 0.32
export_price = 0.082
standing_charge = 12.5
billing_start = 2025-03-15

[[tariff.changes]]
from = 2026-01-01
price = 0.29
times = [
    { hours = "22-6", price = 0.21 },
    { hours = "17-20", days = "mon-fri", months = "nov-mar", price = 0.41 },
]
tiers = [{ above = 300, price = 0.38 }]
"""

Load = Callable[[str], Site]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Load a configuration with this tariff."""

    def load_text(text: str) -> Site:
        file = tmp_path / "site.toml"
        file.write_text(SITE + text)
        return load_site(file)

    return load_text


def test_every_sink_is_given_the_tariff(load: Load) -> None:
    """As numbers and dates; without the table there is none."""
    site = load(FULL)
    tariff = context_of(site, site.sinks[0]).tariff
    assert tariff is not None
    assert (tariff.currency, tariff.export_price, tariff.billing_start) == ("EUR", 0.082, date(2025, 3, 15))
    plain = load("")
    assert context_of(plain, sink_of(plain)).tariff is None


def sink_of(site: Site) -> Sink:
    """Return the sink of a site."""
    (sink,) = site.sinks
    return sink


def test_the_price_is_that_of_the_time_and_of_the_day(load: Load) -> None:
    """A change holds from its day on, in all that it says; the first of the times that holds counts."""
    tariff = load(FULL).tariff
    assert tariff is not None
    assert tariff.rate(date(2025, 12, 31)).at(12, 2, 1100) == 320_000
    changed = tariff.rate(date(2026, 1, 1))
    assert changed.export_price == 0
    prices = {minute: changed.at(1, 3, minute) for minute in (0, 359, 360, 1019, 1020, 1199, 1200, 1319, 1320, 1439)}
    assert [*prices.values()] == [210_000] * 2 + [290_000] * 2 + [410_000] * 2 + [290_000] * 2 + [210_000] * 2
    assert changed.at(1, 5, 1100) == 290_000  # a Saturday
    assert changed.at(4, 3, 1100) == 290_000  # April
    assert [above for above, _ in changed.steps()] == [0, 300]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"EUR"', '"Euro"', 'currency: expected the code of a currency, such as "EUR"'),
        ("price = 0.32", 'price = "0.32"', "price: expected a number, without quotes"),
        ("price = 0.32", "", "price: a required setting is missing"),
        ("price = 0.32", "price = 0.12345678", "price: expected an amount with at most 6 digits"),
        ("price = 0.32", "price = 0.32\nexport = 1", "export: unknown setting"),
        ("standing_charge = 12.5", "standing_charge = -1", "standing_charge: expected no negative standing_charge"),
        ("2025-03-15", '"in spring"', "billing_start: expected a date such as 2026-01-31"),
        ("2025-03-15", "2025-03-15T10:00:00Z", "billing_start: expected a date such as 2026-01-31"),
        ("from = 2026-01-01", "", "from: a required setting is missing"),
        ('"22-6"', '"22-25"', "hours: expected hours from 0 to 24"),
        ('"22-6"', '"night"', 'hours: expected hours such as "22-6"'),
        ('"mon-fri"', '"workdays"', 'days: expected "mon-fri" or'),
        ('"nov-mar"', '"winter"', 'months: expected "jan-may" or'),
        ("above = 300", "above = 0", "above: expected a number above 0"),
        ("{ above = 300,", "{ above = 9, price = 1 }, { above = 3,", "tiers: expected each `above` to be higher"),
        ("[[tariff.changes]]", "[[tariff.changes]]\nfrom = 2027-01-01\nprice = 1\n[[tariff.changes]]", "to be later"),
    ],
)
def test_a_mistake_is_told_with_its_place(old: str, new: str, said: str, load: Load) -> None:
    """As everywhere: the line, the key, what was expected."""
    assert old in FULL
    with pytest.raises(ConfigurationError) as caught:
        load(FULL.replace(old, new, 1))
    texts = [f"{problem.table} {problem.key}: {problem.message}" for problem in caught.value.problems]
    assert any(said in text and text.startswith("tariff") for text in texts), texts
    assert all(problem.line for problem in caught.value.problems)


@given(
    st.dates(date(2000, 1, 1), date(2030, 12, 31)),
    st.dates(date(2000, 1, 1), date(2030, 12, 31)),
    st.sampled_from([1, 2, 3, 4, 6, 12]),
)
def test_every_day_is_in_one_billing_cycle(start: date, day: date, months: int) -> None:
    """Cycles follow each other without a gap, also where one begins on the 31st; one begins on the day that is said."""
    tariff = Tariff(currency="EUR", price=0.3, billing_start=start, billing_months=months)
    first, last = tariff.cycle(day)
    assert first <= day < last
    assert tariff.cycle(first) == (first, last)
    assert tariff.cycle(last)[0] == last
    assert tariff.cycle(first - timedelta(1))[1] == first
    assert tariff.cycle(start)[0] == start


@pytest.mark.parametrize(
    ("day", "lines"),
    [
        (
            date(2025, 12, 31),
            [
                "until 2025-12-31: 0.32 a kWh; 0.082 for a kWh to the grid; 12.50 a month",
                "the bill of 2025-12-31 is from 2025-12-15 to 2026-01-14",
                "from 2026-01-01 on: 0.29 a kWh; 0.21 at 22-6; 0.41 at 17-20 on mon-fri in nov-mar; 0.38 above 300 kWh",
            ],
        ),
        (
            date(2026, 1, 1),
            [
                "since 2026-01-01: 0.29 a kWh; 0.21 at 22-6; 0.41 at 17-20 on mon-fri in nov-mar; 0.38 above 300 kWh",
                "the bill of 2026-01-01 is from 2025-12-15 to 2026-01-14",
            ],
        ),
    ],
)
def test_a_tariff_in_words(day: date, lines: list[str], load: Load) -> None:
    """What is in force on a day, since when, which bill the day is of, and what follows."""
    tariff = load(FULL).tariff
    assert tariff is not None
    assert list(describe_tariff(tariff, day)) == lines


def test_a_tariff_in_numbers(load: Load) -> None:
    """For other programs: the rate in force, the bill, and when the next rate begins."""
    tariff = load(FULL).tariff
    assert tariff is not None
    before, after = (tariff_record(tariff, day) for day in (date(2025, 12, 31), date(2026, 3, 20)))
    assert (before["currency"], before["price"], before["since"], before["next"]) == ("EUR", 0.32, None, "2026-01-01")
    assert (after["price"], after["since"], after["next"]) == (0.29, "2026-01-01", None)
    assert after["bill"] == ["2026-03-15", "2026-04-14"]


@pytest.mark.parametrize(("currency", "warns"), [("EUR", True), ("JPY", False)])
def test_a_price_in_cents_is_doubted(currency: str, warns: bool, load: Load) -> None:
    """32 euros for a kWh is most likely 32 cents; 32 yen is what one costs."""
    site = load(f'[tariff]\ncurrency = "{currency}"\nprice = 32\n')
    texts = [f"{one.table} {one.key}: {one.message}" for one in site.warnings]
    expected = "tariff price: 32.00 EUR for a kWh is much: if these are cents, write 0.32"
    assert [text for text in texts if text.startswith("tariff")] == ([expected] if warns else [])
