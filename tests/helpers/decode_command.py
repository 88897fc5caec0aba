# SPDX-License-Identifier: GPL-3.0-or-later
"""Captures, and what `btcore decode` makes of them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from btcore import pack
from btcore.cli import OK, main

Write = Callable[..., Path]
Capture = pytest.CaptureFixture[str]

ECM = [
    pack("ecm1240bin", "312345", {"volts": 121.1, "secs": 1000, "ch1_aws": 7200, "ch1_pws": 3600, "ch1_a": 0.25}),
    pack("ecm1240bin", "312345", {"volts": 121.2, "secs": 1010, "ch1_aws": 43_200, "ch1_pws": 3600, "aux1_ws": 3600}),
    pack("ecm1240bin", "312345", {"volts": 121.2, "secs": 4, "flag": 1, "ch1_aws": 1800}),
]


def line(time: float, stream: str, data: bytes) -> bytes:
    """Make one line of a capture."""
    return json.dumps({"time": time, "stream": stream, "hex": data.hex()}).encode() + b"\n"


def decode(capsys: Capture, *words: object) -> tuple[list[dict[str, Any]], str]:
    """Run `btcore decode --json`; return the objects and the last line of what it said."""
    assert main(["decode", "--json", *map(str, words)]) == OK
    out, err = capsys.readouterr()
    return [json.loads(each) for each in out.splitlines()], err.splitlines()[-1]


def capture_writer(tmp_path: Path) -> Write:
    """Return a function that writes a capture: plain bytes, or lines of (time, stream, bytes)."""

    def write(*content: bytes | tuple[float, str, bytes]) -> Path:
        path = tmp_path / "capture"
        path.write_bytes(b"".join(each if isinstance(each, bytes) else line(*each) for each in content))
        return path

    return write
