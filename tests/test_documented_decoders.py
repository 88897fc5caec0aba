# SPDX-License-Identifier: GPL-3.0-or-later
"""The decoders of docs/writing-a-plugin.md, as they stand on the page."""

import re
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import attrs
import pytest
from helpers.example_meters import METERS_FOLDER, acme_packet, example_streams, sunline_line
from hypothesis import given
from hypothesis import strategies as st

from btcore import Channel, Format
from btcore.decode.brultech import Brultech
from btcore.decode.decoders import Decoders
from btcore.decode.framing import Stream
from btcore.testing import conforms

PAGE = (Path(__file__).parents[1] / "docs" / "writing-a-plugin.md").read_text()
NOON = datetime(2026, 6, 21, 12, tzinfo=UTC)
CLASSES = {"acme": "Acme", "sunline": "Sunline"}


def code(name: str) -> str:
    """Return the example of a name, as it stands on the page."""
    found = re.search(rf"`btmon_{name}\.py`[^`]*:?[^`]*```python\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None, name
    return found[1]


def made(name: str) -> Any:  # noqa: ANN401 - a stranger's class
    """Run the example of a name; return its class."""
    space: dict[str, Any] = {"__name__": f"btmon_{name}"}
    exec(compile(code(name), f"btmon_{name}.py", "exec"), space)
    return space[CLASSES[name]]


ACME, SUNLINE = made("acme"), made("sunline")


def stream() -> Stream:
    """Make the stream of a line with all kinds of meters on it."""
    return Decoders([Brultech(), ACME(), SUNLINE()]).stream()


@pytest.mark.parametrize("name", CLASSES)
def test_the_page_shows_what_is_installed_in_other_tests(name: str) -> None:
    """The examples that go the whole way are those of the page, letter for letter, behind the line of the licence."""
    licence, _, text = (METERS_FOLDER / f"btmon-{name}" / f"btmon_{name}.py").read_text().partition("\n")
    assert licence.startswith("# SPDX-License-Identifier: ")
    assert code(name) == text


def test_they_conform() -> None:
    """Both do what every decoder has to."""
    conforms(ACME, packets=[acme_packet(7, total=5), acme_packet(8, total=9)])
    conforms(SUNLINE, packets=[sunline_line(8, 11, volts="-"), sunline_line(18, 12)])


@pytest.mark.parametrize("cls", [Format, Channel])
def test_every_field_is_described(cls: type) -> None:
    """The page has each field of a format and of a channel."""
    fields = [field.name for field in attrs.fields(cls) if field.init]
    assert [name for name in fields if f"`{name}`" not in PAGE] == []


def test_their_packets_are_read() -> None:
    """Numbers, serial number and format of each, also without its sensor."""
    raw = acme_packet(7, total=5, back=3, pv1=9, degrees=-15) + sunline_line(8, 11, volts="-") + acme_packet(8)
    found = [(one.format.name, one.serial, one.format.numbers(one.raw)) for one, _ in stream().feed(raw, NOON)]
    assert found == [
        ("acme", "4242", (7, 230.5, 5, 3, 9, -1.5)),
        ("sunline", "77", (8, None, 11)),
        ("acme", "4242", (8, 230.5, 0, 0, 0, None)),
    ]


@given(
    st.lists(st.integers(0, 400), max_size=8),
    st.sampled_from([b"", b"\xac", b"SUN", b"SUN,4242,1,", b"\xac\x3ejunk\n"]),
)
def test_any_split_and_any_junk_gives_the_same_packets(cuts: list[int], junk: bytes) -> None:
    """Whole packets are found however the bytes come, and junk before them does not hide them."""
    data = junk + b"\n" + b"".join(example_streams())
    places = sorted({0, *(cut for cut in cuts if cut < len(data)), len(data)})
    whole = stream()
    parts = [data[one:other] for one, other in pairwise(places)]
    found = [packet for part in parts for packet, _ in whole.feed(part, NOON)]
    assert [packet.format.name for packet in found] == ["acme"] * 3 + ["sunline"] * 3


def test_what_is_damaged_costs_only_itself() -> None:
    """A packet with a wrong checksum, and a line that is none, are counted; those after them are found."""
    spoilt = bytearray(acme_packet(1))
    spoilt[9] ^= 1
    lines = stream()
    found = lines.feed(
        bytes(spoilt) + b"SUN,77,x\r\n" + b"SUN,".ljust(60, b"9") + b"\n" + acme_packet(2) + sunline_line(3), NOON
    )
    assert [one.format.name for one, _ in found] == ["acme", "sunline"]
    assert lines.counts.damaged == 3
