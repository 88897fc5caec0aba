# SPDX-License-Identifier: GPL-3.0-or-later
"""The pages in a browser: what is on them, wide and on a phone, light and dark."""

import csv
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from helpers.metered import batch_of, readings
from helpers.needed import needs
from playwright.sync_api import Browser, Page, Playwright, expect, sync_playwright

from btcore import FORMATS, ChannelDescription, ChannelRef, Reading, Secret, Tariff, pack
from btcore.testing import wait_for
from btmon_dashboard.sink import Dashboard

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

pytestmark = [
    pytest.mark.servers,
    pytest.mark.timeout(120),
    needs("" if BROWSER else "there is no browser: apt-get install chromium"),
]

MARKUP = "<script>document.title = 'broken'</script><b>lights</b>"
NAMES = {
    "01021234_ch1": "Mains",
    "01021234_ch2": "Solar",
    "01021234_ch3": MARKUP,
    "01021234_t1": "Cellar",
}

Opened = Callable[..., Dashboard]


class Kind(NamedTuple):
    """What a browser looks like."""

    width: int
    height: int
    colors: Literal["light", "dark"]


WIDE, PHONE = Kind(1280, 900, "light"), Kind(390, 844, "light")
KINDS = [WIDE, PHONE, WIDE._replace(colors="dark"), PHONE._replace(colors="dark")]
two_kinds = pytest.mark.parametrize("kind", [KINDS[0], KINDS[3]], ids=["wide", "phone dark"])
each_kind = pytest.mark.parametrize("kind", KINDS, ids=["wide", "phone", "wide dark", "phone dark"])


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    """Start what drives the browser."""
    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="module")
def browser(playwright: Playwright) -> Iterator[Browser]:
    """Start a browser."""
    started = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])  # tests may run as root
    yield started
    started.close()


@contextmanager
def page_of(browser: Browser, sink: Dashboard, path: str, kind: Kind = WIDE, password: str = "") -> Iterator[Page]:
    """Open a page; in the end, fail for an error of a script, a message in the console, or a request to elsewhere."""
    complaints: list[str] = []
    context = browser.new_context(
        viewport={"width": kind.width, "height": kind.height},
        color_scheme=kind.colors,
        http_credentials={"username": "me", "password": password} if password else None,
    )
    page = context.new_page()
    page.set_default_timeout(20_000)
    expect.set_options(timeout=20_000)  # of a busy computer
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: complaints.extend([] if request.url.startswith(sink.url) else [request.url]))
    page.goto(f"{sink.url}{path}")
    yield page
    context.close()
    assert complaints == []


def deliver(sink: Dashboard, age: float, count: int = 61, serial: str = "01021234") -> None:
    """Deliver readings of a GEM that uses 1000 W and exports 250 W on ch1, the last one so many seconds old."""
    start = float(int(time.time() - age)) - 10 * (count - 1)
    sink.process_batch(batch_of(readings(count, start=start, form="gem48ptbin", serial=serial)))


def fits(page: Page) -> bool:
    """Whether nothing sticks out of the window to the right, and no table has to be moved sideways."""
    return bool(
        page.evaluate(
            "document.documentElement.scrollWidth <= window.innerWidth"
            " && [...document.querySelectorAll('.table')].every((table) => table.scrollWidth <= table.clientWidth)"
        )
    )


@each_kind
def test_now_shows_the_house_and_its_circuits(kind: Kind, opened: Opened, browser: Browser) -> None:
    """Watts, kWh of today, sensors, and that it is live; unnamed channels that measure nothing are folded away."""
    sink = opened(NAMES)
    deliver(sink, 1)
    with page_of(browser, sink, "/", kind) as page:
        expect(page.locator("#connection")).to_have_text("live")
        expect(page.locator("#node-house .power")).to_have_text("750W")
        expect(page.locator("#node-grid dt")).to_have_text("From the grid")
        expect(page.locator("#busy li[data-id='01021234_ch1'] .watts")).to_have_text("750\u00a0W")
        expect(page.locator("#idle summary")).to_have_text("29 channels measure nothing")
        expect(page.locator("#tiles")).to_contain_text("Voltage120.0V")
        expect(page.locator("#tiles")).to_contain_text("Cellar21.5")
        expect(page.locator("#notices")).to_be_empty()
        assert fits(page)


