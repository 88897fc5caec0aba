"""Where an address leads: to the Internet, or to this computer and the networks around it. No name is looked up."""

import ipaddress
import re
import socket
from urllib.parse import urlsplit

PRIVATE_SUFFIXES = (*("localhost", "localdomain", "local", "lan", "internal"), "home.arpa")
"""Ends of names that are given out within a house or a company, and never on the Internet (RFC 6761, 6762, 8375)."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def is_public(url: str) -> bool:
    """Whether an address may lead to the Internet, and not only to this computer or a private network.

    Not public are numbers that no router of the Internet passes on (127.0.0.1, 10.0.0.7, fe80::1, fd00::1), names
    without a dot, and names that end in `.local`, `.lan`, `.localhost`, `.localdomain`, `.internal` or `.home.arpa`.
    Nothing is looked up, so a name on the Internet that leads home counts as public, as does what cannot be read.
    """
    try:
        host = (urlsplit(url.strip()).hostname or "").removesuffix(".")
    except ValueError:
        return True
    number = _number(host)
    return _is_public_name(host) if number is None else _is_public_number(number)


def _number(host: str) -> Address | None:
    """Read a host that is a number, also in the old forms that systems still take (127.1)."""
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
        return True  # whatever it is: not certain to be near
    return "." in host and not any(host.endswith(f".{suffix}") for suffix in PRIVATE_SUFFIXES)
