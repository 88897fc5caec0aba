# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses and socket options that both sources use."""

import ipaddress
import socket
from typing import Any

from btcore import host_problems

LAST_PORT = 65_535
ANY_ADDRESS = ("", "0.0.0.0", "::")  # noqa: S104 - what a configuration may say
KEEP_ALIVE = (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 20), ("TCP_KEEPCNT", 6))
"""Ask a silent peer after a minute whether it is there, and give it two more to say so."""


def check_host(instance: object, attribute: Any, value: str) -> None:  # noqa: ANN401 - attrs' own type
    """Validate a setting `host`: an address or a name, and no more, or empty. Raises ValueError."""
    for problem in host_problems(instance, attribute.name) if value else ():
        raise ValueError(problem.message)


def claimed_addresses(host: str) -> list[str]:
    """Return the suffixes of the claims `tcp port N` for a host; "" claims the port on all addresses."""
    if host.lower() == "localhost":
        return ["/127.0.0.1", "/::1"]
    return [f"/{host.lower()}" if host not in ANY_ADDRESS else ""]


def format_address(host: str, port: int) -> str:
    """Write an address as `HOST:PORT`: IPv6 in brackets, and IPv4 as itself where it comes as a part of IPv6."""
    if ":" not in host:
        return f"{host}:{port}"
    address = ipaddress.IPv6Address(host)
    return f"{address.ipv4_mapped}:{port}" if address.ipv4_mapped else f"[{host}]:{port}"


def plain_address(host: str) -> str:
    """Write the address of a host as [meters] of a configuration has it: IPv4 as itself, also as a part of IPv6."""
    if ":" not in host:
        return host
    address = ipaddress.IPv6Address(host)
    return str(address.ipv4_mapped or address)


def keep_alive(connection: socket.socket) -> None:
    """Have the system find out when the other side of a silent connection is gone. Raises OSError."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in KEEP_ALIVE:
        if hasattr(socket, name):  # not every system has all three
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