def test_now_changes_as_samples_come(opened: Opened, browser: Browser) -> None:
    """Without loading the page again; energy of today is the counters'."""
    sink = opened(NAMES)
    with page_of(browser, sink, "/") as page:
        expect(page.locator("#empty")).to_contain_text("No meter has been heard yet")
        deliver(sink, 700, count=2)
        expect(page.locator("#notices")).to_contain_text("Meter 01021234 is silent: its last reading came 12 min ago")
        deliver(sink, 1, count=11)
        expect(page.locator("#notices")).to_be_empty()
        expect(page.locator("#empty")).to_be_hidden()
        expect(page.locator("#busy li[data-id='01021234_ch1'] .watts")).to_have_text("750\u00a0W")


def test_a_meter_that_disappears_is_not_the_present(opened: Opened, browser: Browser) -> None:
    """Its power is not shown as if it were measured now; the house is what the other meters know."""
    sink = opened({"01021234_ch1": "Mains", "01021235_ch1": "Oven"})
    deliver(sink, 1, serial="01021235")
    deliver(sink, 400)
    with page_of(browser, sink, "/") as page:
        expect(page.locator("#notices")).to_contain_text("Meter 01021234 is silent")
        expect(page.locator("#node-grid .power")).to_have_text("\u2013")
        expect(page.locator("#node-grid .today")).to_contain_text("in, ")
        expect(page.locator("#node-house .power")).to_have_text("750W")
        expect(page.locator("#busy li[data-id='01021234_ch1'] .watts")).to_have_text("\u2013")
        expect(page.locator("#tiles")).to_have_text(re.compile("^Voltage, 01021235[0-9.]+V[^,]*$"))
        deliver(sink, 1)
        expect(page.locator("#node-grid .power")).to_have_text("750W")
        expect(page.locator("#tiles")).to_contain_text("Voltage, 01021234")


@pytest.mark.parametrize("path", ["/", "/history"])
def test_a_name_is_text_and_never_markup(path: str, opened: Opened, browser: Browser) -> None:
    """Whatever a circuit is called."""
    sink = opened(NAMES)
    deliver(sink, 1)
    with page_of(browser, sink, path) as page:
        expect(page.get_by_text(MARKUP).first).to_be_visible()
        assert page.locator("b").count() == 0
        assert "broken" not in page.title()


@two_kinds
def test_history_shows_power_and_energy(kind: Kind, opened: Opened, browser: Browser) -> None:
    """Each span has a picture, and a table with the sums of the counters."""
    sink = opened(NAMES)
    deliver(sink, 1, count=361)
    with page_of(browser, sink, "/history", kind) as page:
        table = page.locator("#figures tbody tr").first
        expect(table).to_contain_text("Mains")
        page.get_by_role("button", name="Years").click()  # all of it, also in the night of a new year
        expect(table).to_contain_text("1.00\u00a0kWh")
        expect(table).to_contain_text("0.25\u00a0kWh")
        expect(table).to_contain_text("0.75\u00a0kWh")
        for span in ("Hour", "Day", "Week", "Month", "Year"):
            page.get_by_role("button", name=span, exact=True).click()
            expect(page.get_by_role("button", name=span, exact=True)).to_have_attribute("aria-pressed", "true")
            for kind_name in ("Energy", "Power"):
                page.get_by_role("button", name=kind_name).click()
                expect(page.locator("#plot")).to_have_attribute(
                    "aria-label", re.compile(f"^{kind_name} of Mains, Solar")
                )
                expect(page.locator("#plot canvas")).to_have_count(1)
        assert fits(page)


STATUS: dict[str, Any] = {
    "running": True,
    "ok": False,
    "time": "2026-11-27T14:55:24Z",
    "file": "/etc/btcore/site.toml",
    "version": "0.1.0",
    "started": "2026-11-27T11:55:24Z",
    "problems": [f"sink.roof fails: {MARKUP}"],
    "sources": [
        {
            "name": "panel",
            "plugin": "tcp-server",
            "state": "ok",
            "packets": 4260,
            "damaged": 2,
            "kept": 4258,
            "last_error": {"text": "reset by peer", "time": "2026-11-27T13:55:24Z"},
            "meters": [
                {
                    "serial": "01021234",
                    "last": "2026-11-27T14:55:14Z",
                    "readings": 4258,
                    "interval": 10.0,
                    "silent_for": None,
                }
            ],
        }
    ],
    "sinks": [
        {
            "name": "roof",
            "plugin": "pvoutput",
            "state": "failing",
            "delivered": 4000,
            "waiting": 258,
            "oldest_waiting": "2026-11-27T14:12:24Z",
            "dead_letters": 3,
            "last_error": {"text": MARKUP, "time": "2026-11-27T14:55:14Z"},
        }
    ],
    "warnings": [
        {"time": "2026-11-27T14:50:00Z", "from": "sink.roof", "level": "warning", "text": "the disk is slow"},
    ],
    "journal": {
        "bytes": 792_504,
        "entries": 4258,
        "oldest": "2026-11-01T14:39:11Z",
        "newest": "2026-11-27T14:55:23Z",
        "retention": 2_592_000,
        "free": 67_477_364_736,
        "full": None,
    },
}


