# SPDX-License-Identifier: GPL-3.0-or-later
"""A web address that takes JSON: what is sent, what its answers mean, and that no secret is shown."""

import json
import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tomli
from helpers.metered import batch_of, readings
from helpers.plugin_calls import preview_batches
from servers.raw_server import RawServer, answering

from btcore import Batch, DiagnosisContext, Reject, Retry, Secret, Stop
from btcore.config.load import load_site
from btcore.errors import ConfigurationError
from btcore.testing import BtcoreProcess, HostedService, Reply, wait_for
from btmon_pipe.webhook import PipeWebhook

pytestmark = pytest.mark.servers

BATCH = batch_of(readings(4))
HERE = Path(__file__).parents[1]


@pytest.fixture
def server() -> Iterator[HostedService]:
    """Run a receiver that takes everything."""
    with HostedService() as running:
        yield running


def keys_of(batch: Batch) -> list[int]:
    """Return the keys of a batch's samples."""
    return [sample.newer.key for sample in batch.samples]


def test_a_batch_is_one_request(opened: Any, server: HostedService) -> None:  # noqa: ANN401 - fixture
    """As lines or as an array, with the token and headers of its own."""
    settings = {"url": Secret(f"{server.url}/hook"), "token": Secret("tok-en-1"), "headers": {"X-House": Secret("17")}}
    assert opened(PipeWebhook, **settings).process_batch(BATCH) == 3
    assert opened(PipeWebhook, body="array", **settings).process_batch(BATCH) == 3
    lines, array = server.requests
    assert [json.loads(line)["key"] for line in lines.text.splitlines()] == keys_of(BATCH)
    assert [one["key"] for one in array.json] == keys_of(BATCH)
    kinds = [request.headers["content-type"] for request in (lines, array)]
    assert kinds == ["application/x-ndjson", "application/json"]
    assert (lines.path, lines.headers["authorization"], lines.headers["x-house"]) == ("/hook", "Bearer tok-en-1", "17")


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (Reply(400, "no"), Reject),
        (Reply(401, "no"), Stop),
        (Reply(404, "no"), Stop),
        (Reply(413, "no"), Reject),
        (Reply(422, "no"), Reject),
        (Reply(429, "no", {"Retry-After": "17"}), Retry),
        (Reply(500, "no"), Retry),
        (Reply(wire="reset"), Retry),
    ],
)
def test_an_answer_means_what_http_says(
    opened: Any,  # noqa: ANN401 - of any kind of plugin
    server: HostedService,
    reply: Reply,
    error: type[Exception],
) -> None:
    """Later, never, or not before a person has acted; what came of the first try comes again."""
    sink = opened(PipeWebhook, url=Secret(server.url))
    server.fail(reply)
    with pytest.raises(error) as caught:
        sink.process_batch(BATCH)
    assert getattr(caught.value, "after", None) == (17 if reply.code == 429 else None)
    sink.process_batch(BATCH)
    assert len({request.body for request in server.requests}) == 1


def test_no_secret_is_in_any_text(opened: Any, server: HostedService, caplog: pytest.LogCaptureFixture) -> None:  # noqa: ANN401
    """The address is one as well: many a webhook has its key in it."""
    caplog.set_level(logging.DEBUG)
    url = Secret(f"{server.url}/hook/sec-ret-1")
    settings: dict[str, Any] = {"token": Secret("tok-en-2"), "headers": {"X": Secret("hea-der-3")}}
    sink = opened(PipeWebhook, url=url, **settings)
    server.fail(Reply(401, f"{url.reveal()} tok-en-2 hea-der-3"))
    with pytest.raises(Stop) as caught:
        sink.process_batch(BATCH)
    lines = preview_batches(PipeWebhook(url=url, **settings), [BATCH])
    texts = "\n".join([str(caught.value), repr(sink), caplog.text, *lines])
    assert [secret for secret in ("sec-ret-1", "tok-en-2", "hea-der-3") if secret in texts] == []


