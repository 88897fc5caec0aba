# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with a serial line: the port, its rights, who holds it, its speed, or a meter that waits to be asked.

A line that a running btcore holds is not opened. What is sent asks for packets, and for a serial number: it changes
nothing in a meter.
"""

from __future__ import annotations

import os
from contextlib import closing, suppress
from typing import TYPE_CHECKING

from btcore import Finding, answers_commands, probe_devices, processes_holding, sends_unasked
from btmon_serial import messages
from btmon_serial.port import Port
from btmon_serial.usb import device_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from btcore import DiagnosisContext
    from btmon_serial.line import SerialLine

WRONG_SPEED = {"senseless", "one byte"}
"""Kinds of bytes that a line brings at a wrong speed."""

SILENT = {"nothing", "keep-alive", "answers", "acknowledgements"}
"""Kinds of bytes that a meter sends whose real-time mode is off."""

MIN_LISTEN = 2.0
"""Seconds of listening at another speed, at least."""

PLUG_IN = "Name it in `port`, or plug the adapter in"

GEM_DIGITS = 8
"""Digits of the serial number of a GEM."""


def diagnose(line: SerialLine, context: DiagnosisContext) -> Iterator[Finding]:
    """Yield what is wrong."""
    if context.failure:
        if "://" not in line.port:
            yield from _port(line, context)
        return
    with suppress(OSError, ValueError):  # the line is gone meanwhile: opening it failed before, or will
        if context.serials:
            if line.poll_interval and not context.is_running:
                yield from _swallowed(line, context)
        elif context.kind in WRONG_SPEED:
            yield _speed(line, context)
        elif context.kind in SILENT and not line.poll_interval and not context.is_running:
            yield from _asked(line)


def _port(line: SerialLine, context: DiagnosisContext) -> Iterator[Finding]:
    try:
        port = device_of(line.port)
    except OSError as error:
        yield Finding("port-missing", messages.describe_open_failure(line.port, error), PLUG_IN)
        return
    if not os.path.exists(port):  # noqa: PTH110 - a name such as COM3 too
        yield Finding("port-missing", f"{port} does not exist", _first_up(messages.list_adapters()))
    elif not os.access(port, os.R_OK | os.W_OK) or messages.FORBIDDEN_WORDS in context.failure:
        yield Finding(
            "port-permission",
            f"this user may not use {port}",
            f"Add the user to the group that owns it ({_group(port)}): sudo usermod -a -G {_group(port)} USER; then log"
            " in again, or restart the service",
        )
    elif holders := processes_holding(port, besides=context.process):
        yield Finding(
            "port-in-use",
            f"{port} is held by {', '.join(holders)}",
            "Stop it: two programs on one line take each other's bytes",
        )


def _group(port: str) -> str:
    """Return the group that owns a device."""
    try:
        import grp  # noqa: PLC0415 - not on every system

        return grp.getgrgid(os.stat(port).st_gid).gr_name  # noqa: PTH116 - as above
    except (ImportError, OSError, KeyError):
        return "dialout"


def _first_up(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}. {PLUG_IN}"


def _speed(line: SerialLine, context: DiagnosisContext) -> Finding:
    for baud in messages.METER_BAUDS:
        if baud != line.baud and not context.is_running and (serials := _listen(line, baud, context)):
            return Finding(
                "wrong-baud",
                f"the speed of the line is wrong: meter {serials[0]} sends at {baud} baud, and baud = {line.baud}",
                f"Set baud = {baud} in this table",
                settings={"baud": baud},
            )
    return Finding(
        "wrong-baud",
        f"bytes that make no sense come in at {line.baud} baud: {context.received[:16].hex(' ')}",
        "Set baud to the speed that is set in the meter: 19200 for an ECM, 19200 or 115200 for a GEM. If it is right,"
        " check the cable",
    )


def _listen(line: SerialLine, baud: int, context: DiagnosisContext) -> tuple[str, ...]:
    with closing(Port(device_of(line.port), baud)) as port:
        return sends_unasked(port.receive, max(context.seconds, MIN_LISTEN), context.find_packets)


def _asked(line: SerialLine) -> Iterator[Finding]:
    """Ask the meter, and yield that its real-time mode is off if it answers."""
    with closing(Port(device_of(line.port), line.baud)) as port:
        found = probe_devices(port.send, port.receive)
    if found is not None:
        yield Finding(
            "real-time-off",
            f"meter {', '.join(found.serials)} sends nothing by itself, and answers when it is asked",
            f"Its real-time mode is off. Set {found.settings} in this table, or switch its real-time mode on in the"
            " vendor's software",
            settings=found.polling,
        )


def _swallowed(line: SerialLine, context: DiagnosisContext) -> Iterator[Finding]:
    """Yield that commands do not reach a meter that sends by itself although it is to be asked."""
    if any(len(serial) != GEM_DIGITS for serial in context.serials):
        return
    with closing(Port(device_of(line.port), line.baud)) as port:
        unasked = sends_unasked(port.receive, context.seconds, context.find_packets)
        if unasked and not answers_commands(port.send, port.receive):
            yield Finding(
                "commands-swallowed",
                f"meter {', '.join(context.serials)} sends packets by itself, and answers no command",
                "Something in between, such as a DashBox, swallows commands: leave poll_interval out, and send no"
                " commands on this line",
            )