@each_kind
def test_health_shows_what_is_wrong(kind: Kind, opened: Opened, browser: Browser) -> None:
    """And of each source and sink how far it is."""
    with page_of(browser, opened(status=lambda: STATUS), "/health", kind) as page:
        expect(page.locator("#verdict")).to_have_text("One thing is wrong")
        expect(page.locator("#notices")).to_have_text(f"sink.roof fails: {MARKUP}")
        expect(page.locator("#meters tbody")).to_have_text("01021234works10 s ago10\u00a0s4,258")
        expect(page.locator("#sources tbody")).to_contain_text("4,260")
        expect(page.locator("#sources tbody")).to_contain_text("Last error: reset by peer (60 min ago)")
        expect(page.locator("#sinks tbody")).to_have_text("roofpvoutputfails4,00025843 min ago3")
        expect(page.locator("#journal")).to_contain_text("Size793\u00a0kB")
        assert fits(page)


TARIFF = Tariff(currency="EUR", price=0.4, export_price=0.1)


@two_kinds
def test_now_shows_where_power_flows_and_what_it_costs(kind: Kind, opened: Opened, browser: Browser) -> None:
    """The same in words as in the picture; the sum of two mains is there once."""
    parts = {"01021235_ch1": ChannelDescription(name="house mains", parts=("01021234_ch1", "01021234_ch2"))}
    sink = opened({"01021234_ch1": "mains a", "01021234_ch2": "mains b"}, tariff=TARIFF, descriptions=parts)
    deliver(sink, 1)
    deliver(sink, 1, serial="01021235")
    with page_of(browser, sink, "/", kind) as page:
        expect(page.locator("#flow-text")).to_have_text(
            re.compile("Power flows from Grid 750\u00a0W; to Not measured 750\u00a0W")
        )
        expect(page.locator("#flow svg .band")).to_have_count(2)
        expect(page.locator("#node-house .power")).to_have_text("750W")
        expect(page.locator("#node-house .today")).to_contain_text("€")
        expect(page.locator("#cycle")).to_contain_text("This billing cycle: €")
        assert fits(page)


@two_kinds
def test_history_shows_what_it_costs(kind: Kind, opened: Opened, browser: Browser) -> None:
    """In each step and each bill, with the counters' energy; also the shares of circuits."""
    sink = opened({**NAMES, "01021234_ch3": "oven"}, tariff=TARIFF)
    deliver(sink, 1, count=361)
    with page_of(browser, sink, "/history#kind=cost&span=decade&c=01021234_ch1&c=01021234_ch3", kind) as page:
        rows = page.locator("#figures tbody tr")
        expect(rows.first).to_have_text(re.compile("House0.75.*€0.38"))
        expect(page.locator("#bill")).to_contain_text("€0.40 for 1.00\u00a0kWh from the grid")
        expect(page.locator("#plot canvas")).to_have_count(1)
        for span in ("Hour", "Day", "Bill"):
            page.get_by_role("button", name=span, exact=True).click()
            expect(page.get_by_role("button", name=span, exact=True)).to_have_attribute("aria-pressed", "true")
            expect(page.locator("#plot")).to_have_attribute("aria-label", re.compile("^Cost of "))
        assert fits(page)


def test_bars_of_energy_say_what_they_cost(opened: Opened, browser: Browser) -> None:
    """Under the mouse: the energy, and the cost as soon as it is known; of minutes it is not."""
    sink = opened({**NAMES, "01021234_ch3": "oven"}, tariff=TARIFF)
    deliver(sink, 1, count=361)
    with page_of(browser, sink, "/history#kind=energy&span=decade&c=01021234_ch1") as page:
        expect(page.locator("#figures tbody tr").first).to_contain_text("0.75\u00a0kWh")

        def hover() -> str:
            page.mouse.move(0, 0)
            page.locator("#plot .u-over").hover()
            return page.locator("#values").inner_text()

        wait_for(lambda: "Mains 750\u00a0Wh (€0.38)" in hover(), "the cost of a bar")
        page.get_by_role("button", name="Hour", exact=True).click()
        page.get_by_role("button", name="Energy", exact=True).click()
        expect(page.locator("#plot")).to_have_attribute("aria-label", re.compile("^Energy of .*:00"))
        assert "€" not in hover()


