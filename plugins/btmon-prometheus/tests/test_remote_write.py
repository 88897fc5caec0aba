# SPDX-License-Identifier: GPL-3.0-or-later
"""Remote-write against a service that answers as it is told: what is sent, and what each answer means."""

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import attrs
import pytest
from helpers.metered import START, batch_of, readings
from helpers.plugin_calls import make_context, preview_batches
from helpers.remote_write import written

from btcore import Context, DiagnosisContext, Reject, Retry, Secret, Stop
from btcore.config.load import load_site
from btcore.errors import ConfigurationError
from btcore.testing import HostedService, Reply, Request
from btmon_prometheus.remote_write import PrometheusRemoteWrite
from btmon_prometheus.stored import query_address

pytestmark = pytest.mark.servers

Open = Callable[..., PrometheusRemoteWrite]

NOTHING = Reply(200, '{"status":"success","data":{"resultType":"matrix","result":[]}}')
TAKEN = Reply(204)


@attrs.define
class Receiver:
    """A receiver that takes everything, and has what it is told to have."""

    server: HostedService
    there: Reply = NOTHING

    def answer(self, request: Request) -> Reply:
        """Answer a query, or take samples."""
        return self.there if request.path.endswith("/query") else TAKEN

    @property
    def url(self) -> str:
        """Where it takes samples."""
        return f"{self.server.url}/api/v1/write"

    def of(self, path: str) -> list[Request]:
        """Return the requests to a path."""
        return [one for one in self.server.requests if one.path == path]

    @property
    def writes(self) -> list[Request]:
        """Return the requests that write."""
        return self.of("/api/v1/write")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Run a receiver."""
    with HostedService() as server:
        made = Receiver(server)
        server.answer = made.answer
        yield made


@pytest.fixture
def opened(receiver: Receiver) -> Iterator[Open]:
    """Open sinks that send there, and close them in the end."""
    with ExitStack() as stack:

        def make(context: Context | None = None, **settings: Any) -> PrometheusRemoteWrite:  # noqa: ANN401 - of any kind
            sink = PrometheusRemoteWrite(**{"url": receiver.url, **settings})
            stack.callback(sink.close)
            sink.open(context or attrs.evolve(make_context(), polarity="brultech"))
            return sink

        yield make


BATCH = batch_of(readings(4))


def test_every_sample_is_sent_with_its_own_time(receiver: Receiver, opened: Open) -> None:
    """In one request, each series once, as the protocol asks."""
    sink = opened(labels={"job": "energy"})
    assert sink.process_batch(BATCH) == 3
    (request,) = receiver.writes
    series = {one.labels: one.samples for one in written(request.body)}
    ch1 = (
        ("__name__", "energy_imported_joules_total"),
        *(("channel", "ch1"), ("job", "energy"), ("meter", "312345"), ("name", "312345_ch1")),
    )
    times = [(START + 10 * at) * 1000 for at in (1, 2, 3)]
    assert series[ch1] == tuple(zip(times, (10_000.0, 20_000.0, 30_000.0), strict=True))
    kinds = ("content-type", "content-encoding", "x-prometheus-remote-write-version")
    assert [request.headers[kind] for kind in kinds] == ["application/x-protobuf", "snappy", "0.1.0"]


def test_it_identifies_itself_as_it_is_told(receiver: Receiver, opened: Open) -> None:
    """By a bearer token or a user, and headers of its own."""
    opened(token=Secret("tok-en-1"), headers={"X-Scope-OrgID": Secret("house-17")}).process_batch(BATCH)
    opened(user="me", password=Secret("pass-word")).process_batch(BATCH)
    first, second = receiver.writes
    assert (first.headers["authorization"], first.headers["x-scope-orgid"]) == ("Bearer tok-en-1", "house-17")
    assert second.headers["authorization"] == "Basic bWU6cGFzcy13b3Jk"


@pytest.mark.parametrize(
    ("reply", "error", "text"),
    [
        (Reply(400, "out of order sample"), Reject, "out_of_order_time_window"),
        (Reply(400, "snappy: corrupt input"), Reject, "400: snappy: corrupt input"),
        (Reply(401, "who"), Stop, "check the key, token or password"),
        (Reply(403, "no"), Stop, "check the key, token or password"),
        (Reply(404, "page not found"), Stop, "--web.enable-remote-write-receiver"),
        (Reply(405, ""), Stop, "check `url`"),
        (Reply(413, "too much"), Reject, "413: too much"),
        (Reply(415, "only v2"), Stop, "version 1"),
        (Reply(429, "slowly", {"Retry-After": "17"}), Retry, "429: slowly"),
        (Reply(500, "disk"), Retry, "500: disk"),
        (Reply(503, ""), Retry, "503: nothing"),
        (Reply(302, "", {"Location": "/login"}), Retry, "redirects to another address"),
        (Reply(wire="reset"), Retry, "no answer from 127.0.0.1"),
    ],
)
def test_each_answer_means_what_the_protocol_says(
    receiver: Receiver, opened: Open, reply: Reply, error: type[Exception], text: str
) -> None:
    """400 is never accepted, 429 and 5xx later; what is wrong with the account or the address needs a person."""
    sink = opened()
    receiver.server.fail(NOTHING, reply)
    with pytest.raises(error, match=text) as caught:
        sink.process_batch(BATCH)
    if isinstance(caught.value, Retry):
        assert caught.value.after == (17 if reply.code == 429 else None)


def stored(*times: float) -> Reply:
    """Make the answer of a receiver that has samples of these times."""
    values = [[time, repr(time)] for time in times]
    return Reply(200, json.dumps({"data": {"result": [{"metric": {}, "values": values}]}}))


def times_written(request: Request) -> set[int]:
    """Return the times of all samples of a request, in seconds since START."""
    return {time // 1000 - START for one in written(request.body) for time, _ in one.samples}


def test_what_is_there_already_is_not_sent_after_a_start(receiver: Receiver, opened: Open) -> None:
    """As when the program was killed between the answer and its note of it; asked once, of each meter by itself."""
    receiver.there = stored(START + 10.0, START + 20.0)
    sink = opened(labels={"job": 'a"b'})
    assert sink.process_batch(BATCH) == 3
    assert times_written(receiver.writes[-1]) == {30}
    (query,) = receiver.of("/api/v1/query")
    assert query.form == {
        "query": 'energy_sample_timestamp_seconds{job="a\\"b",meter="312345"}[23s]',
        "time": f"{START + 31}.000",
    }
    sink.process_batch(batch_of(readings(3, start=START + 40)))
    assert len(receiver.of("/api/v1/query")) == 1


def test_a_batch_of_which_all_is_there_is_delivered_without_a_request(receiver: Receiver, opened: Open) -> None:
    """And the batch behind it is compared too, as it may have been there as well."""
    receiver.there = stored(START + 10.0, START + 20.0, START + 30.0)
    sink = opened()
    assert [sink.process_batch(BATCH), sink.process_batch(BATCH)] == [3, 3]
    assert (len(receiver.writes), len(receiver.of("/api/v1/query"))) == (0, 2)


def test_after_an_answer_that_was_lost_the_receiver_is_asked(receiver: Receiver, opened: Open) -> None:
    """What it has taken is not sent a second time."""
    sink = opened()
    sink.process_batch(BATCH)
    later = batch_of(readings(3, start=START + 40))
    receiver.server.fail(Reply(wire="lost"))
    with pytest.raises(Retry):
        sink.process_batch(later)
    receiver.there = stored(START + 50.0, START + 60.0)
    assert sink.process_batch(later) == 2
    assert len(receiver.writes) == 2


def test_a_receiver_that_cannot_be_asked_is_sent_everything(
    receiver: Receiver, opened: Open, caplog: pytest.LogCaptureFixture
) -> None:
    """And the log says what may come of it."""
    receiver.there = Reply(404, "no queries here")
    assert opened().process_batch(BATCH) == 3
    assert times_written(receiver.writes[-1]) == {10, 20, 30}
    assert "the receiver cannot be asked what it has (it answered 404: no queries here)" in caplog.text


@pytest.mark.parametrize("reply", [Reply(503, "starting"), Reply(429, "slowly"), Reply(wire="reset")])
def test_a_receiver_that_cannot_answer_now_is_waited_for(receiver: Receiver, opened: Open, reply: Reply) -> None:
    """Nothing is sent meanwhile."""
    receiver.there = reply
    with pytest.raises(Retry):
        opened().process_batch(BATCH)
    assert receiver.writes == []


def test_replay_of_gaps_asks_what_is_there(receiver: Receiver, opened: Open) -> None:
    """Serial number and key of each sample that the receiver has."""
    receiver.there = stored(START + 20.0)
    assert list(opened().find_stored(BATCH)) == [("312345", (START + 20) * 1_000_000)]


@pytest.mark.parametrize(
    ("url", "query"),
    [
        ("http://a:9090/api/v1/write", "http://a:9090/api/v1/query"),
        ("https://a/prometheus/api/v1/write", "https://a/prometheus/api/v1/query"),
        ("http://mimir/api/v1/push", "http://mimir/prometheus/api/v1/query"),
        ("https://a/api/prom/push", "https://a/api/prom/api/v1/query"),
        ("https://a/write?x=1", ""),
    ],
)
def test_a_receiver_is_asked_beside_where_it_takes_samples(url: str, query: str) -> None:
    """Where its address says where that is."""
    assert query_address(url) == query


def test_no_secret_is_in_any_text(receiver: Receiver, opened: Open, caplog: pytest.LogCaptureFixture) -> None:
    """Not in a repr, an error, a log or a dry run, though the receiver repeats it."""
    caplog.set_level(logging.DEBUG)
    secrets: dict[str, Any] = {"token": Secret("tok-en-1"), "headers": {"X-Key": Secret("hea-der-2")}}
    sink = opened(**secrets)
    receiver.server.fail(NOTHING, Reply(401, "tok-en-1 and hea-der-2 are wrong"))
    with pytest.raises(Stop) as caught:
        sink.process_batch(BATCH)
    lines = preview_batches(PrometheusRemoteWrite(url=receiver.url, **secrets), [BATCH])
    texts = "\n".join([str(caught.value), repr(sink), caplog.text, *lines])
    assert "*** and *** are wrong" in texts
    assert [secret for secret in ("tok-en-1", "hea-der-2") if secret in texts] == []


def test_a_dry_run_shows_each_number(receiver: Receiver) -> None:
    """With its series and its time, and sends nothing."""
    lines = preview_batches(PrometheusRemoteWrite(url=receiver.url), [BATCH])
    line = f'energy_power_watts{{meter="312345", channel="aux1", name="312345_aux1"}} 200 {START + 10}000'
    assert line in lines
    assert receiver.server.requests == []


def test_serial_numbers_are_short_on_the_internet(receiver: Receiver, opened: Open) -> None:
    """At home they are complete; `serials` decides otherwise."""
    assert PrometheusRemoteWrite(url="https://prom.example.com/api/prom/push").hosted
    sink = opened(serials="short")
    sink.process_batch(BATCH)
    assert {dict(one.labels)["meter"] for one in written(receiver.writes[0].body)} == {"XXX345"}


@pytest.mark.parametrize(
    ("reply", "codes"),
    [(TAKEN, []), (Reply(401, "who"), ["credentials"]), (Reply(503, ""), ["unreachable"])],
)
def test_doctor_sends_no_sample(receiver: Receiver, reply: Reply, codes: list[str]) -> None:
    """An empty request shows whether the key is taken."""
    receiver.server.answer = reply
    sink = PrometheusRemoteWrite(url=receiver.url)
    assert [one.code for one in sink.diagnose(DiagnosisContext(name="sink.history"))] == codes
    assert [written(one.body) for one in receiver.writes] == [[]]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ('url = "a"', "url: expected an address such as"),
        ('url = "http://a/"\nquery_url = "b"', "query_url: expected an address such as"),
        ('url = "http://a/"\nuser = "me"', "user: expected user and password, or none of them"),
        (
            'url = "http://a/"\ntoken = "x"\nuser = "me"\npassword = "y"',
            "token: expected a token, or user",
        ),
        ('url = "http://a/"\nlabels = { meter = "x" }', "labels: expected .*other than meter, channel, name"),
        ('url = "http://a/"\ntimeout = "0s"', "timeout: expected more than 0 s"),
        ('url = "http://a/"\nheaders = { X = "a\\n" }', "headers: expected no spaces around it"),
    ],
)
def test_a_mistake_is_told_before_anything_is_sent(tmp_path: Path, settings: str, expected: str) -> None:
    """With the setting and what was expected."""
    site = tmp_path / "site.toml"
    site.write_text(f'state = "."\n[source.simulator]\n[sink.prometheus-remote-write]\n{settings}\n')
    with pytest.raises(ConfigurationError, match=expected):
        load_site(site)
