# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of the settings and headers of a plugin that uploads, before anything is sent.

No message contains the invalid value: it may be a key.
"""

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from btcore.settings import Secret

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_NOT_IN_A_HEADER = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]|^[ \t]")


def url_problem(url: str) -> str:
    """Return what is wrong with the address of a service, or ""."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    is_whole = host and port != 0 and not parts.netloc.endswith(":")  # http://http://host has a port without a number
    if not is_whole or parts.scheme not in ("http", "https") or re.search(r"[^!-~]", url):
        return "expected an address such as https://example.com/path"
    return "expected an address without a user name and password" if "@" in parts.netloc else ""


def secret_problem(secret: Secret) -> str:
    """Return what is wrong with a key, token or password, or ""; never its text."""
    text = secret.reveal()
    if not text.strip():
        return "is empty"
    return (
        "" if text.isprintable() and text == text.strip() else "expected no spaces around it and no line breaks in it"
    )


def header_problem(headers: Mapping[str, str]) -> str:
    """Return what is wrong with the first invalid header, or "" (RFC 9110, 5.5)."""
    for name, text in headers.items():
        if not _HEADER_NAME.fullmatch(name):
            return "a header's name contains invalid characters"
        if _NOT_IN_A_HEADER.search(text):
            return f"the header {name} contains a line break or another control character"
        if lone_surrogate(text):
            return f"the header {name} contains half a character (a lone surrogate)"
    return ""


def lone_surrogate(text: str) -> bool:
    """Whether a text cannot be encoded in UTF-8."""
    return any("\ud800" <= character <= "\udfff" for character in text)
