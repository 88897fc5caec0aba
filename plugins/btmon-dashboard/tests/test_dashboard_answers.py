# SPDX-License-Identifier: GPL-3.0-or-later
"""What is answered at each address: the contract that other tools rely on, and who may ask."""

import json
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.client import HTTPResponse
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from helpers.metered import batch_of, readings
from helpers.plugin_calls import make_context

from btcore import ChannelDescription, Retry, Secret, Tariff
from btcore.testing import wait_for
from btmon_dashboard.app import FILES, MAX_STREAMS
from btmon_dashboard.sink import Dashboard

Opened = Callable[..., Dashboard]


def ask(sink: Dashboard, path: str, password: str = "") -> Any:  # noqa: ANN401 - any JSON
    """Return what is answered, as JSON."""
    with request(sink, path, password) as answer:
        return json.load(answer)


@contextmanager
def request(sink: Dashboard, path: str, password: str = "") -> Iterator[HTTPResponse]:
    """Ask, and give the answer."""
    headers = {"Authorization": f"Basic {b64encode(f'me:{password}'.encode()).decode()}"} if password else {}
    with urllib.request.urlopen(urllib.request.Request(f"{sink.url}{path}", headers=headers), timeout=20) as answer:
        yield answer


def refusal(sink: Dashboard, path: str, password: str = "") -> tuple[int, str]:
    """Return the status and the text of an answer that is an error."""
    with pytest.raises(urllib.error.HTTPError) as caught, request(sink, path, password):
        pass
    with caught.value as error:
        return error.code, error.read().decode()


def history(sink: Dashboard, channel: str, **query: object) -> Any:  # noqa: ANN401 - any JSON
    """Return the answer of /api/history."""
    return ask(sink, f"/api/history?{urlencode({'channel': channel, **query})}")


def deliver(sink: Dashboard, count: int = 31, age: float = 300, **made: Any) -> float:  # noqa: ANN401 - of any kind
    """Deliver readings, the first of which is so old; return its time."""
    start = float(int(time.time() - age))
    sink.process_batch(batch_of(readings(count, start=start, **made)))
    return start


def test_now_has_each_meter_with_its_channels(opened: Opened) -> None:
    """Name, watts, and Wh of today of each, as the contract has it."""
    sink = opened({"312345_ch1": "mains"})
    start = deliver(sink)
    (meter,) = ask(sink, "/api/now")["meters"]
    assert (meter["serial"], meter["time"]) == ("312345", start + 300)
    channels = {one["channel"]: one for one in meter["channels"]}
    assert (channels["ch1"]["name"], channels["ch1"]["watts"]) == ("mains", 1000 - 250)
    assert channels["aux1"]["name"] == "312345_aux1"
    today = ask(sink, f"/api/history?channel=312345_ch1&from={start - 86_400}&to={start + 400}&step=day")
    assert channels["ch1"]["wh_today"] == pytest.approx(today["wh"][-1])


def test_history_is_the_counters(opened: Opened) -> None:
    """Mean watts and Wh of each step; `from` and `to` may be times of ISO 8601; sums agree at each step."""
    sink = opened()
    start = 1_780_000_000 - 1_780_000_000 % 3600
    sink.process_batch(batch_of(readings(361, start=start)))
    hour = history(sink, "312345_ch1", **{"from": start, "to": start + 3600, "step": 3600})
    assert (hour["times"], hour["watts"], hour["wh"]) == ([start], [750.0], [750.0])
    assert (hour["wh_import"], hour["wh_export"]) == ([1000.0], [250.0])
    iso = {"from": "2026-05-28T20:00Z", "to": "2026-05-28T21:00:00+00:00"}
    for step in (10, 60, 300, 900, "minute", "hour"):
        found = history(sink, "312345_ch1", **iso, step=step)
        assert sum(found["wh"]) == pytest.approx(750, abs=1e-6)
        assert set(found["watts"]) == {750.0}
    assert len(history(sink, "312345_ch1", **iso)["times"]) == 60  # a step that suits the span


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("channel=312345_ch99", "channel: there is none"),
        ("channel=%3Cscript%3E", "channel: there is none"),
        ("channel=312345_ch1&from=yesterday", "from: expected seconds since 1970"),
        ("channel=312345_ch1&to=nan", "to: expected seconds since 1970"),
        ("channel=312345_ch1&from=-5", "from: expected seconds since 1970"),
        ("channel=312345_ch1&from=1e300", "from: expected seconds since 1970"),
        ("channel=312345_ch1&from=20&to=10", "from: expected a time before"),
        ("channel=312345_ch1&step=0", "step: expected seconds"),
        ("channel=312345_ch1&step=fortnight", "step: expected seconds"),
        ("channel=312345_ch1&from=0&to=1000000&step=1", "step: expected one with at most 10000"),
        ("channel=312345_ch1&from=0&to=35000000&step=3540", "step: expected full hours or days"),
        ("channel=312345_ch1&step=" + "9" * 5000, "step: expected seconds"),
    ],
)
def test_a_question_that_cannot_be_answered_is_refused(query: str, said: str, opened: Opened) -> None:
    """With 400, and what was expected."""
    sink = opened()
    deliver(sink)
    status, text = refusal(sink, f"/api/history?{query}")
    assert (status, said in json.loads(text)["error"]) == (400, True), text


