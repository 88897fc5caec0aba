# SPDX-License-Identifier: GPL-3.0-or-later
"""The PVOutput of the tests itself: it behaves as the service documents, so that passing against it means something."""

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
import requests
from helpers.folders import SERVERS
from servers.pvoutput import PVOutputServer

from btcore.testing import Clock

pytestmark = pytest.mark.servers


SCRIPT = SERVERS / "pvoutput.py"


def post(server: PVOutputServer, page: str = "addstatus", **form: str) -> requests.Response:
    """Post a form as the right client."""
    headers = {"X-Pvoutput-Apikey": server.key, "X-Pvoutput-SystemId": server.system, "X-Rate-Limit": "1"}
    url = f"{server.url}/service/r2/{page}.jsp"
    return requests.post(url, data=form, headers=headers | {"Connection": "close"}, timeout=5)


def text(server: PVOutputServer, page: str = "addstatus", **form: str) -> str:
    """Return the words of the answer."""
    return post(server, page, **form).text


TODAY = {"d": "20240601", "t": "11:50"}


def test_a_status_is_added_and_a_second_one_of_its_slot_adds_to_it(server: PVOutputServer) -> None:
    """Posts of one slot are merged."""
    assert text(server, **TODAY, v2="100") == "OK 200: Added Status"
    post(server, **TODAY, v4="50")
    assert server.slots == {("20240601", "11:50"): {"v2": "100", "v4": "50", "c1": "0"}}
    assert server.accepted == [TODAY | {"v2": "100", "c1": "0"}, TODAY | {"v4": "50", "c1": "0"}]


def test_times_within_a_slot_are_that_slot(server: PVOutputServer) -> None:
    """The status interval is the system's."""
    server.interval = 15
    post(server, **TODAY, v2="1")
    assert list(server.slots) == [("20240601", "11:45")]


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ({"d": "20240602", "t": "11:50", "v2": "1"}, "Bad request 400: Date is in the future [20240602]"),
        ({"d": "20240601", "t": "12:10", "v2": "1"}, "Bad request 400: Date is in the future [20240601]"),
        ({"d": "20240517", "t": "11:50", "v2": "1"}, "Bad request 400: Date is older than 14 days [20240517]"),
        ({"d": "today", "t": "11:50", "v2": "1"}, "Bad request 400: Could not read date [today 11:50]"),
        (TODAY, "Bad request 400: Missing required data"),
        (TODAY | {"v5": "21.5"}, "Bad request 400: Missing required data"),
        (TODAY | {"v4": "-399"}, "Bad request 400: Invalid power value [-399]"),
        (TODAY | {"v1": "-1"}, "Bad request 400: Invalid energy value [-1]"),
        (TODAY | {"v2": "1.5"}, "Bad request 400: Could not read v2 [1.5]"),
        (TODAY | {"v2": "1", "v7": "1"}, "Forbidden 403: Donation Mode"),
    ],
)
def test_what_is_no_status_is_refused(server: PVOutputServer, form: dict[str, str], expected: str) -> None:
    """Each refusal has the words that the service documents."""
    assert text(server, **form) == expected
    assert server.slots == {}


def test_generation_beyond_belief_is_refused(server: PVOutputServer) -> None:
    """More than the system's size allows, or at night."""
    server.size, server.night = 4000, range(4)
    assert text(server, **TODAY, v2="6001") == "Bad request 400: Power value [6001] too high for system size [4000]"
    assert text(server, d="20240601", t="03:00", v2="5") == "Bad request 400: Moon Powered"
    assert text(server, d="20240601", t="03:00", v2="0") == "OK 200: Added Status"


def test_energy_does_not_fall_within_a_day(server: PVOutputServer) -> None:
    """A lifetime counter, and energy since midnight, rise; the next day is another."""
    post(server, d="20240531", t="23:55", v1="900", c1="1")
    post(server, d="20240601", t="00:00", v1="500", c1="1")
    fell = text(server, d="20240601", t="00:05", v1="499", c1="1")
    assert fell == "Bad request 400: Energy value [499] lower than previously recorded value: [500]"
    assert text(server, d="20240601", t="00:05", v1="7") == "OK 200: Added Status"


