# SPDX-License-Identifier: GPL-3.0-or-later
"""The parsers that `nox -s fuzz` fuzzes, with a few inputs each: the suite finds a fault that is easily found."""

from importlib import import_module

import pytest
from fuzz.run import ROOMS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

NAMES = [name for names in ROOMS.values() for name in names]
PARSERS = {name: parser for room in ROOMS for name, parser in import_module(f"fuzz.{room}").PARSERS.items()}


def test_each_parser_is_fuzzed() -> None:
    """None of a room is left out by `nox -s fuzz`."""
    assert sorted(PARSERS) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_what_a_parser_is_made_for(name: str) -> None:
    """What must hold of any bytes holds of each seed."""
    for seed in PARSERS[name].seeds:
        PARSERS[name].check(seed)


@pytest.mark.parametrize("name", NAMES)
def test_any_bytes(name: str) -> None:
    """It holds of bytes that are put into a seed, too."""

    @settings(max_examples=40, deadline=None, suppress_health_check=[*HealthCheck])
    @given(st.integers(0, 3 * len(PARSERS[name].seeds)), st.binary(max_size=60))
    def check(choice: int, data: bytes) -> None:
        PARSERS[name](bytes([choice % 256]) + data)

    check()
