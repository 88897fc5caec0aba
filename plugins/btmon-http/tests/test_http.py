# SPDX-License-Identifier: GPL-3.0-or-later
"""`http`: what GEMs and real HTTP clients send is kept and answered; others cost themselves alone."""

import logging
import re
import socket
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from typing import Any

import attrs
import pytest
import requests
from helpers.gem_texts import HOUSE, Circuit, ascii_wh, cosm_lines, emon, http_get, seg
from helpers.running_source import RunningSource

from btcore import Duration, Secret
from btcore.decode.brultech import Brultech
from btcore.decode.decoders import Decoders
from btcore.journal import Entry
from btcore.journal.memory import MemoryJournal
from btcore.testing import wait_for
from btmon_ascii.decoder import Ascii
from btmon_ascii.http_get import HTTP_GET
from btmon_http.source import Http

PATIENCE = 20.0

pytestmark = [pytest.mark.servers, pytest.mark.timeout(120)]


@attrs.define(eq=False)
class Receiver:
    """A source at work, and its port."""

    journal: MemoryJournal
    port: int
    log: pytest.LogCaptureFixture

    def connect(self, *pieces: bytes) -> socket.socket:
        """Connect, and send."""
        client = socket.create_connection(("127.0.0.1", self.port), PATIENCE)
        for piece in pieces:
            client.sendall(piece)
        return client

    def answer(self, data: bytes) -> bytes:
        """Send, and return all that is answered until the connection is closed."""
        with self.connect(data) as client:
            return b"".join(iter(lambda: client.recv(4096), b""))

    def entries(self, number: int) -> list[Entry]:
        """Return what is in the journal, once it is so many entries."""
        wait_for(lambda: len(self.journal.read(0, 10_000)) >= number, f"{number} entries", PATIENCE)
        found = list(self.journal.read(0, 10_000))
        assert len(found) == number
        return found

    def kept(self, number: int) -> list[tuple[str, str]]:
        """Return format and serial number of what is in the journal, once it is so many entries."""
        return [(entry.format, entry.serial) for entry in self.entries(number)]

    def wait_for_warning(self, text: str) -> None:
        """Wait until a line of the log has this text."""
        wait_for(lambda: any(text in message for message in self.log.messages), text, PATIENCE)


Receive = Callable[..., Receiver]


@pytest.fixture
def receive(caplog: pytest.LogCaptureFixture) -> Iterator[Receive]:
    """Start sources, and stop them in the end."""
    running: list[RunningSource] = []
    caplog.set_level(logging.DEBUG)

    def begin(**settings: Any) -> Receiver:  # noqa: ANN401 - of any setting
        journal = MemoryJournal()
        decoders = Decoders([Brultech(), Ascii()])
        source = Http(host="127.0.0.1", port=0, **settings)
        running.append(RunningSource(journal, source, decoders=decoders).__enter__())
        listening = r"listening on \S+:(\d+)$"
        wait_for(lambda: re.search(listening, "\n".join(caplog.messages), re.MULTILINE), "the port")
        (port,) = re.findall(listening, "\n".join(caplog.messages), re.MULTILINE)
        return Receiver(journal, int(port), caplog)

    yield begin
    for one in running:
        one.__exit__()


CLOSE = b"Connection: close\r\n"
AS_A_GEM = {
    "gemhttpget": b"GET sites//?" + http_get() + b" HTTP/1.1\r\n" + CLOSE + b"\r\n",
    "gemascii": b"GET /?" + ascii_wh(end="") + b" HTTP/1.1\r\n" + CLOSE + b"\r\n",
    "gemseg": b"PUT /sites/abc HTTP/1.1\r\n" + CLOSE + b"Content-Length: %d\r\n\r\n%b" % (len(seg()), seg()),
    "gememon": b"GET sites//?apikey=KEY&json=" + emon() + b" HTTP/1.1\r\n" + CLOSE + b"\r\n",
    "gemcosm": b"PUT /v2/feeds/504.csv HTTP/1.1\r\nX-PachubeApiKey: KEY\r\n"
    + CLOSE
    + b"Content-Length: %d\r\n\r\n%b" % (len(cosm_lines()), cosm_lines()),
}