def test_one_bad_row_refuses_a_batch(server: PVOutputServer) -> None:
    """Nothing of it is stored."""
    rows = "20240601,11:40,5,1;20240601,11:45,4,1;20240601,11:50,6,1"
    assert text(server, "addbatchstatus", data=rows).startswith("Bad request 400: Energy value [4] lower")
    assert server.slots == {}


def test_or_is_answered_with_0_while_the_others_are_stored(server: PVOutputServer) -> None:
    """The service's other behaviour: it refuses a batch only where nothing of it can be stored."""
    server.whole = False
    rows = "20240601,11:40,5,1;20240601,11:45,4,1;20240601,11:50,6,1"
    expected = "20240601,11:40,1;20240601,11:45,0;20240601,11:50,1"
    assert text(server, "addbatchstatus", data=rows) == expected
    assert [slot for _, slot in server.slots] == ["11:40", "11:50"]
    assert text(server, "addbatchstatus", data="20240601,11:45,4").startswith("Bad request 400")


def test_a_batch_has_a_row_at_least_and_thirty_at_most(server: PVOutputServer) -> None:
    """31 rows are refused."""
    rows = [f"20240601,{minute // 60:02d}:{minute % 60:02d},,1" for minute in range(0, 160, 5)]
    assert post(server, "addbatchstatus", data=";".join(rows[:31])).status_code == 400
    assert post(server, "addbatchstatus", data="").status_code == 400
    assert post(server, "addbatchstatus", data=";".join(rows[:30])).status_code == 200
    assert len(server.slots) == 30


def test_the_hour_s_requests_are_counted_and_told(server: PVOutputServer, clock: Clock) -> None:
    """Beyond the limit 403, with the time of the reset; the next hour has its own."""
    server.limit = 1
    headers = post(server, **TODAY, v2="1").headers
    assert (headers["X-Rate-Limit-Remaining"], headers["X-Rate-Limit-Limit"]) == ("0", "1")
    assert headers["X-Rate-Limit-Reset"] == str(int(clock.now) // 3600 * 3600 + 3600)
    assert text(server, **TODAY, v2="1") == "Forbidden 403: Exceeded 1 requests per hour"
    clock.now += 3600
    assert text(server, **TODAY, v2="1") == "OK 200: Added Status"


def test_keys_are_checked(server: PVOutputServer) -> None:
    """A wrong system or key is 401, a key that may only read 403."""
    url = f"{server.url}/service/r2/addstatus.jsp"
    for headers, expected in (
        ({}, "Unauthorized 401: Invalid System ID"),
        ({"X-Pvoutput-SystemId": server.system}, "Unauthorized 401: Invalid API Key"),
    ):
        assert requests.post(url, headers=headers | {"Connection": "close"}, timeout=5).text == expected
    server.read_only = True
    assert text(server, **TODAY, v2="1") == "Forbidden 403: Read only key"


def test_as_a_program_it_writes_what_it_accepts(tmp_path: Path) -> None:
    """A line of JSON for each status, at once."""
    log = tmp_path / "accepted.jsonl"
    with subprocess.Popen(
        [sys.executable, SCRIPT, "--port", "0", "--log", log], stdout=subprocess.PIPE, text=True
    ) as program:
        assert program.stdout is not None
        url = program.stdout.readline().strip()
        day = f"{datetime.now(UTC):%Y%m%d}"
        headers = {"X-Pvoutput-Apikey": PVOutputServer.key, "X-Pvoutput-SystemId": PVOutputServer.system}
        form = {"d": day, "t": "00:00", "v2": "5"}
        requests.post(f"{url}/service/r2/addstatus.jsp", data=form, headers=headers, timeout=5)
        assert [json.loads(line) for line in log.read_text().splitlines()] == [form | {"c1": "0"}]
        program.kill()
