# SPDX-License-Identifier: GPL-3.0-or-later
"""What can never be sent is refused, or stops the sink where a setting is at fault: it is not tried for ever."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from helpers.configured_sink import deliver_entries, sink_from_toml
from helpers.distributions import install_distribution
from helpers.journal_entries import ecm1240_entries

from btcore import Reject, Secret, Stop
from btcore.testing import HostedService
from btcore.web import Client

URL = "http://127.0.0.1:9/"


@pytest.mark.parametrize(
    ("what", "why"),
    [
        ({"json": {"watts": math.nan}}, "JSON has no NaN and no infinite number"),
        ({"json": [{"watts": [-math.inf]}]}, "JSON has no NaN and no infinite number"),
        ({"headers": {"X-Name": "a\nb"}}, "the header X-Name contains a line break or another control character"),
        ({"headers": {"X-Name": "a\r\nX-Other: b"}}, "the header X-Name contains a line break"),
        ({"headers": {"X-Name": "a\0b"}}, "the header X-Name contains a line break or another control character"),
        ({"headers": {"X-Name": " a"}}, "the header X-Name contains a line break or another control character"),
        ({"headers": {"X-Name": "a\ud800"}}, r"the header X-Name contains half a character \(a lone surrogate\)"),
        ({"headers": {"X\nName": "a"}}, "a header's name contains invalid characters"),
        ({"data": "a\udfff"}, r"half a character \(a lone surrogate\)"),
        ({"data": {"a": "\udfff"}}, r"half a character \(a lone surrogate\)"),
        ({"params": {"a": "\udfff"}}, r"half a character \(a lone surrogate\)"),
        ({"auth": ("a", "\udfff")}, r"half a character \(a lone surrogate\)"),
    ],
)
def test_what_can_never_be_sent_is_refused(what: Mapping[str, Any], why: str) -> None:
    """The reason is told, without a value: it might be a key."""
    with pytest.raises(Reject, match=rf"^the request to 127\.0\.0\.1:9 is invalid: .*{why}") as error:
        Client(agent="btmon-test", timeout=5).send("POST", URL, **what)
    assert error.value.__cause__ is None
    assert error.value.__context__ is None


def test_a_key_that_can_never_be_sent_stops_the_sink() -> None:
    """It is the setting that is wrong, for every reading: none is thrown away for it."""
    key = Secret("k3y\nX-Other: 1")
    for headers in ({"X-Key": key.reveal()}, {"Authorization": f"Bearer {key.reveal()}"}):
        with pytest.raises(Stop, match="check the key, token or password in the sink's table") as error:
            Client(agent="btmon-test", timeout=5, secrets=[key]).send("POST", URL, headers=headers)
        assert "k3y" not in str(error.value)
    with pytest.raises(Stop, match="cannot send: the header X-Key contains a line break") as error:
        Client(agent="btmon-test", timeout=5, headers={"X-Key": key.reveal()})
    assert "k3y" not in str(error.value)


@pytest.mark.parametrize("url", ["http://[::1", "http://a/\ud800", "htp://h/"])
def test_an_address_that_can_never_be_asked_stops_the_sink(url: str) -> None:
    """It is a setting."""
    with pytest.raises(Stop, match="check `url`"):
        Client(agent="btmon-test", timeout=5).send("GET", url)


def test_a_proxy_that_is_none_stops_the_sink(monkeypatch: pytest.MonkeyPatch) -> None:
    """The address of the service is right: it is the environment that a person must mend."""
    monkeypatch.setenv("http_proxy", "http:///")
    monkeypatch.delenv("no_proxy", raising=False)
    with pytest.raises(Stop, match="check the address of the proxy in the environment"):
        Client(agent="btmon-test", timeout=5).send("GET", "http://service.example/")


STRANGER = """
from btcore import Delivery, Duration, hookimpl, plugin, setting
from btcore.web import Client, raise_for_answer

@plugin(api=1, delivery=Delivery(batch_size=10))
class Uploader:
    url: str = setting(help="address of the service")

    @hookimpl
    def open(self):
        self.client = Client(agent="test", timeout=5)

    @hookimpl
    def process_batch(self, batch):
        rows = [s.newer.key // 10**6 for s in batch.samples]
        bad = [row for row in rows if row % 100 == 0]
        self.client.send("POST", self.url, json=[float("nan") if row in bad else row for row in rows])

    @hookimpl
    def close(self):
        self.client.close()
"""


@pytest.mark.servers
def test_the_good_rows_of_a_batch_go_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What can never be sent is set aside alone: a row with NaN neither holds up the others, nor takes them along."""
    monkeypatch.syspath_prepend(tmp_path)
    install_distribution(tmp_path, "btmon-nan", STRANGER, {"nan-test": "Uploader"})
    with HostedService() as server:
        sink = sink_from_toml(tmp_path, f'[sink.x]\nuse = "nan-test"\nurl = "{server.url}"\n')
        worker = deliver_entries(sink, ecm1240_entries(300), tmp_path)
        sent = [row for request in server.requests for row in request.json]
    readings = [1_700_000_000 + at for at in range(10, 301, 10)]
    assert (sent, worker.dead_letters, worker.stop_reason) == ([row for row in readings if row % 100], 3, "")