def test_several_channels_are_one_question(opened: Opened) -> None:
    """Each by its name, as if it were asked for alone; one that does not exist is named."""
    sink = opened()
    start = deliver(sink)
    query = [("channel", "312345_ch1"), ("channel", "312345_aux1"), ("from", start), ("to", start + 400), ("step", 60)]
    found = ask(sink, f"/api/history?{urlencode(query)}")["channels"]
    for channel, points in found.items():
        assert points == history(sink, channel, **{"from": start, "to": start + 400, "step": 60})
    assert [*found] == ["312345_ch1", "312345_aux1"]
    assert "312345_ch99" in refusal(sink, "/api/history?channel=312345_ch1&channel=312345_ch99")[1]
    assert refusal(sink, "/api/history?" + "&".join(["channel=312345_ch1"] * 65))[0] == 400


def test_sensors_have_a_history(opened: Opened) -> None:
    """Degrees and volts as means, pulses in the unit of [channels]."""
    about = {"01021234_p1": ChannelDescription(name="water", unit="L", per_pulse=0.5, class_="water")}
    sink = opened({"01021234_t1": "Cellar"}, descriptions=about)
    start = deliver(sink, form="gem48ptbin", serial="01021234")
    span = {"from": start - 60, "to": start + 400, "step": "minute"}
    assert set(history(sink, "01021234_t1", **span)["values"]) == {21.5}
    assert set(history(sink, "01021234_volts", **span)["values"]) == {120.0}
    assert sum(history(sink, "01021234_p1", **span)["values"]) == 15.0
    assert all(not one.startswith(("~", "#")) for one in ask(sink, "/api/recent")["watts"])


TARIFF = Tariff(currency="EUR", price=0.4, export_price=0.1, standing_charge=30)


def test_the_bill_is_what_the_counters_cost(opened: Opened) -> None:
    """1 kWh from the grid and a quarter to it in an hour: money, energy and the shares of the circuits."""
    sink = opened({"312345_ch1": "mains"}, tariff=TARIFF)
    deliver(sink, count=361, age=3600)
    end = int(time.time()) + 60
    query = {"from": end - 86_400, "to": end, "step": "hour", "channel": "312345_aux1"}
    found = ask(sink, f"/api/bill?{urlencode(query)}")
    assert (found["currency"], found["sum"]["cost"], found["sum"]["credit"]) == ("EUR", 0.4, 0.025)
    assert (found["sum"]["wh_import"], found["sum"]["wh_export"]) == (1000, 250)
    assert sum(found["total"]) == pytest.approx(found["sum"]["total"], abs=0.0001)
    share = found["sums"]["312345_aux1"]
    assert (share["wh"], share["cost"]) == (200, pytest.approx(0.4 * 200 / 1000, abs=0.00001))
    cycle = ask(sink, f"/api/bill?{urlencode({'from': end - 86_400, 'to': end, 'step': 'cycle'})}")
    assert cycle["times"][-1] <= end < cycle["ends"][-1]
    now = ask(sink, "/api/now")["bill"]
    assert now["cycle"]["wh_import"] <= 1000
    assert refusal(sink, "/api/bill?step=minute")[0] == 400
    assert refusal(sink, "/api/bill?step=hour&from=0")[0] == 400


