# SPDX-License-Identifier: GPL-3.0-or-later
"""What uploaders share: one request at a time, bounded and timed, and no secret in any text."""

import base64
import json
import logging
import re
import socket
import traceback
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus
from xml.sax.saxutils import escape

import pytest
from helpers.folders import DOCS
from helpers.golden_streams import recorded_readings
from hypothesis import given
from hypothesis import strategies as st

from btcore import Batch, Retry, Secret, Stop
from btcore.testing import HostedService, Reply
from btcore.web import AnswerRule, Client, Verdict, format_request, raise_for_answer

KEY = "k&y <0123>/é"


@pytest.fixture
def server() -> Iterator[HostedService]:
    """Run a service that takes everything."""
    with HostedService() as running:
        yield running


def make_client(*secrets: str, timeout: float = 5.0) -> Client:
    """Make a client of a plugin."""
    return Client(agent="btmon-test", timeout=timeout, secrets=map(Secret, secrets))


# --- sending


@pytest.mark.servers
def test_a_request_is_sent_as_it_is_given(server: HostedService) -> None:
    """Method, address, query, body and headers arrive, and who sends them."""
    client = Client(agent="btmon-test", timeout=5, headers={"X-Key": "1"})
    client.send("PUT", f"{server.url}/a", data="b=é", params={"c": "d e"}, headers={"X-More": "2"})
    sent = server.requests[0]
    assert (sent.method, sent.path, sent.query, sent.text) == ("PUT", "/a", (("c", "d e"),), "b=é")
    assert (sent.headers["x-key"], sent.headers["x-more"]) == ("1", "2")
    assert sent.headers["user-agent"].startswith("btcore/")
    assert sent.headers["user-agent"].endswith(" btmon-test")


@pytest.mark.servers
def test_forms_and_json_are_written_by_the_library(server: HostedService) -> None:
    """A mapping is a form, JSON is JSON, each declared as what it is."""
    client = make_client()
    client.send("POST", server.url, data={"a": "1&2=3"})
    client.send("POST", server.url, json={"a": [1, None]})
    assert [request.headers["content-type"] for request in server.requests] == [
        "application/x-www-form-urlencoded",
        "application/json",
    ]
    assert (server.requests[0].form, server.requests[1].json) == ({"a": "1&2=3"}, {"a": [1, None]})


@pytest.mark.servers
def test_keys_and_passwords_of_any_letters_can_be_sent(server: HostedService) -> None:
    """A header or a password with letters that Latin-1 lacks goes out in UTF-8."""
    client = make_client()
    client.send("GET", server.url, headers={"X-Key": "naïve €"}, auth=("me", "€"))
    sent = server.requests[0].headers
    assert sent["x-key"].encode("latin-1").decode() == "naïve €"
    assert base64.b64decode(sent["authorization"].removeprefix("Basic ")).decode() == "me:€"


@pytest.mark.servers
def test_one_connection_serves_many_requests() -> None:
    """A service is not connected to anew for each reading."""
    connections = []
    with HostedService() as server:
        client = make_client()
        for _ in range(3):
            client.send("GET", server.url)
            assert server._http is not None
            connections.append({connection.getpeername() for connection in server._http.connections})
        client.close()
    assert connections[0] == connections[1] == connections[2]


