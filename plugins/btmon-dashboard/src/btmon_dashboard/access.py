# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may ask, and what a browser may do with an answer: the password, and the headers of every response."""

import asyncio
import base64
import binascii
import hmac
from collections.abc import Mapping
from typing import Any

import attrs

POLICY = (
    b"default-src 'self'; img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; form-action 'none';"
    b" frame-ancestors 'none'"
)

HEADERS = (
    (b"content-security-policy", POLICY),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-cache"),
)
"""A page loads nothing from elsewhere and runs no script that stands in it, whatever a channel is called."""

OPEN = frozenset({"/healthz"})
"""What needs no password."""

PLAIN = ((b"content-type", b"text/plain; charset=utf-8"),)

REFUSED = (
    *PLAIN,
    (b"www-authenticate", b'Basic realm="btcore", charset="UTF-8"'),
)


def is_same_origin(headers: Mapping[str, str]) -> bool:
    """Whether a browser sends a request from a page of this host, or another program sends it that says no origin."""
    origin, site = headers.get("origin"), headers.get("sec-fetch-site", "same-origin")
    return site == "same-origin" and (origin is None or origin.partition("://")[2] == headers.get("host", ""))


@attrs.frozen
class Access:
    """An ASGI application around another one. An empty password lets everybody in; the user's name is anything."""

    app: Any
    password: str = attrs.field(repr=False)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401 - the protocol's
        """Answer a request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        has_begun = False

        async def with_headers(message: Any) -> None:  # noqa: ANN401 - the protocol's
            nonlocal has_begun
            if message["type"] == "http.response.start":
                has_begun = True
                message["headers"] = [*message.get("headers", ()), *HEADERS]
            await send(message)

        if scope["path"] in OPEN or not self.password or self._is_right(dict(scope["headers"])):
            try:
                await self.app(scope, receive, with_headers)
            except asyncio.CancelledError:  # the program ends, and this answer would take too long
                if has_begun:
                    raise
                await with_headers({"type": "http.response.start", "status": 503, "headers": [*PLAIN]})
                await send({"type": "http.response.body", "body": b"the program is ending\n"})
            return
        await with_headers({"type": "http.response.start", "status": 401, "headers": [*REFUSED]})
        await send({"type": "http.response.body", "body": b"the password of the dashboard is needed\n"})

    def _is_right(self, headers: dict[bytes, bytes]) -> bool:
        kind, _, text = headers.get(b"authorization", b"").partition(b" ")
        try:
            given = base64.b64decode(text, validate=True).partition(b":")[2] if kind.lower() == b"basic" else b""
        except binascii.Error:
            return False
        return hmac.compare_digest(given, self.password.encode())
