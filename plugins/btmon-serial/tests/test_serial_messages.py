# SPDX-License-Identifier: GPL-3.0-or-later
"""Ports that cannot be used and settings that cannot work: what a person is told."""

from __future__ import annotations

import errno
import inspect
import logging
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from btcore import Context, Duration, Retry, Stop
from btmon_serial import messages
from btmon_serial.line import SerialLine

if TYPE_CHECKING:
    from conftest import Ear
    from servers.serial_line import Wire

PACKAGE = Path(__file__).parents[1]
CONTEXT = Context(name="source.test", log=logging.getLogger("test"))


def refusal(port: str, kind: type[Exception] = Retry) -> str:
    """Return what is said when a port is opened that cannot be."""
    source = SerialLine(port=port)
    with pytest.raises(kind) as raised:
        source.open(CONTEXT)
    source.close()
    return str(raised.value)


def test_a_port_that_is_not_there(tmp_path: Path) -> None:
    """A port that does not exist is named, and that it does not exist is said."""
    assert refusal(str(tmp_path / "ttyUSB0")).startswith(f"{tmp_path}/ttyUSB0 does not exist; ")


def test_the_ports_that_are_there(tmp_path: Path) -> None:
    """When a port does not exist, the names of those that do are given."""
    for name in ("pci-2", "pci-1"):
        (tmp_path / name).touch()
    text = messages.describe_open_failure("/dev/ttyUSB0", FileNotFoundError(errno.ENOENT, "no"), tmp_path)
    assert text == f"/dev/ttyUSB0 does not exist; present now: {tmp_path}/pci-1, {tmp_path}/pci-2"


def test_no_port_at_all(tmp_path: Path) -> None:
    """When no adapter is plugged in, that is said."""
    text = messages.describe_port_failure("/dev/ttyUSB-none", OSError("read failed"), tmp_path / "by-path")
    assert text == f"/dev/ttyUSB-none is gone (unplugged?); no serial adapter is present ({tmp_path}/by-path is empty)"


def test_permission() -> None:
    """A port that the user may not open is answered with the command that gives permission."""
    text = messages.describe_open_failure("/dev/ttyUSB0", PermissionError(errno.EACCES, "no"))
    assert "usermod -a -G dialout USER" in text


def test_a_port_in_use(wire: Wire, listen: Callable[[SerialLine], Ear]) -> None:
    """A port that another program has locked is refused, with how to find that program."""
    listen(SerialLine(port=wire.path))
    assert refusal(wire.path).startswith(f"{wire.path} is in use by another program (`fuser -v {wire.path}` names it)")


def test_no_serial_line() -> None:
    """A file that is no serial line is refused."""
    assert refusal("/dev/null").startswith("/dev/null cannot be used as a serial line: ")


def test_a_gateway_that_is_not_there() -> None:
    """A gateway that does not answer is named, with what to look at."""
    text = refusal("socket://127.0.0.1:1")
    assert ("socket://127.0.0.1:1 cannot be opened: " in text, "is the gateway switched on?" in text) == (True, True)


def test_a_url_that_is_none() -> None:
    """A URL of a kind that does not exist stops the source: no waiting will mend it."""
    assert "port 'http://meter' at 19200 baud can never work" in refusal("http://meter", Stop)


@pytest.mark.parametrize(
    "settings",
    [
        {"baud": 0},
        {"poll_interval": -1},
        {"timeout": 0},
        {"idle_timeout": -1},
        {"devices": ["fb"]},
        {"devices": ["fc", "FC"]},
    ],
)
def test_settings_out_of_range(settings: dict[str, int]) -> None:
    """A setting that cannot work is refused with what was expected."""
    with pytest.raises(ValueError, match=r"expected|must be"):
        SerialLine(port="loop://", **settings)  # type: ignore[arg-type]


def test_devices_without_poll() -> None:
    """Naming meters without asking them is a mistake that is told; asking them is not."""
    problems = [
        list(SerialLine(port="loop://", devices=["fc"], poll_interval=Duration(poll)).check()) for poll in (0, 10)
    ]
    assert [[problem.key for problem in each] for each in problems] == [["devices"], []]


def test_an_interval_of_a_device_that_there_is_not() -> None:
    """It is a mistake that is told, with the devices that there are."""
    source = SerialLine(port="loop://", devices=["fc"], poll_interval=Duration(10), poll_intervals={"fd": Duration(60)})
    assert [str(problem) for problem in source.check()] == [
        'poll_intervals: device "fd" is none of those in `devices` (fc)'
    ]


def test_no_port() -> None:
    """A port that is empty is a mistake that is told with where the ports are listed."""
    problems = list(SerialLine(port="").check())
    assert [str(problem) for problem in problems] == [
        "port: expected a serial device: `ls /dev/serial/by-path/` shows them"
    ]


def test_the_sample() -> None:
    """The sample uses settings that exist, and the README shows it as it is."""
    text = (PACKAGE / "sample.toml").read_text()
    used = {key for table in tomllib.loads(text)["source"].values() for key in table}
    known = {"use", *inspect.signature(SerialLine).parameters}
    assert (used <= known, f"```toml\n{text}```" in (PACKAGE / "README.md").read_text()) == (True, True)


def test_pyserial_is_imported_when_a_port_is_opened() -> None:
    """Loading the plugin does not import pyserial."""
    code = "import sys, btmon_serial.line; print('serial' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout == "False\n"