def test_two_mains_are_one_house(opened: Opened, browser: Browser) -> None:
    """Each has a colour of its own; what the house costs is there once."""
    sink = opened({"01021234_ch1": "mains a", "01021234_ch2": "mains b"}, tariff=TARIFF)
    deliver(sink, 1, count=361)
    with page_of(browser, sink, "/history#span=decade&kind=energy") as page:
        marks = page.locator("#figures tbody th i")
        expect(marks).to_have_count(2)
        assert marks.nth(0).get_attribute("style") != marks.nth(1).get_attribute("style")
        page.get_by_role("button", name="Cost", exact=True).click()
        expect(page.locator("#figures tbody tr")).to_have_count(1)
        expect(page.locator("#figures tbody tr")).to_contain_text("House0.75\u00a0kWh")


def test_what_the_sun_gives_is_positive(opened: Opened, browser: Browser) -> None:
    """As on the page Now, whichever way its sensor is clipped on; also as a number that is saved."""
    sink, made = opened({"01021234_ch1": "roof"}, solar=(ChannelRef("", "ch1"),)), []
    start = int(time.time()) - 3601
    for at in range(361):
        values = {"secs": 10 * at, "volts": 120.0, "ch1_aws": 10_000 * at, "ch1_pws": 10_000 * at}
        raw = pack("gem48ptbin", "01021234", values)
        when = datetime.fromtimestamp(start + 10 * at, UTC)
        made.append(Reading(when, FORMATS["gem48ptbin"], "01021234", raw, offset=1 + at))
    sink.process_batch(batch_of(made))
    with page_of(browser, sink, "/") as page:
        expect(page.locator("#busy li[data-id='01021234_ch1'] .watts")).to_have_text("1.00\u00a0kW")
        page.goto(f"{sink.url}/history#span=decade&c=01021234_ch1")
        expect(page.locator("#figures tbody tr")).to_have_text("roof1.00\u00a0kWh1.00\u00a0kW1.00\u00a0kWh")
        with page.expect_download() as saved:
            page.get_by_role("button", name="CSV").click()
        _, *rows = list(csv.reader(saved.value.path().read_text("utf-8").splitlines()))
        assert sum(float(row[2]) for row in rows) == pytest.approx(1000, abs=0.01)


def tab_to(page: Page, name: str) -> None:
    """Press the tabulator until the element of a name has the focus."""
    for _ in range(80):
        page.keyboard.press("Tab")
        focused = "(e => e.getAttribute('aria-label') || e.closest('label')?.textContent || e.textContent)"
        if page.evaluate(f"{focused}(document.activeElement)") == name:
            return
    pytest.fail(f"the tabulator does not lead to {name!r}")


def test_the_keyboard_is_enough(opened: Opened, browser: Browser) -> None:
    """From the page Now to another circuit over another span, to what is saved, and to the other pages."""
    sink = opened(NAMES, status=lambda: STATUS, tariff=TARIFF)
    deliver(sink, 1, count=361)
    with page_of(browser, sink, "/") as page:
        expect(page.locator("#busy li").first).to_be_visible()
        tab_to(page, "To the content")
        tab_to(page, "History")
        page.keyboard.press("Enter")
        expect(page.locator("#figures tbody tr").first).to_contain_text("Mains")
        for name in ("Years", "Energy"):
            tab_to(page, name)
            page.keyboard.press("Enter")
            expect(page.get_by_role("button", name=name, exact=True)).to_have_attribute("aria-pressed", "true")
        tab_to(page, "Solar")
        page.keyboard.press("Space")
        expect(page.locator("#figures tbody tr")).to_have_count(1)
        expect(page.get_by_role("checkbox", name="Solar")).to_be_focused()
        tab_to(page, "numbers (CSV)")
        with page.expect_download():
            page.keyboard.press("Enter")
        for name, ready in (("Insight", "#circuits tbody tr"), ("Health", "#sinks tbody tr"), ("Now", "#busy li")):
            tab_to(page, name)
            page.keyboard.press("Enter")
            expect(page.locator(ready).first).to_be_visible()


