# SPDX-License-Identifier: GPL-3.0-or-later
"""The two clocks of the computer: the time of day, which may be set, and the steady clock, which nobody sets.

The clocks of meters are not here (`decode/device_clock.py`).
"""

import os
import time
import zlib
from datetime import UTC, datetime
from pathlib import Path

EARLIEST = datetime(2026, 1, 1, tzinfo=UTC)
"""No btcore is older than this, so no right clock shows less."""

LATEST = datetime(2100, 1, 1, tzinfo=UTC)
"""No right clock shows more."""

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
"""The file in which Linux identifies the current start of the system."""

_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""The steady clock: where there is one, a clock that counts on while the system sleeps."""


def now() -> datetime:
    """Return the time of day."""
    return datetime.now(UTC)


def is_absurd(time: datetime) -> bool:
    """Whether a clock that shows this time cannot be right: a computer without a battery begins with 1970."""
    return not EARLIEST <= time < LATEST


def is_synchronized() -> bool | None:
    """Return whether something (NTP) keeps the time of day right, as the kernel knows; None where it does not tell."""
    import ctypes  # noqa: PLC0415 - nobody asks in a system that runs for long

    try:
        adjtimex = ctypes.CDLL(None).adjtimex
    except (AttributeError, OSError):
        return None
    state = int(adjtimex(ctypes.create_string_buffer(_TIMEX)))  # without a mode it changes nothing
    return None if state < 0 else state != _TIME_ERROR


_TIMEX = 512
"""Bytes: more than the kernel's struct timex has."""

_TIME_ERROR = 5
"""What adjtimex returns where the clock is not synchronized (<sys/timex.h>)."""


def steady() -> int:
    """Return microseconds since the system was started, by a clock that nobody sets."""
    return time.clock_gettime_ns(_CLOCK) // 1000


def boot(boot_id: Path = BOOT_ID) -> int:
    """Return a number that identifies the steady clock: one start of the system, or else this process. Never 0."""
    try:
        text = boot_id.read_bytes()
    except OSError:
        return (int.from_bytes(os.urandom(8), "big") >> 2) + 1
    return zlib.crc32(text) << 31 | zlib.adler32(text) & 0x7FFF_FFFF or 1
