# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses and secrets in settings: what is wrong with them is told, without them."""

from pathlib import Path

import attrs
import pytest

from btcore import Problem, Secret
from btcore.web import secret_problem, setting_problems, url_problem


@pytest.mark.parametrize(
    "url",
    ["http://h", "https://h:8443/a/b?c=d", "http://[::1]:80/", "http://127.0.0.1:1/", "https://xn--bcher-kva.example"],
)
def test_an_address_is_an_address(url: str) -> None:
    """Nothing is wrong with these."""
    assert url_problem(url) == ""


@pytest.mark.parametrize(
    "url",
    [
        "",
        "h",
        "h/a",
        "ftp://h",
        "http://",
        "http:///a",
        "http://h:0",
        "http://h:99999",
        "http://h:",
        "http://http://h:8086",
        "http://[::1",
        "http://h /a",
        "http://é",
    ],
)
def test_what_is_no_address_is_told_with_one_that_is(url: str) -> None:
    """The person sees what was expected."""
    assert url_problem(url) == "expected an address such as https://example.com/path"


def test_name_and_password_do_not_belong_in_an_address() -> None:
    """It is shown in logs."""
    assert url_problem("https://me:mine@h") == "expected an address without a user name and password"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("a key of two words", ""),
        ("€", ""),
        ("", "is empty"),
        ("  ", "is empty"),
        ("key\n", "expected no spaces around it and no line breaks in it"),
        (" key", "expected no spaces around it and no line breaks in it"),
        ("k\0ey", "expected no spaces around it and no line breaks in it"),
    ],
)
def test_what_is_wrong_with_a_secret_is_told_without_it(text: str, fault: str) -> None:
    """A line break from copying would break the header that the key is sent in."""
    assert secret_problem(Secret(text)) == fault


@attrs.define
class Uploader:
    """A plugin that sends requests."""

    url: str
    key: Secret
    query_url: str = ""
    token: Secret = attrs.field(factory=lambda: Secret(""))
    headers: dict[str, Secret] = attrs.field(factory=dict)
    timeout: float = 15.0
    ssl_ca: Path | None = None
    _connection: object = attrs.field(init=False)


def test_the_settings_of_an_uploader_are_checked_in_one_place() -> None:
    """Each mistake is told with its setting; what may be left out is no mistake, nor is what is no setting."""
    assert list(setting_problems(Uploader("http://h", Secret("k")), "url")) == []
    wrong = Uploader("h", Secret(""), "", Secret(" t"), {"X-Key": Secret("a\n")}, 601.0, Path("/no/such.pem"))
    assert list(setting_problems(wrong, "url", "query_url")) == [
        Problem("expected an address such as https://example.com/path", "url"),
        Problem("is empty", "key"),
        Problem("expected an address such as https://example.com/path", "query_url"),
        Problem("expected no spaces around it and no line breaks in it", "token"),
        Problem("expected no spaces around it and no line breaks in it", "headers"),
        Problem("expected more than 0 s, and at most 10 min", "timeout"),
        Problem("there is no file /no/such.pem", "ssl_ca"),
    ]


@pytest.mark.parametrize(("url", "problems"), [("https://h/hook/4711", 0), ("4711", 1)])
def test_an_address_may_be_a_secret(url: str, problems: int) -> None:
    """It is checked as an address, and not shown."""
    found = list(setting_problems(Uploader(Secret(url), Secret("k")), "url"))  # type: ignore[arg-type]
    assert len(found) == problems
    assert "4711" not in str(found)