def test_without_a_tariff_there_is_no_money(opened: Opened) -> None:
    """The energy is there all the same."""
    sink = opened({"312345_ch1": "mains"})
    deliver(sink)
    assert ask(sink, "/api/now")["bill"] is None
    bill = ask(sink, "/api/bill")
    assert (bill["currency"], bill["sum"]["total"]) == (None, 0)
    assert bill["sum"]["wh_import"] > 0


def test_insight_is_there_from_the_first_hour(opened: Opened) -> None:
    """With the circuits by name, and nothing that is not known."""
    sink = opened({"312345_ch1": "mains", "312345_aux1": "fridge"}, tariff=TARIFF)
    assert ask(sink, "/api/insight")["circuits"] == []
    deliver(sink)
    time_of_next = f"/api/insight?from={int(time.time()) - 10 * 86_400}"
    found = ask(sink, time_of_next)
    fridge = next(one for one in found["circuits"] if one["id"] == "312345_aux1")
    assert (fridge["name"], fridge["always_on"]) == ("fridge", None)
    assert found["house"]["wh_import"] > 0


class Letters:
    """Stands for the site: it has one dead letter, and notes what it is asked for."""

    def __init__(self) -> None:
        """Begin without a request."""
        self.asked: list[dict[str, Any]] = []

    def __call__(self, request: dict[str, Any]) -> dict[str, Any]:
        """Answer."""
        self.asked.append(dict(request))
        return {"letters": [{"id": "a1", "sink": "sink.roof", "reason": "too old"}]}


def post(sink: Dashboard, body: bytes, **headers: str) -> int:
    """Return the status of a request for a retry."""
    made = urllib.request.Request(f"{sink.url}/api/dead-letters/retry", body, headers, method="POST")
    try:
        with urllib.request.urlopen(made, timeout=20) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def test_dead_letters_are_retried_from_the_page_alone(opened: Opened) -> None:
    """Who does not know the page's word, or comes from another page, is refused, and nothing is done."""
    letters = Letters()
    sink = opened(letters=letters)
    token = ask(sink, "/api/dead-letters")["token"]
    body = json.dumps({"sink": "sink.roof"}).encode()
    assert post(sink, body) == 403
    assert post(sink, body, **{"X-Btcore-Token": "guessed"}) == 403
    assert post(sink, body, **{"X-Btcore-Token": token, "Origin": "http://elsewhere.example"}) == 403
    assert post(sink, body, **{"X-Btcore-Token": token, "Sec-Fetch-Site": "cross-site"}) == 403
    assert post(sink, b"[" * 10_000, **{"X-Btcore-Token": token}) == 400
    assert post(sink, b" " * 30_000, **{"X-Btcore-Token": token}) == 413
    assert refusal(sink, "/api/dead-letters/retry")[0] == 405
    assert [one["action"] for one in letters.asked] == ["list"]
    assert post(sink, body, **{"X-Btcore-Token": token, "Origin": sink.url}) == 200
    assert letters.asked[-1] == {"action": "retry", "sink": "sink.roof"}


def test_pages_for_everybody_change_nothing(opened: Opened) -> None:
    """On an open address without a password, nobody is given the word."""
    sink = opened(letters=Letters(), host="0.0.0.0")
    found = ask(sink, "/api/dead-letters")
    assert (found["count"], "token" in found) == (1, False)
    assert post(sink, b'{"sink": "sink.roof"}', **{"X-Btcore-Token": ""}) == 403


def test_health_is_that_of_the_site(opened: Opened) -> None:
    """It is asked once for all browsers within a few seconds."""
    asked: list[int] = []

    def status() -> dict[str, object]:
        asked.append(1)
        return {"ok": True, "problems": []}

    sink = opened(status=status)
    assert [ask(sink, "/api/health") for _ in range(5)] == [{"ok": True, "problems": []}] * 5
    assert len(asked) == 1


def test_an_empty_store_has_no_meters(opened: Opened) -> None:
    """The program that has just been installed answers too."""
    sink = opened()
    assert ask(sink, "/api/now")["meters"] == []
    assert ask(sink, "/api/recent")["watts"] == {}
    assert ask(sink, "/healthz") == {"status": "ok"}
    assert refusal(sink, "/api/history?channel=312345_ch1")[0] == 400


