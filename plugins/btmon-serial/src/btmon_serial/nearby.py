# SPDX-License-Identifier: GPL-3.0-or-later
"""The serial adapters that this computer has, each by a name that stays the same. No port is opened."""

import os
from collections.abc import Iterator
from pathlib import Path

from btcore import Discovered
from btmon_serial.usb import BY_PATH, list_usb_devices

USUAL = 19_200
"""The speed of an ECM, and of a GEM as delivered."""


def discover(folder: Path = BY_PATH) -> Iterator[Discovered]:
    """Yield each adapter, and at last a port that is to be named."""
    for device, name, what in list_usb_devices():
        port = name_of_socket(device, folder) or name
        yield Discovered(kind="source", text=f"{what} ({device})", settings={"port": port})
    text = "a meter on a serial port that is named"
    yield Discovered(kind="source", text=text, settings={"baud": USUAL}, ask=("port", "baud"), is_present=False)


def name_of_socket(device: str, folder: Path = BY_PATH) -> str:
    """Return the name of a device by the socket that it is in; "" where there is no such name."""
    try:
        names = sorted(folder.iterdir())
    except OSError:
        return ""
    return next((str(name) for name in names if os.path.realpath(name) == os.path.realpath(device)), "")
