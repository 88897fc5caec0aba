# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with a connection: nobody answers or connects, another program has it, or a meter waits to be asked.

A gateway that a running btcore is connected to is not connected to: many take one connection only. What is sent asks
for packets, and for a serial number: it changes nothing in a meter.
"""

from __future__ import annotations

import errno
import os
import socket
from contextlib import suppress
from threading import Event
from typing import TYPE_CHECKING

from btcore import Finding, answers_commands, probe_devices, processes_listening, sends_unasked
from btmon_ip.addresses import format_address
from btmon_ip.client_connection import connect

if TYPE_CHECKING:
    from collections.abc import Iterator

    from btcore import DiagnosisContext
    from btmon_ip.client import TcpClient
    from btmon_ip.client_connection import ClientConnection
    from btmon_ip.server import TcpServer

SILENT = {"nothing", "keep-alive", "answers", "acknowledgements"}
"""Kinds of bytes that a meter sends whose real-time mode is off."""

REFUSED = os.strerror(errno.ECONNREFUSED)

GEM_DIGITS = 8
"""Digits of the serial number of a GEM."""

LAST_PRIVILEGED_PORT = 1023


def diagnose_client(client: TcpClient, context: DiagnosisContext) -> Iterator[Finding]:
    """Yield what is wrong with a connection to a meter."""
    if context.failure:
        yield from _unreachable(client, context)
    elif not context.is_running:
        with suppress(OSError):
            connection = connect(client.host, client.port, client.timeout, Event())
            if connection is not None:
                with connection:
                    yield from _of_connection(client, connection, context)


def _unreachable(client: TcpClient, context: DiagnosisContext) -> Iterator[Finding]:
    name = format_address(client.host, client.port)
    try:
        socket.getaddrinfo(client.host, client.port, type=socket.SOCK_STREAM)
    except OSError:
        text = f"the name {client.host} has no address"
        yield Finding(
            "unreachable", text, "Correct `host`, or write the address of the gateway: its label or the router has it"
        )
        return
    if REFUSED in context.failure:
        yield Finding(
            "gateway-mode",
            f"{name} refuses the connection: nothing listens there",
            "The gateway may be in the other mode: a GEM's network module and an EtherBee connect to this computer,"
            ' which needs use = "tcp-server". Else correct `port` (5000 on a WIZ110SR), or stop the program that has'
            " its only connection",
        )
    elif "connect" in context.failure:
        text = f"{name} does not answer ({context.failure})"
        yield Finding("unreachable", text, "Check that the gateway has power and a network, and its address")


def _of_connection(client: TcpClient, line: ClientConnection, context: DiagnosisContext) -> Iterator[Finding]:
    if context.serials:
        gems = all(len(serial) == GEM_DIGITS for serial in context.serials)
        if client.poll_interval and gems and sends_unasked(line.receive, context.seconds, context.find_packets):
            yield from _swallowed(line, context)
    elif context.kind in SILENT and not client.poll_interval:
        found = probe_devices(line.send, line.receive)
        if found is not None:
            yield Finding(
                "real-time-off",
                f"meter {', '.join(found.serials)} sends nothing by itself, and answers when it is asked",
                f"Its real-time mode is off. Set {found.settings} in this table, or switch its real-time mode on in"
                " the vendor's software",
                settings=found.polling,
            )


def _swallowed(line: ClientConnection, context: DiagnosisContext) -> Iterator[Finding]:
    if not answers_commands(line.send, line.receive):
        yield Finding(
            "commands-swallowed",
            f"meter {', '.join(context.serials)} sends packets by itself, and answers no command",
            "Something in between, such as a DashBox, swallows commands: leave poll_interval out, and send no commands"
            " on this line",
        )


def diagnose_server(server: TcpServer, context: DiagnosisContext) -> Iterator[Finding]:
    """Yield what is wrong with a port that meters connect to."""
    if context.failure:
        yield from _taken(server, context)
    elif context.kind == "nothing":
        yield Finding(
            "gateway-mode",
            f"no meter has sent anything to port {server.port}",
            f"Set the meter's network module to the address of this computer and port {server.port}, and let it through"
            " the firewall. Or the gateway is in the other mode and waits for a connection, as a WIZ110SR does: then"
            ' use = "tcp-client" with its address',
        )


def _taken(server: TcpServer, context: DiagnosisContext) -> Iterator[Finding]:
    if holders := processes_listening(server.port, besides=context.process):
        yield Finding(
            "port-in-use",
            f"TCP port {server.port} is held by {', '.join(holders)}",
            "Stop it, or set another `port` here and in the meter",
        )
    elif 0 < server.port <= LAST_PRIVILEGED_PORT and os.geteuid():
        text = f"port {server.port} is for root alone"
        yield Finding("port-permission", text, "Set a port above 1023, here and in the meter")
