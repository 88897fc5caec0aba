# SPDX-License-Identifier: GPL-3.0-or-later
"""Polling: meters with real-time mode off, several on one line, and what else happens on it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from helpers.golden_streams import recorded_packets

from btcore import Duration, pack
from btmon_serial.line import SerialLine

pytestmark = pytest.mark.servers

if TYPE_CHECKING:
    from conftest import Ear, Packets
    from servers.serial_line import Meters, Wire

    Listen = Callable[[SerialLine], Ear]
    Switch = Callable[..., Meters]

SOON = Duration(0.05)
HOUR = Duration(3600)


def test_two_ecms(wire: Wire, meters: Switch, listen: Listen) -> None:
    """Two ECMs on one line are asked in turn; of what they answer only the packets come in, each once."""
    packets = recorded_packets("ecm1240bin_two_devices")[:4]
    meters({"fc": packets[::2], "fd": packets[1::2]})
    ear = listen(SerialLine(port=wire.path, poll_interval=SOON, devices=["fc", "fd"], timeout=HOUR))
    sent = b"".join(packets)
    assert ear.hears(sent) == sent


def test_a_gem_among_two(wire: Wire, meters: Switch, listen: Listen) -> None:
    """Of two GEMs on one line the one that is named by its serial number is asked, and no other."""
    packets = recorded_packets("gem48ptbin_two_devices")[:4]
    on = meters({"21234": packets[::2], "30567": packets[1::2]})
    ear = listen(SerialLine(port=wire.path, poll_interval=SOON, devices=["01130567"]))
    sent = b"".join(packets[1::2])
    assert (ear.hears(sent), {name for name, _ in on.asked}) == (sent, {"30567"})


def test_the_only_gem(wire: Wire, meters: Switch, listen: Listen) -> None:
    """Where no meter is named, the one GEM on the line is asked, whatever its serial number."""
    sent = recorded_packets("gem48pbin_steady")[:2]
    meters({"": sent})
    ear = listen(SerialLine(port=wire.path, poll_interval=SOON))
    assert ear.hears(b"".join(sent)) == b"".join(sent)


def test_four_ecms_and_a_gem(wire: Wire, meters: Switch, listen: Listen) -> None:
    """Every device byte and a GEM on one line: each is asked in turn, and all packets come in."""
    ecms, gem = recorded_packets("ecm1240bin_two_devices")[:4], recorded_packets("gem48ptbin_steady")[0]
    on_line = {device: [packet] for device, packet in zip(("fc", "fd", "fe", "ff"), ecms, strict=True)}
    meters({**on_line, "21234": [gem]})
    devices = [*on_line, "01021234"]
    ear = listen(SerialLine(port=wire.path, poll_interval=HOUR, devices=devices, timeout=HOUR))
    sent = b"".join([*ecms, gem])
    assert ear.hears(sent) == sent


def test_a_gem_that_plays_five_ecms(wire: Wire, meters: Switch, listen: Listen) -> None:
    """The answer of a GEM that sends as five ECM-1240 is five packets: all come in before it is asked again."""
    five = [pack("ecm1240bin", f"30000{n}", {"secs": n}) for n in range(5)]
    on = meters({"": [b"".join(five)] * 2})
    ear = listen(SerialLine(port=wire.path, poll_interval=SOON))
    assert ear.hears(b"".join(five * 2)) == b"".join(five * 2)
    assert len(on.asked) >= 2


def test_a_line_with_an_echo(wire: Wire, meters: Switch, listen: Listen, packets_in: Packets) -> None:
    """On RS-485 with two wires, where all that is sent comes back, both kinds of meters are read."""
    ecms, gems = recorded_packets("ecm1240bin_steady")[:2], recorded_packets("gem48ptbin_steady")[:2]
    meters({"fc": ecms, "21234": gems}, echoes=True)
    ear = listen(SerialLine(port=wire.path, poll_interval=SOON, devices=["fc", "21234"], timeout=Duration(2)))
    ear.until(lambda: packets_in(ear.data) == [ecms[0], gems[0], ecms[1], gems[1]])


def test_a_meter_that_never_answers_delays_the_others_by_its_time_out(
    wire: Wire, meters: Switch, listen: Listen, caplog: pytest.LogCaptureFixture
) -> None:
    """With retries, the others are asked before it is asked again."""
    packet = recorded_packets("ecm1220bin_steady")[0]
    meters({"fe": [packet]})
    source = SerialLine(port=wire.path, poll_interval=HOUR, devices=["fd", "fe"], timeout=Duration(0.2), retries=10_000)
    assert listen(source).hears(packet) == packet
    assert "meter fd" not in caplog.text  # it is still asked again


def test_a_device_with_an_interval_of_its_own(wire: Wire, meters: Switch, listen: Listen) -> None:
    """It is asked by that one, and the others by `poll_interval`."""
    seldom, often = recorded_packets("ecm1220bin_steady")[:2]
    on = meters({"fc": [seldom] * 9, "fd": [often] * 9})
    source = SerialLine(
        port=wire.path, poll_interval=SOON, devices=["fc", "fd"], poll_intervals={"fc": HOUR}, timeout=HOUR
    )
    listen(source).hears(seldom + often * 3)
    assert [name for name, _ in on.asked].count("fc") == 1


def test_a_silent_meter(wire: Wire, meters: Switch, listen: Listen, caplog: pytest.LogCaptureFixture) -> None:
    """A meter that does not answer is logged once, also when the port is opened again, and the next one is asked."""
    first, second = recorded_packets("ecm1220bin_steady")[:2]
    meters({"fe": [first, second]})
    source = SerialLine(port=wire.path, poll_interval=Duration(1), devices=["fd", "fe"], timeout=Duration(0.2))
    heard = []
    for packet in (first, second):
        ear = listen(source)
        heard.append(ear.hears(packet))
        ear.stop()
    named = [record.levelname for record in caplog.records if "meter fd" in record.getMessage()]
    assert (heard, named) == ([first, second], ["WARNING"])


def test_noise(wire: Wire, meters: Switch, listen: Listen, packets_in: Packets) -> None:
    """Noise before the answers goes to the decoder with them, and costs no packet."""
    packets = recorded_packets("gem48ptbin_steady")[:2]
    noise = b"Alive\r\n\xfe\xff\x05\xfc"
    meters({"": packets}, noise)
    ear = listen(SerialLine(port=wire.path, poll_interval=SOON))
    sent = b"".join(noise + packet for packet in packets)
    assert (ear.hears(sent), packets_in(ear.data)) == (sent, packets)


def test_packets_between_the_answers(wire: Wire, meters: Switch, listen: Listen) -> None:
    """What a meter in real-time mode sends between the polls comes in too."""
    asked, *unasked = recorded_packets("ecm1240bin_steady")
    meters({"fc": [asked]})
    ear = listen(SerialLine(port=wire.path, poll_interval=HOUR, devices=["fc"]))
    ear.hears(asked)
    wire.send(b"".join(unasked))
    sent = asked + b"".join(unasked)
    assert ear.hears(sent) == sent


def test_a_packet_under_way(wire: Wire, meters: Switch, listen: Listen) -> None:
    """A packet that is just coming in when a meter is to be asked is let in whole, also one of acknowledge bytes."""
    answer, unasked = recorded_packets("ecm1240bin_steady")[0], b"\xfe\xff" + b"\xfc" * 600
    ear = listen(SerialLine(port=wire.path, poll_interval=HOUR, devices=["fc"]))
    wire.send(unasked[:300])
    ear.hears(unasked[:300])
    meters({"fc": [answer]})
    wire.send(unasked[300:])
    assert ear.hears(unasked + answer) == unasked + answer


def test_an_adapter_that_is_unplugged(wire: Wire, listen: Listen) -> None:
    """When the port vanishes while a meter is waited for, the source fails and says so."""
    ear = listen(SerialLine(port=wire.path, poll_interval=SOON, timeout=HOUR))
    wire.unplug()
    assert f"Retry: {wire.path} is gone" in ear.fails()


@pytest.mark.parametrize("timeout", [HOUR, SOON])
def test_stop(timeout: Duration, wire: Wire, listen: Listen) -> None:
    """A source stops within two seconds, in the middle of an answer that does not come as well as between two polls."""
    ear = listen(SerialLine(port=wire.path, poll_interval=HOUR, timeout=timeout))
    while not wire.hear():
        pass
    assert (ear.stop() < 2, ear.failure) == (True, "")


def test_the_schedule(wire: Wire, meters: Switch, listen: Listen) -> None:
    """Polls are a fixed time apart, however long the answers take."""
    sent = recorded_packets("ecm1220bin_steady")[:3]
    on = meters({"fc": sent})
    ear = listen(SerialLine(port=wire.path, poll_interval=Duration(1), devices=["fc"]))
    ear.hears(b"".join(sent))
    late = [(when - on.asked[0][1]) % 1 for _, when in on.asked]
    assert [offset < 0.2 or offset > 0.9 for offset in late] == [True] * 3
