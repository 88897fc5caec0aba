# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses and secrets in settings: what is wrong with them is told, without them."""

import pytest

from btcore import Secret
from btcore.web import secret_problem, url_problem


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
