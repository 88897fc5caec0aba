# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether an address is on the Internet, or on this computer or a private network. No name is looked up."""

import ipaddress
import re
import socket
from urllib.parse import urlsplit

PRIVATE_SUFFIXES = (*("localhost", "localdomain", "local", "lan", "internal"), "home.arpa")
"""Domains of private networks, which do not exist on the Internet (RFC 6761, 6762, 8375)."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def is_public(url: str) -> bool:
    """Whether an address may be on the Internet, not only on this computer or a private network.

    Not public are private IP addresses (127.0.0.1, 10.0.0.7, fe80::1, fd00::1), names
    without a dot, and names that end in `.local`, `.lan`, `.localhost`, `.localdomain`, `.internal` or `.home.arpa`.
    Nothing is looked up, so a public name of a private address counts as public, as does an invalid address.
    """
    try:
        host = (urlsplit(url.strip()).hostname or "").removesuffix(".")
    except ValueError:
        return True
    number = _number(host)
    return _is_public_name(host) if number is None else _is_public_number(number)


def _number(host: str) -> Address | None:
    """Read a host that is an IP address, also in the old forms that systems still accept (127.1)."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        pass
    try:
        return ipaddress.IPv4Address(socket.inet_aton(host))
    except (OSError, ValueError):
        return None


def _is_public_number(number: Address) -> bool:
    within = number.ipv4_mapped if isinstance(number, ipaddress.IPv6Address) else None
    return (within or number).is_global


def _is_public_name(host: str) -> bool:
    if not re.fullmatch(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*", host):
        return True  # not a valid name: perhaps public
    return "." in host and not any(host.endswith(f".{suffix}") for suffix in PRIVATE_SUFFIXES)
