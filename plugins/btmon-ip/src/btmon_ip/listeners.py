# SPDX-License-Identifier: GPL-3.0-or-later
"""The listening sockets of a port: one for each address of a host name."""

import errno
import os
import socket
from contextlib import ExitStack
from logging import Logger
from typing import Any

from btcore import Retry
from btmon_ip.addresses import format_address

LISTEN_BACKLOG = 4096
"""Connections that may wait to be accepted; the system may allow fewer."""

ADVICE = {
    errno.EADDRINUSE: "another program uses this port (a second btcore, or btmon?): stop it, or set another port",
    errno.EACCES: "ports below 1024 are for root: set a higher one",
    errno.EADDRNOTAVAIL: "this machine has no such address: set one that it has, or leave host empty for all of them",
}


NOT_HERE = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}
"""A name may stand for an IPv6 address too where IPv6 is switched off: the others will do."""


def listen(host: str, port: int, log: Logger) -> list[socket.socket]:
    """Listen on all addresses of `host`; empty means every address of the machine. Port 0 is any free one.

    Raises Retry, with what can be done about it.
    """
    try:
        listeners = _claim(host, port)
    except OSError as error:
        advice = ADVICE.get(error.errno or 0, error.strerror or str(error))
        raise Retry(f"cannot listen on {host or '*'}:{port}: {advice}") from error
    for listener in listeners:
        address, claimed = listener.getsockname()[:2]
        log.info("listening on %s", format_address(address, claimed) if host else f"*:{claimed}")
    return listeners


def _claim(host: str, port: int) -> list[socket.socket]:
    listeners: list[socket.socket] = []
    with ExitStack() as on_failure:
        for family, (address, *scope) in _addresses(host):
            claimed = listeners[0].getsockname()[1] if listeners else port  # where any port will do, the same for all
            both = not host and family == socket.AF_INET6
            address_and_port = (address, claimed, *scope)
            try:
                listener = socket.create_server(
                    address_and_port, family=family, backlog=LISTEN_BACKLOG, dualstack_ipv6=both
                )
            except OSError as error:
                if error.errno in NOT_HERE:
                    continue
                raise
            listeners.append(on_failure.enter_context(listener))
        if not listeners:
            raise OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))
        on_failure.pop_all()
    return listeners


def _addresses(host: str) -> list[tuple[int, Any]]:
    """Return family and address, without the port."""
    if not host:
        return [(socket.AF_INET6, ("::",)) if _has_ipv6() else (socket.AF_INET, ("0.0.0.0",))]  # noqa: S104 - all are meant
    # of bytes: of text, Python takes its encoding of international names, which brings tables of letters with it
    name = host.encode() if host.isascii() else host
    found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return list(dict.fromkeys((family, (address, *scope)) for family, _, _, _, (address, _, *scope) in found))


def _has_ipv6() -> bool:
    """Whether one socket can serve IPv4 and IPv6: a machine may know IPv6, and have it switched off."""
    if not socket.has_dualstack_ipv6():
        return False
    try:
        with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True):
            return True
    except OSError:
        return False