def test_a_meter_that_is_silent_stays(opened: Opened, tmp_path: Path) -> None:
    """Also after a restart, with the time of its last reading and without watts."""
    sink = opened({"312345_ch1": "mains"})
    start = deliver(sink, age=7200)
    sink.close()
    again = opened({"312345_ch1": "mains"})
    (meter,) = ask(again, "/api/now")["meters"]
    assert (meter["serial"], meter["time"]) == ("312345", start + 300)
    mains = meter["channels"][0]
    assert (mains["name"], mains["watts"]) == ("mains", None)


@pytest.mark.parametrize(("pace", "seconds"), [(10, 300), (600, 1800), (86_400, 10_800)])
def test_a_meter_that_sends_seldom_is_not_silent(pace: int, seconds: int, opened: Opened) -> None:
    """It is called silent after five minutes, or after three of its intervals; after hours in any case."""
    sink = opened()
    deliver(sink, age=3 * pace, count=3, pace=pace)
    (meter,) = ask(sink, "/api/now")["meters"]
    assert meter["silent_after"] == pytest.approx(seconds)


def test_the_last_hour_of_all_channels_is_one_question(opened: Opened) -> None:
    """With a gap where there was no sample."""
    sink = opened()
    deliver(sink, count=91, age=900)
    recent = ask(sink, "/api/recent")
    assert len(recent["times"]) == len(recent["watts"]["312345_ch1"]) == 60
    assert recent["watts"]["312345_ch1"][-5] == 750
    assert recent["watts"]["312345_ch1"][5] is None


def test_news_come_as_events(opened: Opened) -> None:
    """A browser has each sample as it is delivered."""
    sink = opened()
    first = deliver(sink, count=2, age=100)
    with request(sink, "/api/events") as stream:
        assert stream.headers["Content-Type"].startswith("text/event-stream")
        assert event(stream)["meters"][0]["time"] == first + 10
        start = deliver(sink, count=3, age=60)
        while (news := event(stream)["meters"][0]["time"]) == first + 10:
            pass
        assert news == start + 20


def test_a_browser_that_watches_does_not_hold_up_the_end(opened: Opened, caplog: pytest.LogCaptureFixture) -> None:
    """Its stream ends, and nothing is logged as an error."""
    sink = opened()
    deliver(sink, count=2)
    with request(sink, "/api/events") as stream:
        event(stream)
        sink.close()
        while stream.readline():
            pass
    assert [one.getMessage() for one in caplog.records if one.levelname in {"WARNING", "ERROR"}] == []


def event(stream: HTTPResponse) -> Any:  # noqa: ANN401 - any JSON
    """Return the data of the next event."""
    assert stream.readline() == b"event: now\n"
    data = stream.readline().removeprefix(b"data: ")
    stream.readline()
    return json.loads(data)


def test_browsers_beyond_the_limit_are_refused_and_the_sink_goes_on(opened: Opened) -> None:
    """None of them holds up a batch, and the page is there again when one leaves."""
    sink = opened()
    deliver(sink, count=2)
    with ExitStack() as stack:
        streams = [stack.enter_context(request(sink, "/api/events")) for _ in range(MAX_STREAMS)]
        for stream in streams:
            event(stream)
        assert refusal(sink, "/api/events")[0] == 503
        deliver(sink, count=3, age=60)
        assert [len(event(stream)["meters"]) for stream in streams] == [1] * MAX_STREAMS

    def is_served() -> bool:
        deliver(sink, count=2, age=5)  # a browser that is gone is noticed when it is sent something
        try:
            with request(sink, "/api/events") as stream:
                return bool(event(stream))
        except urllib.error.HTTPError:
            return False

    wait_for(is_served, "a stream to be free")


def test_a_password_is_asked_for(opened: Opened) -> None:
    """For all but /healthz; a wrong one, or what is no password at all, is answered 401, and the right one serves."""
    sink = opened(password=Secret("a secret: ü"))
    for path in (
        "/",
        "/history",
        "/insight",
        "/health",
        "/api/now",
        "/api/history",
        "/api/bill",
        "/api/insight",
        "/api/dead-letters",
        "/api/health",
        "/api/events",
        "/static/now.js",
        "/nowhere",
    ):
        assert refusal(sink, path)[0] == 401
        assert refusal(sink, path, "wrong")[0] == 401
    assert ask(sink, "/healthz") == {"status": "ok"}
    assert ask(sink, "/api/now", "a secret: ü")["meters"] == []
    for header in ("Basic", "Basic %%%", "Basic bm90aGluZw==", "Bearer a secret: ", ""):
        bad = urllib.request.Request(f"{sink.url}/api/now", headers={"Authorization": header})
        with pytest.raises(urllib.error.HTTPError) as caught, urllib.request.urlopen(bad, timeout=20):
            pass
        assert caught.value.code == 401
        caught.value.close()