def test_history_shows_sensors(opened: Opened, browser: Browser) -> None:
    """In place of circuits, with their own unit."""
    sink = opened(NAMES)
    deliver(sink, 1)
    with page_of(browser, sink, "/history") as page:
        page.get_by_role("checkbox", name="Cellar").check()
        expect(page.locator("#figures tbody tr")).to_have_count(1)
        expect(page.locator("#figures tbody tr")).to_have_text(re.compile("Cellar21.5\u00a0°"))
        expect(page.get_by_role("checkbox", name="Mains")).not_to_be_checked()
        expect(page.locator("#kinds")).to_be_hidden()
        page.get_by_role("checkbox", name="Mains").check()
        expect(page.get_by_role("checkbox", name="Cellar")).not_to_be_checked()
        expect(page.locator("#figures tbody tr")).to_contain_text("Mains")


@two_kinds
def test_insight_shows_the_bill_and_its_circuits(kind: Kind, opened: Opened, browser: Browser) -> None:
    """Each with its energy and share; what is not known yet is said."""
    sink = opened({**NAMES, "01021234_ch2": "oven"}, tariff=TARIFF)
    with page_of(browser, sink, "/insight", kind) as page:
        expect(page.locator("#empty")).to_contain_text("nothing to find out yet")
    deliver(sink, 1, count=361)
    with page_of(browser, sink, "/insight", kind) as page:
        page.get_by_role("button", name="7 days").click()
        expect(page.locator("#lead")).to_contain_text("known after 3 nights")
        expect(page.locator("#lead")).to_contain_text("€0.40 for energy")
        expect(page.locator("#circuits tfoot")).to_contain_text("0.75\u00a0kWh")
        expect(page.locator("#unusual")).to_contain_text("known after a week")
        assert fits(page)


def test_dead_letters_can_be_delivered_again(opened: Opened, browser: Browser) -> None:
    """By a button for each sink; whatever a reason says, it is text."""
    asked: list[dict[str, Any]] = []

    def letters(request: dict[str, Any]) -> dict[str, Any]:
        asked.append(dict(request))
        return {"letters": [{"id": "a", "sink": "sink.roof", "reason": MARKUP}]}

    sink = opened(status=lambda: STATUS, letters=letters)
    with page_of(browser, sink, "/health") as page:
        expect(page.locator("#letters tbody tr")).to_contain_text(MARKUP)
        page.get_by_role("button", name="Deliver the dead letters of sink.roof again").click()
        expect(page.locator("#letters-note")).to_contain_text("1 are being delivered again")
        expect(page.locator("#warnings")).to_contain_text("the disk is slow")
    assert {"action": "retry", "sink": "sink.roof"} in asked


def test_a_wrong_password_shows_nothing(opened: Opened, browser: Browser) -> None:
    """Neither a page nor a number."""
    sink = opened(NAMES, password=Secret("let me in"))
    deliver(sink, 1)
    context = browser.new_context(http_credentials={"username": "me", "password": "wrong"})
    page = context.new_page()
    answer = page.goto(f"{sink.url}/")
    assert answer is not None
    assert answer.status == 401
    assert "Mains" not in page.content()
    context.close()


def test_a_link_reproduces_a_view(opened: Opened, browser: Browser) -> None:
    """With its circuits and its span; the browser's Back goes back."""
    sink = opened(NAMES)
    deliver(sink, 1)
    with page_of(browser, sink, "/history") as page:
        page.get_by_role("checkbox", name="Solar").uncheck()
        page.get_by_role("button", name="Month", exact=True).click()
        page.get_by_role("button", name="Earlier").click()
        expect(page.locator("#span")).not_to_be_empty()
        before = page.locator("#span").inner_text()
        link = page.url.removeprefix(sink.url)
        page.go_back()
        expect(page.locator("#span")).not_to_have_text(before)
    with page_of(browser, sink, link, PHONE) as page:
        expect(page.locator("#span")).to_have_text(before)
        expect(page.get_by_role("checkbox", name="Mains")).to_be_checked()
        expect(page.get_by_role("checkbox", name="Solar")).not_to_be_checked()


