# SPDX-License-Identifier: GPL-3.0-or-later
"""The lines of `btcore device`."""

import pytest

from btcore.device.report import list_lines


@pytest.mark.parametrize(
    ("heard", "heard_for", "said"),
    [
        ("2026-06-21T06:00:00+00:00", 90.0, "01000101  heard 1 min ago"),
        ("2026-06-21T06:00:00+00:00", -980.0, "01000101  heard at 2026-06-21"),
        (None, None, "01000101"),
    ],
)
def test_when_a_meter_was_heard_is_never_a_negative_time(heard: str | None, heard_for: float | None, said: str) -> None:
    """A recording has times of its own, and the clock of this computer may be set back."""
    meter = {"serial": "01000101", "family": "", "format": "", "stream": "", "clock_error": None}
    source = {
        "name": "rec",
        "plugin": "file",
        "state": "ok",
        "meters": [{**meter, "heard": heard, "heard_for": heard_for}],
    }
    assert list(list_lines([source]))[1].strip().startswith(said)