@pytest.mark.parametrize("path", ["/", "/history", "/health", "/api/now", "/static/now.js", "/healthz"])
def test_every_answer_forbids_what_is_from_elsewhere(path: str, opened: Opened) -> None:
    """Scripts that stand in a page, requests to others, frames."""
    with request(opened(), path) as answer:
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'self'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("path", ["/nowhere", "/static/../sink.py", "/static/%2e%2e/sink.py", "/static/", "/api/"])
def test_nothing_else_is_served(path: str, opened: Opened) -> None:
    """No file outside the pages, and no directory."""
    assert refusal(opened(), path)[0] == 404


def test_a_port_that_is_taken_is_waited_for(opened: Opened, tmp_path: Path) -> None:
    """The sink tries again, and leaves no file locked behind."""
    port = int(opened().url.rpartition(":")[2])
    second = Dashboard(file=tmp_path / "second.db", port=port)
    expected = f"cannot listen on 127.0.0.1, port {port}: Address already in use, by a program: end that, or set"
    with pytest.raises(Retry, match=expected):
        second.open(make_context())
    second.close()


def test_who_has_the_port_is_named(tmp_path: Path) -> None:
    """Such as a second demonstration: the program, its process, and what to do."""
    listens = (
        "import socket; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", listens], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        port = int(other.stdout.readline())
        with pytest.raises(Retry, match=rf"in use, by .* \(process {other.pid}\): end that, or set another `port`"):
            Dashboard(file=tmp_path / "dashboard.db", port=port).open(make_context())
        other.kill()


def test_pages_for_everybody_are_warned_of(tmp_path: Path) -> None:
    """Who sees a house's power sees when somebody is at home."""
    assert [one.key for one in Dashboard(host="0.0.0.0").check()] == ["host"]
    assert list(Dashboard(host="0.0.0.0", password=Secret("x")).check()) == []
    assert list(Dashboard().check()) == []


def test_a_dry_run_serves_nothing(tmp_path: Path) -> None:
    """And makes no file."""
    sink = Dashboard(file=tmp_path / "dashboard.db", port=0)
    sink.open(make_context(dry_run=True))
    assert list(sink.preview_batch(batch_of(readings(3)))) == [
        "2023-11-14 22:13:30 312345: energy of 7 channels",
        "2023-11-14 22:13:40 312345: energy of 7 channels",
    ]
    sink.close()
    assert list(tmp_path.iterdir()) == []


def modules(name: str) -> set[str]:
    """Return the modules that a module imports, and those that they import."""
    own = set(re.findall(r'from "\./([\w./]+)"', (FILES / name).read_text()))
    return own.union(*(modules(one) for one in own if not one.startswith("vendor/")))


@pytest.mark.parametrize("name", ["now", "history", "insight", "health"])
def test_a_page_asks_for_all_its_modules_at_once(name: str) -> None:
    """Not one after the other, as each is found in the one before: from a slow computer that is a second."""
    preloaded = re.findall(r'<link rel="modulepreload" href="/static/([^"]+)">', (FILES / f"{name}.html").read_text())
    assert preloaded == sorted(modules(f"{name}.js"))


def test_billing_cycles_are_told_without_their_costs(opened: Opened) -> None:
    """Each follows the one before, and the last one has today; without a meter there is none."""
    sink = opened(tariff=Tariff(currency="EUR", price=0.4))
    assert ask(sink, "/api/cycles") == {"times": [], "ends": []}
    deliver(sink, age=70 * 86_400, count=5)
    found = ask(sink, "/api/cycles")
    assert found["times"][1:] == found["ends"][:-1]
    assert found["times"][0] <= time.time() - 69 * 86_400 < found["ends"][0]
    assert found["times"][-1] <= time.time() < found["ends"][-1]
