# SPDX-License-Identifier: GPL-3.0-or-later
"""Which meters were heard, and on which stream: as the plain formula says, whatever comes in which order."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from btcore import FORMATS, pack
from btcore.device import heard
from btcore.device.heard import HeardMeters
from btcore.records import Packet

FORM = FORMATS["ecm1240bin"]

NOON = datetime(2026, 6, 21, 12, tzinfo=UTC)

SERIALS = [f"10000{number}" for number in range(6)]

PACKETS = {serial: Packet(65, FORM, serial, pack(FORM.name, serial, {})) for serial in SERIALS}

STREAMS = st.sampled_from(["a", "b", "c"])


@given(
    steps=st.lists(
        st.tuples(st.just("add"), STREAMS, st.lists(st.sampled_from(SERIALS), min_size=1, max_size=4))
        | st.tuples(st.just("end"), STREAMS, st.just([])),
        max_size=30,
    )
)
def test_each_meter_is_on_the_stream_of_its_last_packet(steps: list[tuple[str, str, list[str]]]) -> None:
    """Until that stream ends, and as long as the meter is remembered; of the others nothing is left."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(heard, "MAX_METERS", 4)
        meters, plain = HeardMeters(), dict[str, str | None]()
        for what, stream, serials in steps:
            if what == "end":
                meters.end(stream)
                plain = {serial: None if on == stream else on for serial, on in plain.items()}
                continue
            meters.add(stream, [(PACKETS[serial], NOON) for serial in serials])
            for serial in [one for at, one in enumerate(serials) if one not in serials[at + 1 :]]:
                plain.pop(serial, None)
                plain[serial] = stream
                plain = dict(list(plain.items())[-4:])
            assert [(one.serial, one.stream) for one in meters] == list(reversed(plain.items()))
        assert [(one.serial, one.stream) for one in meters] == list(reversed(plain.items()))
        assert {stream for stream in plain.values() if stream} == set(meters._of_stream)
