# SPDX-License-Identifier: GPL-3.0-or-later
"""HOST:PORT of a setting `listen`: read, and claimed."""

from ipaddress import IPv6Address

from btcore.settings import Claim

MAX_PORT = 65_535
ANY_ADDRESS = ("0.0.0.0", "::")  # noqa: S104 - what a configuration may say


def parse_listen_address(text: str) -> tuple[str, int]:
    """Return host and port. Raises ValueError with what was expected."""
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not _is_host(host) or not port.isdecimal() or int(port) > MAX_PORT:
        raise ValueError(f'expected HOST:PORT, such as "127.0.0.1:9464", found {text!r}')
    return host, int(port)


def listen_claims(text: str, key: str = "listen") -> tuple[Claim, ...]:
    """Return the claim on a port, as a source that listens on it claims it. Raises ValueError."""
    host, port = parse_listen_address(text)
    if port == 0:
        return ()
    parts = ("/127.0.0.1", "/::1") if host.lower() == "localhost" else ("" if host in ANY_ADDRESS else f"/{host}",)
    return tuple(Claim(f"tcp port {port}{part.lower()}", key=key) for part in parts)


def _is_host(text: str) -> bool:
    """Whether a text is an address, or can be a name."""
    try:
        if ":" in text:
            IPv6Address(text)
        text.encode("idna")
    except ValueError:
        return False
    return bool(text) and text.isprintable()