@pytest.mark.parametrize(
    ("status", "codes"),
    [("200 OK", []), ("405 Method Not Allowed", []), ("401 Unauthorized", ["credentials"]), ("", ["unreachable"])],
)
def test_doctor_sends_no_sample(status: str, codes: list[str]) -> None:
    """It asks for the page without its body, and a receiver that does not know that is well."""
    answer = f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n" if status else ""
    with RawServer(answering(answer.encode())) as receiver:
        found = PipeWebhook(url=Secret(receiver.url)).diagnose(DiagnosisContext(name="sink.hook"))
        assert [one.code for one in found] == codes


def test_serial_numbers_are_short_on_the_internet(opened: Any, server: HostedService) -> None:  # noqa: ANN401 - fixture
    """At home they are complete; `serials` decides otherwise."""
    assert PipeWebhook(url=Secret("https://example.com/x")).hosted
    opened(PipeWebhook, url=Secret(server.url)).process_batch(BATCH)
    opened(PipeWebhook, url=Secret(server.url), serials="short").process_batch(BATCH)
    assert [json.loads(one.text.splitlines()[0])["meter"] for one in server.requests] == ["312345", "XXX345"]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ('url = "a"', "url: expected an address such as"),
        ('url = "http://a/"\ntimeout = "11m"', "timeout: expected more than 0 s"),
        ('url = "http://a/"\ntoken = "a\\n"', "token: expected no spaces around it"),
        ('url = "http://a/"\nheaders = { X = "a\\n" }', "headers: expected no spaces around it"),
    ],
)
def test_a_mistake_is_told_before_anything_is_sent(tmp_path: Path, settings: str, expected: str) -> None:
    """With the setting and what was expected."""
    site = tmp_path / "site.toml"
    site.write_text(f'state = "."\n[source.simulator]\n[sink.pipe-webhook]\n{settings}\n')
    with pytest.raises(ConfigurationError, match=expected):
        load_site(site)


def test_the_sample_is_a_configuration_and_the_readme_shows_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each plugin of the package is in it."""
    sample = (HERE / "sample.toml").read_text("utf-8")
    assert f"```toml\n{sample}```" in (HERE / "README.md").read_text("utf-8")
    monkeypatch.setenv("HOOK_TOKEN", "key")
    (tmp_path / "site.toml").write_text(f'state = "."\n[source.tcp-server]\n{sample}')
    points = tomli.loads((HERE / "pyproject.toml").read_text())["project"]["entry-points"]["btcore.plugins"]
    assert sorted(sink.plugin for sink in load_site(tmp_path / "site.toml").sinks) == sorted(points)


SITE = """
state = "state"
[source.simulator]
format = "ecm1240bin"
serial = "312345"
start = "2026-06-21T06:00:00+00:00"
packets = 300
pace = "fast"
max_packets_per_second = 0
[sink.hook]
use = "pipe-webhook"
url = "{url}"
only_live = false
flush_interval = 0
batch_size = 10
min_backoff = "20ms"
max_backoff = "100ms"
"""


def test_a_receiver_that_is_down_for_a_while_has_every_line(server: HostedService, tmp_path: Path) -> None:
    """Each line once, in order, but for a batch whose answer was lost, which it knows by its keys."""
    server.fail(Reply(500), Reply(wire="lost"))
    is_up = threading.Event()
    server.answer = lambda _: Reply() if len(server.taken) < 5 or is_up.is_set() else Reply(wire="reset")
    with BtcoreProcess(tmp_path, SITE.format(url=server.url)) as btcore:
        wait_for(lambda: len(server.requests) > 10, "some tries")
        is_up.set()
        btcore.process.kill()
        btcore.process.wait()
    with BtcoreProcess(tmp_path, SITE.format(url=server.url), "--once") as btcore:
        assert btcore.finish() == 0, btcore.log
    found = [json.loads(line)["key"] for request in server.taken for line in request.text.splitlines()]
    assert len(set(found)) == 299
    assert len(found) <= 299 + 20
