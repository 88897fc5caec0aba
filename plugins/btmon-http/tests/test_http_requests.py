# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests in bytes: lenient as a GEM needs, bounded as a port must be, the same however the bytes are split."""

from http import HTTPStatus
from itertools import pairwise

import pytest
from helpers.gem_texts import cosm_lines, emon, http_get, seg
from helpers.property_tests import examples, hundred_examples
from hypothesis import given, settings
from hypothesis import strategies as st

from btmon_http.packets import has_token, packet_of
from btmon_http.requests import MAX_BODY, MAX_HEAD, MAX_HEADERS, Refusal, Request, RequestReader

REQUESTS = {
    "HTTP GET": b"GET /?" + http_get() + b" HTTP/1.1\r\n\r\n",
    "HTTP GET, without a slash": b"GET sites//?" + http_get() + b" HTTP/1.1\r\nConnection: close\r\n\r\n",
    "HTTP GET, a line alone": b"GET /?" + http_get() + b"\r\n",
    "HTTP GET, lines that end in LF": b"GET /?" + http_get() + b" HTTP/1.0\nHost:\n\n",
    "SEG": b"PUT /sites/abc HTTP/1.1\r\ncontent-length:%d\r\n\r\n%b" % (len(seg()), seg()),
    "Emon": b"GET sites//?apikey=KEY&json=" + emon() + b" HTTP/1.1\r\n\r\n",
    "COSM": b"PUT /v2/feeds/504.csv HTTP/1.1\r\nX-PachubeApiKey: KEY\r\nContent-Length: %d\r\n\r\n%b"
    % (len(cosm_lines()), cosm_lines()),
}


def read(*pieces: bytes) -> list[Request | Refusal]:
    """Return what a reader makes of some pieces."""
    reader = RequestReader()
    return [found for piece in pieces for found in reader.feed(piece)]


def request(data: bytes) -> Request:
    """Return the only request in some bytes."""
    (found,) = read(data)
    assert isinstance(found, Request)
    return found


@pytest.mark.parametrize("data", REQUESTS.values(), ids=REQUESTS)
def test_each_form_of_a_gem_has_its_packet(data: bytes) -> None:
    """Each request, as a GEM writes it, is complete at its last byte and not before, and holds a packet."""
    assert read(data[:-1]) == []
    assert packet_of(request(data)) is not None


@hundred_examples
@given(st.lists(st.sampled_from(list(REQUESTS.values())), min_size=1, max_size=4), st.data())
def test_any_splitting_gives_the_same_requests(requests: list[bytes], data: st.DataObject) -> None:
    """Requests on one connection, keep-alives between them, are the same however they are split."""
    whole = b"Alive\r\n$".join(requests)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=8)))
    split = [whole[a:b] for a, b in pairwise([0, *cuts, len(whole)])]
    assert read(*split) == [request(one) for one in requests]


REFUSED = {
    "a binary packet": (b"\xfe\xff\x05" + bytes(600), HTTPStatus.BAD_REQUEST),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00", HTTPStatus.BAD_REQUEST),
    "another method": (b"DELETE / HTTP/1.1\r\n\r\n", HTTPStatus.METHOD_NOT_ALLOWED),
    "a line without an end": (b"GET /" + b"a" * MAX_HEAD, HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE),
    "headers without an end": (
        b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * MAX_HEAD,
        HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    ),
    "too many headers": (
        b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * (MAX_HEADERS + 1) + b"\r\n",
        HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    ),
    "a body that is too long": (
        b"PUT / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % (MAX_BODY + 1),
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    ),
    "a length that is none": (b"PUT / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", HTTPStatus.LENGTH_REQUIRED),
    "two lengths": (
        b"PUT / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        HTTPStatus.BAD_REQUEST,
    ),
    "pieces": (b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", HTTPStatus.LENGTH_REQUIRED),
}


@pytest.mark.parametrize(("data", "status"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused(data: bytes, status: HTTPStatus) -> None:
    """What is no request, or exceeds a bound, is refused once, and nothing behind it is read."""
    found = read(data, REQUESTS["HTTP GET"])
    assert [one.status for one in found if isinstance(one, Refusal)] == [status]
    assert len(found) == 1


@settings(max_examples=examples(2000), deadline=None)
@given(
    st.lists(
        st.binary(max_size=60)
        | st.sampled_from([*REQUESTS.values(), b"GET ", b"PUT /", b" HTTP/1.1\r\n", b"\r\n\r\n", b"Content-Length: 9"])
    )
)
def test_no_bytes_raise_or_fill_the_buffer(pieces: list[bytes]) -> None:
    """Whatever comes in, nothing is raised, and no more is kept than a request can have."""
    reader = RequestReader()
    for piece in pieces:
        for found in reader.feed(piece):
            if isinstance(found, Request):
                packet_of(found)
        assert len(reader._buffer) <= MAX_HEAD + MAX_BODY


def test_a_client_that_is_no_gem_may_encode() -> None:
    """What a program writes as HTTP has it, with quotes and percent signs, is the same packet."""
    quoted = b"%7B%22SN%22%3A%2201000010%22%2C%22SC%22%3A9%2C%22V%22%3A1144%2C%22E1%22%3A5%7D"
    by_query = packet_of(request(b"GET /?apikey=KEY&json=" + quoted + b" HTTP/1.1\r\n\r\n"))
    by_body = packet_of(request(b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\njson=%b" % (len(quoted) + 5, quoted)))
    assert by_query is not None
    assert by_body is not None
    assert by_query.raw == by_body.raw == b"{SN:01000010,SC:9,V:1144,E1:5}"


TOKENS = {
    "in the path": b"GET /gem/a%20token/?n=1 HTTP/1.1\r\n\r\n",
    "in the path of SEG": b"PUT /sites/a%20token HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
    "as the key of Emon": b"GET sites//?apikey=a%20token&json={} HTTP/1.1\r\n\r\n",
    "as the key of COSM": b"PUT /v2/feeds/5.csv HTTP/1.1\r\nX-PachubeApiKey: a token\r\nContent-Length: 0\r\n\r\n",
}


@pytest.mark.parametrize("data", TOKENS.values(), ids=TOKENS)
def test_the_token_is_where_a_format_has_a_place_for_it(data: bytes) -> None:
    """A token counts as a whole part of the path or as the key; a part of it does not."""
    assert has_token(request(data), "a token")
    assert not has_token(request(data), "a toke")
    assert not has_token(request(data), "n=1")


def test_no_packet_has_the_key_of_its_request() -> None:
    """Neither key nor token of a request is in the bytes that are kept, or in what a log may show."""
    for data in REQUESTS.values():
        found = request(data.replace(b"KEY", b"XYZ").replace(b"abc", b"XYZ"))
        packet = packet_of(found)
        assert packet is not None
        assert b"XYZ" not in packet.raw
        assert "XYZ" not in repr(found)