@pytest.mark.parametrize("name", AS_A_GEM)
def test_each_format_as_a_gem_writes_it(receive: Receive, name: str) -> None:
    """A request that comes byte by byte is kept, and answered as its service answers."""
    receiver = receive()
    with receiver.connect(*(bytes([byte]) for byte in AS_A_GEM[name])) as client:
        answer = b"".join(iter(lambda: client.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.endswith(b"(status ok)\n" if name == "gemseg" else b"ok\n")
    assert [form for form, _ in receiver.kept(1)] == [name]


def test_a_panel_of_48_channels(receive: Receive) -> None:
    """All of 48 channels come through, with the largest numbers."""
    receiver = receive()
    panel = [Circuit(2**40 - index, 2**39, 9999, 200.12) for index in range(1, 49)]
    assert b"200 OK" in receiver.answer(b"GET /?" + http_get(panel) + b"\r\n")
    (entry,) = receiver.entries(1)
    form = HTTP_GET.format
    assert form.numbers(entry.raw)[form.index["ch48_aws"]] == 2**40 - 48


def test_python_s_client_on_one_connection(receive: Receive) -> None:
    """A client that keeps its connection is answered on it, request by request."""
    receiver = receive()
    client = HTTPConnection("127.0.0.1", receiver.port, timeout=PATIENCE)
    for seconds in range(10, 60, 10):
        client.request("GET", "/?" + http_get(seconds=seconds).decode())
        assert client.getresponse().read() == b"ok\n"
    client.request("PUT", "/sites/abc", body=seg())
    assert client.getresponse().read() == b"(status ok)\n"
    client.close()
    assert receiver.kept(6) == [*[("gemhttpget", "01000010")] * 5, ("gemseg", "house")]


def test_a_client_that_encodes(receive: Receive) -> None:
    """What the library requests writes, which puts percent signs into a query, is the same packet."""
    receiver = receive()
    url = f"http://127.0.0.1:{receiver.port}"
    query = dict(field.split("=") for field in http_get().decode().split("&"))
    assert requests.get(f"{url}/", params=query, timeout=PATIENCE).text == "ok\n"
    assert requests.get(f"{url}/", params={"apikey": "KEY", "json": emon().decode()}, timeout=PATIENCE).ok
    assert requests.put(f"{url}/v2/feeds/504.csv", data=cosm_lines(), timeout=PATIENCE).ok
    assert receiver.kept(3) == [("gemhttpget", "01000010"), ("gememon", "01000010"), ("gemcosm", "504")]
    assert receiver.entries(3)[0].raw == http_get() + b"\n"


def test_requests_at_once_with_keep_alives_between(receive: Receive) -> None:
    """Requests that come at once are answered in their order, with the words of a GEM between them."""
    receiver = receive()
    requests = [b"GET /?" + http_get(serial=f"0100000{n}") + b" HTTP/1.1\r\n\r\n" for n in range(5)]
    with receiver.connect(b"Alive\r\n$".join(requests)) as client:
        client.settimeout(PATIENCE)
        answers = b""
        while answers.count(b"ok\n") < 5:
            answers += client.recv(4096)
    assert [serial for _, serial in receiver.kept(5)] == [f"0100000{n}" for n in range(5)]


REFUSED = {
    "a browser": (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b" 400 ", "no packet of a GEM is in the request"),
    "a binary packet": (b"\xfe\xff\x05" + bytes(100), b" 400 ", "no HTTP request"),
    "a cut text": (b"GET /?" + http_get()[:40] + b"&c1 HTTP/1.1\r\n\r\n", b" 400 ", "no packet of a GEM"),
    "a long body": (b"PUT / HTTP/1.1\r\nContent-Length: 99999\r\n\r\n", b" 413 ", "bytes"),
}


@pytest.mark.parametrize(("data", "status", "warning"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused_is_answered_and_logged(receive: Receive, data: bytes, status: bytes, warning: str) -> None:
    """A request that is refused gets an answer that says why, is logged with its number, and hurts no other."""
    receiver = receive()
    assert status in receiver.answer(data)
    receiver.wait_for_warning(warning)
    receiver.wait_for_warning("(1 so far")
    receiver.answer(AS_A_GEM["gemhttpget"])
    receiver.entries(1)


def test_a_token_keeps_others_out(receive: Receive) -> None:
    """Without the token nothing is taken; with it, all is; it is in no log."""
    receiver = receive(token=Secret("correct-horse"))
    assert b" 403 " in receiver.answer(AS_A_GEM["gemhttpget"])
    assert b" 403 " in receiver.answer(AS_A_GEM["gemseg"].replace(b"/abc", b"/correct-hors"))
    assert b" 200 " in receiver.answer(AS_A_GEM["gemseg"].replace(b"/abc", b"/correct-horse"))
    receiver.entries(1)
    assert "correct-h" not in receiver.log.text


def test_networks_that_are_not_allowed(receive: Receive) -> None:
    """A connection from elsewhere than `allow` is closed before anything is read."""
    receiver = receive(allow=["192.168.1.0/24"])
    with receiver.connect() as client:
        assert client.recv(10) == b""
    receiver.wait_for_warning("none of the networks of `allow`")


def test_a_request_that_takes_too_long(receive: Receive) -> None:
    """A request that does not end is answered with 408; another client is served meanwhile."""
    receiver = receive(request_timeout=Duration(1))
    with receiver.connect(b"GET /?" + http_get()[:50]) as slow:
        assert b" 200 " in receiver.answer(AS_A_GEM["gemascii"])
        answer = b"".join(iter(lambda: slow.recv(4096), b""))
    assert b" 408 " in answer
    receiver.wait_for_warning("not complete within `request_timeout`")


def test_many_silent_clients_keep_no_gem_out(receive: Receive) -> None:
    """Connections above `max_connections` close silent ones, and a GEM is served."""
    receiver = receive(max_connections=8)
    silent = [receiver.connect(b"GET /") for _ in range(30)]
    assert b" 200 " in receiver.answer(AS_A_GEM["gemhttpget"])
    for client in silent:
        client.close()


def test_who_reads_no_answers_is_hung_up_on(receive: Receive) -> None:
    """A client that sends requests without end and reads nothing is closed, and the next one is served."""
    receiver = receive()
    request = b"GET /?" + http_get(HOUSE[:1]) + b" HTTP/1.1\r\n\r\n"
    with receiver.connect() as client:
        client.settimeout(PATIENCE)
        with pytest.raises(OSError):  # noqa: PT011 - reset, or a broken pipe
            client.sendall(request * 200_000)
    assert b" 200 " in receiver.answer(AS_A_GEM["gemhttpget"].replace(b"01000010", b"01000099"))
