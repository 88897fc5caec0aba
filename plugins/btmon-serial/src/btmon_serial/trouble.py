"""What a person is told when a serial port cannot be used or says nothing, and what they can do about it.

No port is opened here: this looks at the error, and at the names that the system gives its adapters.
"""

import errno
from pathlib import Path

BY_PATH = Path("/dev/serial/by-path")
"""Where Linux names each adapter by the socket it is plugged into: a name that stays when others come and go."""

GONE = (errno.ENOENT, errno.ENXIO, errno.ENODEV)
FORBIDDEN = (errno.EACCES, errno.EPERM)
TAKEN = (errno.EBUSY, errno.EAGAIN)


BAUDS = (
    *(300, 600, 1200, 1800, 2400, 4800, 9600, 19_200, 38_400, 57_600, 115_200, 230_400, 460_800, 500_000, 576_000),
    *(921_600, 1_000_000, 1_152_000, 1_500_000, 2_000_000, 2_500_000, 3_000_000, 3_500_000, 4_000_000),
)
"""Speeds that serial ports have."""

OF_METERS = (19_200, 115_200)


def baud_fault(baud: int) -> str:
    """Say that no port, or no meter, has a speed; "" where one has."""
    if baud in OF_METERS:
        return ""
    who = "meter sends" if baud in BAUDS else "serial port has"
    return f"no {who} {baud} baud: an ECM sends at 19200, a GEM at 19200 or 115200, as it is set"


def cannot_open(port: str, error: OSError, folder: Path = BY_PATH) -> str:
    """Say why a port could not be opened and what to do; `folder` holds the names of the adapters that are present."""
    if "://" in port:
        return f"{port} cannot be opened: {error}; are host and port right, and is the gateway switched on?"
    if error.errno in GONE:
        return f"{port} does not exist; {_present(folder)}"
    if error.errno in FORBIDDEN:
        return (
            f"{port} may not be used by this user: add the user to the group that owns it"
            " (`sudo usermod -a -G dialout USER`), then log in again or restart the service"
        )
    if error.errno in TAKEN:
        return (
            f"{port} is in use by another program (`fuser -v {port}` names it):"
            " two programs on one line take each other's bytes, so stop one of them"
        )
    return f"{port} cannot be used as a serial line: {error}"


def lost(port: str, error: OSError, folder: Path = BY_PATH) -> str:
    """Say that a port failed which was open, and, when it is gone, which adapters are present."""
    if "://" in port or Path(port).exists():
        return f"{port} failed: {error}"
    return f"{port} is gone (unplugged?); {_present(folder)}"


def silent(port: str, seconds: float) -> str:
    """Say that nothing comes in, and the commonest reasons."""
    return (
        f"{port}: nothing has come in for {seconds:g} s. Most often the meter's real-time mode is off, so that it"
        ' speaks only when asked: set poll_interval = "10s" and, for an ECM, devices = ["fc"]. Else look at its power and cable.'
        " The port is opened anew; this is logged again only after bytes came in"
    )


def _present(folder: Path) -> str:
    try:
        names = sorted(str(name) for name in folder.iterdir())
    except OSError:  # the folder exists only while there is an adapter
        names = []
    return f"present now: {', '.join(names)}" if names else f"no serial adapter is present ({folder} is empty)"