@pytest.mark.servers
def test_nobody_else_s_credentials_are_sent(
    server: HostedService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the user's .netrc has for the host is not this program's business, nor a name in the address."""
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password mine\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    make_client().send("GET", server.url.replace("//", "//me:mine@"))
    assert "authorization" not in server.requests[0].headers


@pytest.mark.servers
def test_a_redirect_is_not_followed(server: HostedService) -> None:
    """A key goes to no other address than the one in the settings."""
    with HostedService() as other:
        server.answer = Reply(307, "", {"Location": f"{other.url}/b"})
        answer = make_client().send("POST", server.url, data="key")
        assert (answer.code, other.requests) == (307, [])
    with pytest.raises(Retry, match="it redirects to another address, which is not followed: check `url`"):
        raise_for_answer(answer, (), "It")


# --- what comes back


@pytest.mark.servers
def test_an_answer_has_its_code_text_and_headers(server: HostedService) -> None:
    """The text is one line of plain characters, header names are lower case."""
    server.answer = Reply(201, " a\r\n\tb\0\x1b[31m ü ", {"X-Left": "3"})
    answer = make_client().send("GET", server.url)
    assert (answer.code, answer.text, answer.headers["x-left"], answer.ok) == (201, "a b [31m", "3", True)


@pytest.mark.servers
def test_no_answer_in_time_is_told_with_host_and_seconds(server: HostedService) -> None:
    """A service that hangs is tried again later."""
    server.answer = Reply(wire="hang")
    with pytest.raises(Retry, match=rf"^127\.0\.0\.1:{server.port} did not answer within 0\.2 s$"):
        make_client(timeout=0.2).send("GET", server.url)


@pytest.mark.servers
@pytest.mark.parametrize(("wire", "words"), [("reset", "Connection reset by peer"), ("lost", "Connection reset")])
def test_a_broken_connection_is_told_in_the_system_s_words(server: HostedService, wire: str, words: str) -> None:
    """Not in those of three libraries on top of each other."""
    server.answer = Reply(wire=wire)
    with pytest.raises(Retry, match=rf"^no answer from 127\.0\.0\.1:{server.port}: {words}"):
        make_client().send("GET", server.url)


def test_a_service_that_is_not_there_is_told_in_the_system_s_words() -> None:
    """Nothing listens: connection refused."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(Retry, match=f"^no answer from {address}: Connection refused$"):
            make_client().send("GET", f"http://{address}/")


@pytest.mark.parametrize("url", ["http://", "htp://h/", "/a", "http://*.a/"])
def test_an_address_that_is_none_stops_the_sink(url: str) -> None:
    """Trying again would never help."""
    with pytest.raises(Stop, match="check `url`"):
        make_client().send("GET", url)


def test_a_host_that_cannot_be_is_no_bug() -> None:
    """A name that no system can look up fails like one that is not found."""
    with pytest.raises(Retry, match="no answer from a"):
        make_client().send("GET", f"http://{'a' * 70}.example/")


# --- secrets


FORMS = {
    "plain": KEY,
    "address": quote(KEY, safe=""),
    "form": quote_plus(KEY),
    "JSON": json.dumps(KEY),
    "JSON of any letters": json.dumps(KEY, ensure_ascii=False),
    "XML": escape(KEY),
    "XML attribute": escape(KEY, {'"': "&quot;"}),
}


@pytest.mark.servers
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_a_secret_that_an_answer_repeats_is_blanked(server: HostedService, form: str) -> None:
    """In whatever way it is written."""
    server.answer = Reply(400, f"bad key: {form}!")
    answer = make_client(KEY).send("GET", server.url)
    assert answer.text.replace('"', "") == "bad key: ***!"


@pytest.mark.servers
def test_credentials_that_an_answer_repeats_are_blanked(server: HostedService) -> None:
    """Their form in a header hides nothing: anybody can read it."""
    server.answer = lambda request: Reply(401, request.headers["authorization"])
    answer = make_client("secret").send("GET", server.url, auth=("someone", "secret"))
    assert answer.text == "Basic ***"


@pytest.mark.servers
@pytest.mark.parametrize("wire", ["reset", "hang"])
def test_no_failure_shows_what_was_sent(server: HostedService, wire: str, caplog: pytest.LogCaptureFixture) -> None:
    """Neither the exception with all that led to it, nor the libraries' logs at debug level."""
    caplog.set_level(logging.DEBUG)
    client = make_client(KEY, timeout=0.2)
    client.send("GET", server.url, params={"key": KEY})
    server.answer = Reply(wire=wire)
    with pytest.raises(Retry) as error:
        client.send("GET", f"{server.url}/{FORMS['address']}", headers={"X-Key": KEY}, auth=("me", KEY))
    seen = "".join(traceback.format_exception(error.value)) + caplog.text + repr(client)
    assert [form for form in FORMS.values() if form in seen] == []


@given(
    secret=st.text("abcé &<\"'%/+", min_size=4, max_size=8),
    before=st.text("abcé &<\"'%/+", max_size=8),
    after=st.text("abcé &<\"'%/+", max_size=8),
)
def test_whatever_stands_around_a_secret_it_is_not_seen(secret: str, before: str, after: str) -> None:
    """Blanking leaves no whole secret, wherever it stands."""
    assert secret not in make_client(secret).redact(before + secret + after).replace("***", "*")


def test_the_longer_of_two_secrets_is_blanked_as_a_whole() -> None:
    """A key that begins with another leaves no end of it behind."""
    assert make_client("the-key", "the-key-and-more").redact("a the-key-and-more b the-key") == "a *** b ***"


@pytest.mark.parametrize("secret", ["1", "ok", "key"])
def test_a_secret_of_three_letters_or_less_eats_no_message(secret: str) -> None:
    """It protects nothing, and would be gone from words that tell what is wrong."""
    text = "401: the token is no key of 1 account"
    assert make_client(secret).redact(text) == text


# --- what is judged


@pytest.mark.servers
@pytest.mark.parametrize("key", ["success", "true", '{"success": true}', "ok 200: Added Status", "quota"])
def test_a_secret_changes_no_verdict(server: HostedService, key: str) -> None:
    """What is judged is the body as it came; what is format_request has no secret in it."""
    table = (
        AnswerRule(200, "quota", Verdict.RETRY, after=60),
        AnswerRule(200, '^{"success": true}$|^ok', Verdict.DELIVERED),
    )
    for body, error in ((' {"success":\r\n true}\n', None), ("OK 200: Added Status", None), ("quota: success", Retry)):
        server.answer = Reply(200, body)
        answer = make_client(key).send("GET", server.url)
        assert (answer.body, key in answer.text, key in repr(answer)) == (body, False, False)
        with pytest.raises(error) if error else nullcontext():
            raise_for_answer(answer, (*table, AnswerRule(200, "", Verdict.REJECT)), "It")


@pytest.mark.servers
def test_an_answer_shows_neither_its_body_nor_its_headers(server: HostedService) -> None:
    """A service may repeat a key in either."""
    server.answer = Reply(403, f"bad key {KEY}", {"X-Seen": "k3y-0123"})
    answer = make_client(KEY, "k3y-0123").send("GET", server.url)
    assert repr(answer) == "Answer(code=403, text='bad key ***')"
    assert (answer.body, answer.headers["x-seen"]) == (f"bad key {KEY}", "k3y-0123")


@pytest.mark.servers
def test_letters_of_all_languages_are_judged(server: HostedService) -> None:
    """A log has plain characters; what a service says is read as it says it, blanks and a mark before it aside."""
    server.answer = Reply(200, "\ufeff \tschlüssel\r\n  ungültig\0 ")
    answer = make_client().send("GET", server.url)
    with pytest.raises(Stop, match="check the key"):
        raise_for_answer(answer, (AnswerRule(200, "^Schlüssel ungültig$", Verdict.STOP, "check the key"),), "It")


def test_a_request_is_shown_on_one_line() -> None:
    """As a person reads it: method, address, query and body, of whatever kind."""
    assert format_request("GET", "http://h/a", {"b": "c d"}) == "GET http://h/a?b=c d"
    assert format_request("POST", "http://h", None, {"b": "c d", "e": ""}) == "POST http://h b=c d&e="
    assert format_request("POST", "http://h", None, b"<a/>") == "POST http://h <a/>"
    assert format_request("POST", "http://h", None, {"b": [1, None]}) == 'POST http://h {"b": [1, null]}'


# --- the page for authors of plugins


@pytest.mark.servers
def test_the_uploader_of_the_page_for_plugin_authors_works(server: HostedService) -> None:
    """Copied as it stands: it sends a row for each reading, and understands the answers of its table."""
    page = (DOCS / "writing-a-plugin.md").read_text("utf-8")
    (code,) = re.findall(r"```python\n(from btcore import .*?class Uploader.*?)```", page, re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)
    uploader = names["Uploader"](url=server.url, key=Secret("KEY"))
    uploader.open()
    server.answer = Reply(200, "ok")
    readings = tuple(recorded_readings("ecm1240bin_steady"))
    uploader.process_batch(Batch(readings))
    assert [request.json for request in server.requests] == [
        {"time": reading.key, "volts": reading.get("volts")} for reading in readings
    ]
    for text, error in (("quota exceeded", Retry), ("<html>", Retry)):
        server.answer = Reply(200, text)
        with pytest.raises(error):
            uploader.process_batch(Batch(readings))
    uploader.close()
