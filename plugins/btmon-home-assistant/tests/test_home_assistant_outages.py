# SPDX-License-Identifier: GPL-3.0-or-later
"""A Home Assistant that is down, busy, restarted or refuses: all is there in the end, once; else one clear line."""

import logging
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from threading import Event, Timer

import pytest
from helpers.certificates import make_certificate
from helpers.metered_house import HOUSE, batch_of, house_entries, house_readings
from helpers.running_sink import RunningSink
from servers.home_assistant import TOKEN, HomeAssistantApi
from servers.raw_server import RawServer

from btcore import DiagnosisContext, Duration, Retry, Secret, Stop
from btcore.journal.opening import DEFAULT, open_journal
from btcore.testing import HostedService, Reply, wait_for
from btmon_home_assistant.hours import HOUR
from btmon_home_assistant.sink import HomeAssistant

Opened = Callable[..., HomeAssistant]
IMPORT = f"btcore:{HOUSE}_ch1_import"


def ends_well(server: HomeAssistantApi, hours: float) -> bool:
    """Whether all of these hours is there, and no step is negative."""
    steps = server.recorder.steps(IMPORT)
    return bool(steps) and min(steps) >= 0 and abs(sum(steps) - 0.8 * hours) < 1e-5


def test_an_outage_waits(server: HomeAssistantApi, opened: Opened, tmp_path: Path) -> None:
    """What comes while Home Assistant is down is there once it is back."""
    journal = open_journal(DEFAULT, tmp_path)
    journal.append(house_entries(0, HOUR))
    with RunningSink(journal, opened(), settings={"interval": Duration(300)}) as running:
        wait_for(lambda: server.recorder.sums(IMPORT), "the first rows")
        server.stop()
        journal.append(house_entries(HOUR + 300, 30 * HOUR))
        wait_for(lambda: running.worker.is_failing, "a failure")
        server.start()
        running.finish()
    journal.close()
    assert ends_well(server, 30)


def test_a_lost_answer_does_no_harm(server: HomeAssistantApi, opened: Opened) -> None:
    """Where the connection is cut behind any command, which is done nevertheless, the next try ends as it should."""
    later = batch_of(house_readings(24 * HOUR, 25 * HOUR))
    for commands in range(8):
        server.recorder.rows.clear()
        opened().process_batch(later)
        sink, server.answers = opened(), [{"success": True, "result": None}] * commands + [None]
        with pytest.raises(Retry, match="has ended the connection"):
            sink.process_batch(batch_of(house_readings(0, HOUR)))
        sink.process_batch(batch_of(house_readings(0, HOUR)))
        assert ends_well(server, 25)


def test_what_is_queued_is_not_yet_stored(server: HomeAssistantApi, opened: Opened) -> None:
    """Rows that Home Assistant has taken and not stored are not delivered; what it stores later does no harm."""
    opened().process_batch(batch_of(house_readings(24 * HOUR, 25 * HOUR)))
    sink, server.recorder.is_busy = opened(timeout=Duration(0.2)), True
    with pytest.raises(Retry, match=r"has not stored btcore:01000777_.* yet: its recorder is busy"):
        sink.process_batch(batch_of(house_readings(0, HOUR)))
    with pytest.raises(Retry):
        sink.process_batch(batch_of(house_readings(0, HOUR)))
    server.recorder.finish()
    sink.process_batch(batch_of(house_readings(0, HOUR)))
    assert ends_well(server, 25)


def test_a_slow_recorder_is_waited_for(server: HomeAssistantApi, opened: Opened) -> None:
    """A call returns once the rows are stored, and not before."""
    server.recorder.is_busy = True
    timer = Timer(0.2, server.recorder.finish)
    timer.start()
    opened().process_batch(batch_of(house_readings(0, HOUR)))
    assert ends_well(server, 1)
    timer.join()


@pytest.mark.parametrize(
    ("code", "kind", "text"),
    [
        ("unauthorized", Stop, "is of a user who may not write; make one as an administrator"),
        ("invalid_format", Stop, "does not take recorder/import_statistics: invalid_format: no; update"),
        (
            "unknown_command",
            Retry,
            "does not know recorder/import_statistics: it is starting, or its `recorder` is off",
        ),
        ("home_assistant_error", Retry, "failed to do recorder/import_statistics: home_assistant_error: no"),
    ],
)
def test_refusals(server: HomeAssistantApi, opened: Opened, code: str, kind: type[Exception], text: str) -> None:
    """What a person has to mend stops the sink; all else is tried again."""
    server.answers = [{"success": False, "error": {"code": code, "message": "no"}}]
    with pytest.raises(kind, match=text):
        opened().process_batch(batch_of(house_readings(0, HOUR)))


def test_a_wrong_token_stops(opened: Opened) -> None:
    """A token that is refused stops the sink, and no message has it."""
    with pytest.raises(Stop, match="refuses the token; make a new one") as caught:
        opened(token=Secret("another-token")).process_batch(batch_of(house_readings(0, HOUR)))
    assert "another-token" not in str(caught.value)


