# SPDX-License-Identifier: GPL-3.0-or-later
"""A house with two mains: what flows in on one and out on the other at once is no import and no export."""

import json
import random
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any
from urllib.parse import quote

import pytest
from helpers.metered import batch_of
from hypothesis import given
from hypothesis import strategies as st

from btcore import FORMATS, Reading, Tariff, pack
from btmon_dashboard.sink import Dashboard
from btmon_dashboard.spans import HOUR, MINUTE, SECOND
from btmon_dashboard.supply import sum_of

SERIAL = "01021234"
NAMES = {f"{SERIAL}_ch1": "mains left", f"{SERIAL}_ch2": "mains right"}
TARIFF = Tariff(currency="EUR", price=0.3)

Opened = Callable[..., Dashboard]


def split_phase(start: int, count: int, pace: int = 10, seed: int = 1) -> list[Reading]:
    """Return the readings of a meter with two mains, of which each consumes or exports, as it happens."""
    chance, made = random.Random(seed), []
    counters = {"ch1_aws": 0, "ch1_pws": 0, "ch2_aws": 0, "ch2_pws": 0}
    for at in range(count):
        time = datetime.fromtimestamp(start + pace * at, UTC)
        raw = pack("gem48ptbin", SERIAL, {"secs": pace * at, **counters})
        made.append(Reading(time, FORMATS["gem48ptbin"], SERIAL, raw, offset=1 + at))
        for channel in ("ch1", "ch2"):
            ws = chance.randint(0, 3000) * pace
            counters[f"{channel}_aws"] += ws
            counters[f"{channel}_pws"] += ws if chance.random() < 0.5 else 0
    return made


def flows(made: list[Reading]) -> tuple[int, int]:
    """Return what the sum of both mains imported and exported, sample by sample, in Ws."""

    def net(reading: Reading) -> int:
        return sum(
            int(reading.get(f"{one}_aws") or 0) - 2 * int(reading.get(f"{one}_pws") or 0) for one in ("ch1", "ch2")
        )

    steps = [net(newer) - net(older) for older, newer in pairwise(made)]
    return sum(step for step in steps if step > 0), -sum(step for step in steps if step < 0)


def ask(sink: Dashboard, path: str) -> Any:  # noqa: ANN401 - any JSON
    """Return what is answered."""
    with urllib.request.urlopen(f"{sink.url}{path}", timeout=20) as answer:
        return json.load(answer)


def begin() -> int:
    """Return the beginning of an hour that is over, of a day that has more of them."""
    return int(time.time()) // HOUR * HOUR - 5 * HOUR


def test_two_mains_are_netted_sample_by_sample(opened: Opened) -> None:
    """Import and export of a time are those of the sum; what each counts by itself is much more."""
    sink, start = opened(NAMES, tariff=TARIFF), begin()
    made = split_phase(start, 721)
    sink.process_batch(batch_of(made))
    found = ask(sink, f"/api/bill?from={start}&to={start + 3 * HOUR}&step=hour")
    taken, given = (one / 3600 for one in flows(made))
    assert [found["sum"]["wh_import"], found["sum"]["wh_export"]] == pytest.approx([taken, given], abs=0.02)
    assert found["sum"]["cost"] == pytest.approx(0.3 * taken / 1000, abs=1e-4)
    alone = [ask(sink, f"/api/history?channel={name}&from={start}&to={start + 3 * HOUR}&step=hour") for name in NAMES]
    assert sum(sum(one["wh_import"]) for one in alone) > 1.3 * taken
    assert sum(sum(one["wh"]) for one in alone) == pytest.approx(taken - given, abs=0.02)


def test_today_of_two_mains_is_that_of_their_sum(opened: Opened) -> None:
    """The page Now has what the grid gave and took, as the bill has it."""
    sink, start = opened(NAMES), int(time.time()) - 300
    made = split_phase(start, 30)
    sink.process_batch(batch_of(made))
    today = ask(sink, "/api/now")["grid"]
    taken, given = (one / 3600 for one in flows(made))
    local = time.localtime(start)
    if local.tm_hour or local.tm_min >= 10:  # else a part of it was yesterday
        assert today == pytest.approx({"import_today": taken, "export_today": given}, abs=0.02)
    assert today["import_today"] - today["export_today"] == pytest.approx(
        sum(one["wh_today"] for one in ask(sink, "/api/now")["meters"][0]["channels"]), abs=0.02
    )


def test_no_other_program_sees_the_sum(opened: Opened) -> None:
    """It is no channel of the meter, and there is none with one main alone."""
    sink, start = opened(NAMES), begin()
    sink.process_batch(batch_of(split_phase(start, 30)))
    assert {one["channel"] for one in ask(sink, "/api/now")["meters"][0]["channels"]} == {
        f"ch{at}" for at in range(1, 33)
    }
    assert not any("=" in name for name in ask(sink, "/api/recent")["watts"])
    for mark in "=~#":
        with pytest.raises(urllib.error.HTTPError) as caught:
            ask(sink, f"/api/history?channel={SERIAL}_{quote(mark)}{'grid' if mark == '=' else 'volts'}")
        caught.value.close()
        assert caught.value.code == 400


def test_what_was_stored_before_there_were_two_mains(opened: Opened) -> None:
    """An hour whose sum is not stored has what each counted: with other settings, nothing is invented."""
    start, made = begin(), split_phase(begin(), 721)
    before = opened({})
    before.process_batch(batch_of(made[:361]))
    before.close()
    sink = opened(NAMES, tariff=TARIFF)
    sink.process_batch(batch_of(made[360:]))
    wh = ask(sink, f"/api/bill?from={start}&to={start + 3 * HOUR}&step=hour")
    alone = [ask(sink, f"/api/history?channel={name}&from={start}&to={start + HOUR}&step=hour") for name in NAMES]
    assert wh["wh_import"][0] == pytest.approx(sum(one["wh_import"][0] for one in alone))
    assert wh["wh_import"][1] == pytest.approx(flows(made[360:])[0] / 3600, abs=0.02)


@given(st.lists(st.integers(0, 10**9), min_size=4, max_size=4), st.sampled_from([MINUTE, HOUR]))
def test_the_net_of_the_sum_is_that_of_the_mains(ws: list[int], seconds: int) -> None:
    """However long it took; of a short time one of its two numbers is nothing, of a long one all is kept."""
    taken, given = sum_of(ws, (0, 1), seconds * SECOND)
    assert taken - given == ws[0] - ws[1] + ws[2] - ws[3]
    assert min(taken, given) == 0 if seconds == MINUTE else (taken, given) == (ws[0] + ws[2], ws[1] + ws[3])
