# SPDX-License-Identifier: GPL-3.0-or-later
"""The messages about a serial port that cannot be used or is silent: what is wrong, and what to do about it.

No port is opened here: a message is made of the error and of the names that the system gives its adapters.
"""

import errno
from pathlib import Path

from btmon_serial.usb import BY_PATH, device_of, is_usb, list_usb_adapters

GONE = (errno.ENOENT, errno.ENXIO, errno.ENODEV)
FORBIDDEN = (errno.EACCES, errno.EPERM)
TAKEN = (errno.EBUSY, errno.EAGAIN)


FORBIDDEN_WORDS = "may not be used by this user"
"""What a message says where rights are missing."""

BAUDS = (
    *(300, 600, 1200, 1800, 2400, 4800, 9600, 19_200, 38_400, 57_600, 115_200, 230_400, 460_800, 500_000, 576_000),
    *(921_600, 1_000_000, 1_152_000, 1_500_000, 2_000_000, 2_500_000, 3_000_000, 3_500_000, 4_000_000),
)
"""Speeds that serial ports have."""

METER_BAUDS = (19_200, 115_200)


def baud_problem(baud: int) -> str:
    """Describe what is wrong with a speed, "" where a meter has it."""
    if baud in METER_BAUDS:
        return ""
    who = "meter sends" if baud in BAUDS else "serial port has"
    return f"no {who} {baud} baud: an ECM sends at 19200, a GEM at 19200 or 115200, as it is set"


def describe_open_failure(port: str, error: OSError, folder: Path = BY_PATH) -> str:
    """Describe why a port could not be opened and what to do; `folder` has the names of the adapters."""
    if "://" in port:
        return f"{port} cannot be opened: {error}; are host and port right, and is the gateway switched on?"
    if error.errno in GONE:
        return f"{port} {'is not plugged in' if is_usb(port) else 'does not exist'}; {list_present(port, folder)}"
    if error.errno in FORBIDDEN:
        return (
            f"{port} {FORBIDDEN_WORDS}: add the user to the group that owns it"
            " (`sudo usermod -a -G dialout USER`), then log in again or restart the service"
        )
    if error.errno in TAKEN:
        return (
            f"{port} is in use by another program (`fuser -v {port}` names it):"
            " two programs on one line take each other's bytes, so stop one of them"
        )
    return f"{port} cannot be used as a serial line: {error}"


def describe_port_failure(port: str, error: OSError, folder: Path = BY_PATH) -> str:
    """Describe the failure of an open port and, where it is gone, name the adapters that are present."""
    if "://" in port or _exists(port):
        return f"{port} failed: {error}"
    return f"{port} is gone (unplugged?); {list_present(port, folder)}"


def describe_silence(port: str, seconds: float) -> str:
    """Describe a silence, with its most frequent causes and what to do about them."""
    return (
        f"{port}: nothing has come in for {seconds:g} s. Most often the meter's real-time mode is off, so that it"
        ' sends only when it is asked: set poll_interval = "10s" and, for an ECM, devices = ["fc"]. Otherwise check its'
        " power and its cable. The port is opened again; this warning is repeated only after bytes have come in"
    )


def list_present(port: str, folder: Path = BY_PATH) -> str:
    """Name the adapters that are present, in the way in which the port is named."""
    if not is_usb(port):
        return list_adapters(folder)
    names = list_usb_adapters()
    return f"present now: {', '.join(names)}" if names else "no USB adapter is present"


def _exists(port: str) -> bool:
    try:
        return Path(device_of(port)).exists()
    except OSError:
        return False


def list_adapters(folder: Path = BY_PATH) -> str:
    """Name the adapters that are present."""
    try:
        names = sorted(str(name) for name in folder.iterdir())
    except OSError:  # the folder exists only while there is an adapter
        names = []
    return f"present now: {', '.join(names)}" if names else f"no serial adapter is present ({folder} is empty)"