@pytest.mark.parametrize(
    ("reply", "kind", "text"),
    [
        (Reply(404, "no"), Stop, "answers 404: this is no Home Assistant; correct `url`"),
        (Reply(403, "no"), Stop, "answers 403: .* see its ip_bans.yaml"),
        (Reply(502, "no"), Retry, "answers 502: it is starting, or a proxy does not reach it"),
        (
            Reply(301, "", {"Location": "https://ha.example/api/websocket"}),
            Stop,
            "redirects to https://ha.example/api/websocket; write",
        ),
        (Reply(200, "<html>"), Retry, "answers 200"),
        (Reply(wire="reset"), Retry, "cannot be reached"),
    ],
)
def test_what_is_no_home_assistant(opened: Opened, reply: Reply, kind: type[Exception], text: str) -> None:
    """Whatever answers instead is named by what to do."""
    with HostedService(lambda _request: reply) as other, pytest.raises(kind, match=text):
        opened(url=other.url).process_batch(batch_of(house_readings(0, HOUR)))


def _say_nothing(_socket: socket.socket, over: Event) -> None:
    over.wait()


def test_silence_has_an_end(opened: Opened) -> None:
    """A server that takes the connection and says nothing is left after `timeout`."""
    with (
        RawServer(_say_nothing) as mute,
        pytest.raises(Retry, match="cannot be reached: timed out"),
    ):
        opened(url=mute.url, timeout=Duration(0.2)).process_batch(batch_of(house_readings(0, HOUR)))


def test_nobody_there(server: HomeAssistantApi, opened: Opened) -> None:
    """Where nobody listens, the batch waits."""
    server.stop()
    with pytest.raises(Retry, match=r"Home Assistant at http://127\.0\.0\.1:\d+ cannot be reached: Connection refused"):
        opened().process_batch(batch_of(house_readings(0, HOUR)))


@pytest.mark.parametrize("url", ["http://a..b:8123", "http://host.invalid", "https://127.0.0.1:1"])
def test_an_address_that_cannot_be(opened: Opened, url: str) -> None:
    """Whatever is wrong with an address, the readings wait."""
    with pytest.raises(Retry, match="cannot be reached"):
        opened(url=url).process_batch(batch_of(house_readings(0, HOUR)))


def test_a_proxy_that_cannot_be_used(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that needs what is not installed costs no reading."""
    monkeypatch.setenv("http_proxy", "socks5://127.0.0.1:1")
    with pytest.raises(Retry, match="cannot be reached"):
        opened(url="http://ha.example.com:8123").process_batch(batch_of(house_readings(0, HOUR)))


@pytest.mark.parametrize(
    "result", [[], {"a": 7}, {IMPORT: [{"start": "x"}]}, {IMPORT: [{"start": 0, "state": 1, "sum": 1e999}]}]
)
def test_senseless_answers_are_refused(server: HomeAssistantApi, opened: Opened, result: object) -> None:
    """What are no statistics, though they are said to be, is not built upon."""
    server.senseless = result
    with pytest.raises(Retry, match="does not answer as it should"):
        opened().process_batch(batch_of(house_readings(0, HOUR)))


@pytest.mark.servers
def test_tls(opened: Opened, tmp_path: Path) -> None:
    """A certificate of one's own is trusted where `ssl_ca` names it, and stops the sink where it does not."""
    certificate, key = make_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with HomeAssistantApi(tls=context) as server:
        assert opened(url=server.url, ssl_ca=certificate).process_batch(batch_of(house_readings(0, HOUR))) == 12
        with pytest.raises(Stop, match=r"the certificate of .* is not trusted: .*; correct `ssl_ca` or `url`"):
            opened(url=server.url).process_batch(batch_of(house_readings(0, HOUR)))
        with pytest.raises(Stop, match="has no certificates that can be read"):
            opened(url=server.url, ssl_ca=key).process_batch(batch_of(house_readings(0, HOUR)))


def findings(sink: HomeAssistant) -> list[str]:
    """Return the codes of what `btcore doctor` finds."""
    return [finding.code for finding in sink.diagnose(DiagnosisContext(name="sink.ha"))]


def test_the_doctor(server: HomeAssistantApi, opened: Opened) -> None:
    """A diagnosis tells apart a wrong token, a user without rights, and no answer; it writes nothing."""
    assert findings(opened()) == []
    assert findings(opened(token=Secret("wrong"))) == ["credentials"]
    server.recorder.is_admin = False
    assert findings(opened()) == ["credentials"]
    server.stop()
    assert findings(opened()) == ["unreachable"]
    assert not server.recorder.rows


def test_the_token_is_in_no_log(server: HomeAssistantApi, opened: Opened, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever the level of the log is, no line has the token."""
    with caplog.at_level(logging.DEBUG):
        opened().process_batch(batch_of(house_readings(0, HOUR)))
    assert TOKEN not in caplog.text
    assert TOKEN not in repr(opened())
