# SPDX-License-Identifier: GPL-3.0-or-later
"""USB adapters by what they are, `usb:0403:6001:A600ABCD`, whichever socket they are in and whatever they are called.

The system knows vendor, product and serial number of each; no port is opened here.
"""

from __future__ import annotations

import errno
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from serial.tools.list_ports_common import ListPortInfo

BY_PATH = Path("/dev/serial/by-path")
"""Where Linux names each adapter by the socket it is plugged into: a name that stays when others come and go."""

PREFIX = "usb:"
NAME = re.compile(r"usb:([0-9a-f]{4}):([0-9a-f]{4})(?::(.+))?", re.IGNORECASE)


def is_usb(port: str) -> bool:
    """Whether a port is named so."""
    return port.lower().startswith(PREFIX)


def check_port(_instance: object, _attribute: object, port: str) -> None:
    """Validate a setting `port`. Raises ValueError for a name of an adapter that is none."""
    if is_usb(port) and NAME.fullmatch(port) is None:
        raise ValueError(
            "expected usb:VENDOR:PRODUCT:SERIAL, the first two in four hexadecimal digits (`lsusb` shows them), such as"
            f' "usb:0403:6001:A600ABCD", not {port!r}'
        )


def device_of(port: str) -> str:
    """Return the device of a port: that of the adapter, or the port itself if it is named otherwise.

    Raises OSError if there is no such adapter, or more than one.
    """
    found = NAME.fullmatch(port)
    if found is None:
        return port
    devices = [info.device for info in _adapters() if _is_meant(info, found)]
    if not devices:
        raise FileNotFoundError(errno.ENOENT, "no such adapter", port)
    if len(devices) > 1:
        several = ", ".join(sorted(devices))
        raise OSError(f"several adapters are so ({several}): add the serial number, or name one below {BY_PATH}/")
    return str(devices[0])


def list_usb_adapters() -> list[str]:
    """Return the names of the adapters that are present, each with its device."""
    return sorted(f"{_name(info)} ({info.device})" for info in _adapters())


def list_usb_devices() -> list[tuple[str, str, str]]:
    """Return the device of each adapter that is present, its name, and what it is."""
    return sorted((info.device, _name(info), info.description or "USB adapter") for info in _adapters())


def _adapters() -> list[ListPortInfo]:
    from serial.tools import list_ports  # noqa: PLC0415 - only a port that is named so needs it

    return [info for info in list_ports.comports() if info.vid is not None]


def _name(info: ListPortInfo) -> str:
    return f"usb:{info.vid:04x}:{info.pid:04x}" + (f":{info.serial_number}" if info.serial_number else "")


def _is_meant(info: ListPortInfo, name: re.Match[str]) -> bool:
    vendor, product, serial = name.groups()
    return (info.vid, info.pid) == (int(vendor, 16), int(product, 16)) and serial in {None, info.serial_number}