def test_dragging_looks_closer(opened: Opened, browser: Browser) -> None:
    """A part of the picture becomes the picture, and a double click brings the span back."""
    sink = opened(NAMES)
    deliver(sink, 1, count=361)
    with page_of(browser, sink, "/history#span=day") as page:
        expect(page.locator("#span")).not_to_be_empty()
        day = page.locator("#span").inner_text()
        box = page.locator("#plot .u-over").bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + box["width"] * 0.4, box["y"] + 50)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + 60, steps=5)
        page.mouse.up()
        expect(page.locator("#span")).not_to_have_text(day)
        assert "from=" in page.url
        page.locator("#plot").dblclick()
        expect(page.locator("#span")).to_have_text(day)


def test_a_span_is_compared_with_the_one_before(opened: Opened, browser: Browser) -> None:
    """The table has the sum of both."""
    sink = opened(NAMES)
    deliver(sink, 4100, count=61)
    deliver(sink, 1, count=361)
    end = int(time.time()) + 60
    with page_of(browser, sink, f"/history#from={end - 4000}&to={end}&c=01021234_ch1") as page:
        row = page.locator("#figures tbody tr")
        expect(row).to_contain_text("0.75\u00a0kWh")
        page.get_by_role("button", name="Compare").click()
        expect(row.locator("td").nth(3)).to_have_text("0.13\u00a0kWh")
        assert "before=1" in page.url


def test_what_is_visible_can_be_saved(opened: Opened, browser: Browser) -> None:
    """As CSV, with the sums of the counters and no formula for a spreadsheet, and as PNG."""
    sink = opened({**NAMES, "01021234_ch1": '=HYPERLINK("x")'}, grid=(ChannelRef("", "ch1"),))
    deliver(sink, 1, count=361)
    with page_of(browser, sink, "/history#span=decade&c=01021234_ch1&c=01021234_ch2") as page:
        expect(page.locator("#figures tbody tr").first).to_contain_text("0.75\u00a0kWh")
        with page.expect_download() as saved:
            page.get_by_role("button", name="CSV").click()
        head, *rows = list(csv.reader(saved.value.path().read_text("utf-8").splitlines()))
        assert head == ["time", '\'=HYPERLINK("x") W', '\'=HYPERLINK("x") Wh', "Solar W", "Solar Wh"]
        assert sum(float(row[2]) for row in rows) == pytest.approx(750)
        with page.expect_download() as saved:
            page.get_by_role("button", name="PNG").click()
        assert saved.value.path().read_bytes().startswith(b"\x89PNG")
        assert saved.value.suggested_filename.endswith(".png")


@pytest.mark.parametrize("path", ["/", "/history", "/insight", "/health"])
@pytest.mark.parametrize("kind", [WIDE, WIDE._replace(colors="dark")], ids=["light", "dark"])
def test_a_page_can_be_used_by_everybody(path: str, kind: Kind, opened: Opened, browser: Browser) -> None:
    """Axe finds nothing serious: contrast, names of controls, structure for a screen reader."""
    sink = opened(NAMES, status=lambda: STATUS, tariff=TARIFF)
    deliver(sink, 1)
    context = browser.new_context(color_scheme=kind.colors, bypass_csp=True)  # axe is a script from elsewhere
    page = context.new_page()
    page.goto(f"{sink.url}{path}")
    ready = page.locator("#busy li, #figures tbody tr, #sinks tbody tr, #circuits tbody tr")
    expect(ready.first).to_be_visible()
    found = Axe().run(page).response["violations"]
    context.close()
    assert [(one["id"], one["help"]) for one in found if one["impact"] in {"serious", "critical"}] == []


def test_a_circuit_leads_to_its_history(opened: Opened, browser: Browser) -> None:
    """By the keyboard too."""
    sink = opened(NAMES)
    deliver(sink, 1)
    with page_of(browser, sink, "/") as page:
        page.get_by_role("link", name="Solar").focus()
        page.keyboard.press("Enter")
        expect(page.get_by_role("checkbox", name="Solar")).to_be_checked()
        expect(page.get_by_role("checkbox", name="Mains")).not_to_be_checked()


def test_a_browser_with_the_password_sees_the_page(opened: Opened, browser: Browser) -> None:
    """All that the page asks for is asked with it."""
    sink = opened(NAMES, password=Secret("let me in"))
    deliver(sink, 1)
    with page_of(browser, sink, "/", password="let me in") as page:
        expect(page.locator("#node-house .power")).to_have_text("750W")
        page.get_by_role("link", name="History").click()
        expect(page.locator("#figures tbody tr").first).to_contain_text("Mains")
