# SPDX-License-Identifier: GPL-3.0-or-later
"""`btcore decode`: what other programs may rely on, and what a person at midnight reads."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from helpers.decode_command import ECM, Capture, Write, decode, line
from helpers.folders import GOLDEN

from btcore import FORMATS, pack
from btcore.cli import OK, UNAVAILABLE, USAGE, main
from btcore.text import plural

GEM = pack("gem48ptbin", "01021234", {"secs": 70, "ch48_aws": 5, "t1": 21.5, "t2": -5, "p4": 7})


def refused(capsys: Capture, *words: object) -> str:
    """Run `btcore decode` with words that it must refuse; return what it said, as one line."""
    with pytest.raises(SystemExit) as exit_:
        main(["decode", *map(str, words)])
    out, err = capsys.readouterr()
    assert (exit_.value.code, out) == (USAGE, "")
    return err.splitlines()[-1]


# --- for programs -----------------------------------------------------------------------------------------------------


def test_a_reading_is_an_object(capture: Write, capsys: Capture) -> None:
    """One object a reading, with exactly the documented keys, and every number of the packet under btmon's labels."""
    found, said = decode(capsys, capture((1_700_000_000.25, "a", ECM[0])))
    sent = {"volts": 121.1, "secs": 1000, "ch1_aws": 7200, "ch1_pws": 3600, "ch1_a": 0.25}
    values = {label: sent.get(label, 0) for label in FORMATS["ecm1240bin"].labels}
    expected = {"serial": "312345", "format": "ecm1240bin", "time": 1_700_000_000.25, "seconds": 1000, "values": values}
    assert [expected] == found
    assert said == "1 packet, 0 junk bytes, 0 damaged packets"


def test_a_gem_has_all_its_channels(capture: Write, capsys: Capture) -> None:
    """A 48-channel packet has 48 channels, pulses and temperatures; a missing sensor is null."""
    values = decode(capsys, capture(GEM))[0][0]["values"]
    assert {f"ch{i}_{kind}" for i in range(1, 49) for kind in ("aws", "pws", "a")} <= set(values)
    assert tuple(values[label] for label in ("ch48_aws", "p4", "t1", "t2", "t8")) == (5, 7, 21.5, -5.0, None)


def test_a_sample_is_an_object(capture: Write, capsys: Capture) -> None:
    """One object a sample, with exactly the documented keys and the calculated values."""
    found, said = decode(capsys, capture((100.0, "", ECM[0]), (110.5, "", ECM[1])), "--samples")
    assert list(found[0]) == ["serial", "start", "end", "seconds", "values"]
    assert [(s["serial"], s["start"], s["end"], s["seconds"]) for s in found] == [("312345", 100.0, 110.5, 10)]
    ways = {"w": 3600.0, "pw": 3600.0, "nw": 0.0, "wh": 10.0, "pwh": 11.0, "nwh": 1.0, "dwh": 10.0}
    ways |= {"wh_total": 10.0, "pwh_total": 11.0, "nwh_total": 1.0}
    assert {f"ch1_{kind}": value for kind, value in ways.items()} == {
        label: value for label, value in found[0]["values"].items() if label.startswith("ch1")
    }
    assert tuple(found[0]["values"][f"aux1_{kind}"] for kind in ("w", "wh", "dwh")) == (360.0, 1.0, 1.0)
    assert set(found[0]["values"]) == {
        *(f"{name}_{kind}" for name in ("ch1", "ch2") for kind in ways),
        *(f"aux{i}_{kind}" for i in range(1, 6) for kind in ("w", "wh", "dwh", "wh_total")),
    }
    assert said == "2 packets, 0 junk bytes, 0 damaged packets"


def test_a_sample_over_a_restart_has_nulls(capture: Write, capsys: Capture) -> None:
    """After a restart, seconds and power are null, and energy is what was counted since."""
    found, _ = decode(capsys, capture(*ECM[1:]), "--samples")
    assert (found[0]["seconds"], found[0]["values"]["ch1_w"], found[0]["values"]["ch1_dwh"]) == (None, None, 0.5)


@pytest.mark.parametrize(("polarity", "watts"), [("brultech", 3600.0), ("btmon", -3600.0)])
def test_the_polarity_may_be_chosen(capture: Write, capsys: Capture, polarity: str, watts: float) -> None:
    """`--polarity` says which sign consumption has."""
    found, _ = decode(capsys, capture(*ECM), "--samples", "--polarity", polarity)
    assert watts == found[0]["values"]["ch1_w"]


def test_streams_do_not_mix(capture: Write, capsys: Capture) -> None:
    """Halves of packets on several streams, in turn, are whole packets, each at the time of its last byte."""
    lines = [
        (10.0, "a", ECM[0][:30]),
        (11.0, "b", GEM[:300]),
        (12.0, "a", ECM[0][30:] + ECM[1][:9]),
        (13.0, "b", GEM[300:]),
        (14.0, "a", ECM[1][9:]),
    ]
    found, said = decode(capsys, capture(*lines))
    assert [(each["serial"], each["time"]) for each in found] == [
        ("312345", 12.0),
        ("01021234", 13.0),
        ("312345", 14.0),
    ]
    assert said == "3 packets, 0 junk bytes, 0 damaged packets"


def test_samples_are_those_of_each_meter(capture: Write, capsys: Capture) -> None:
    """Two meters on one stream have samples of their own."""
    other = [pack("ecm1220bin", "420467", {"secs": secs, "ch2_aws": secs}) for secs in (5000, 5010)]
    found, _ = decode(capsys, capture(ECM[0], other[0], ECM[1], other[1]), "--samples")
    assert [(each["serial"], each["values"]["ch1_w"], each["values"]["ch2_w"]) for each in found] == [
        ("312345", 3600.0, 0.0),
        ("420467", 0.0, 1.0),
    ]


def test_damage_is_counted_and_no_failure(capture: Write, capsys: Capture) -> None:
    """Damaged packets and junk are counted in the last line, whatever else is found."""
    spoilt = GEM[:-1] + bytes([GEM[-1] ^ 1])
    found, said = decode(capsys, capture(b"junk!", spoilt, ECM[0], ECM[1][:40]))
    assert [each["serial"] for each in found] == ["312345"]
    assert said == f"1 packet, {5 + len(GEM) + 40} junk bytes, 2 damaged packets"


NO_PACKET = {
    "nothing": (b"", "it is empty"),
    "a configuration": (b"[source.panel]\n", "text in no format that is known here. Expected a capture"),
    "a GEM's text": (b"n=01000010&m=4&wh_1=223.19&p_1", "text in the GEM's format ASCII with Wh (2). Set"),
    "a GEM's request": (
        json.dumps({"time": 1, "stream": "a", "hex": b"GET /?SN=01000010&SC=1&V=1149 HTTP/1.1".hex()}).encode(),
        "text in the GEM's format HTTP GET (3). Set the GEM's packet format to BIN48-NET-TIME (4)",
    ),
    "keep-alive": (b"$$$", "only the keep-alive of a GEM ($ or Alive). Its real-time mode is off"),
    "an array": (b"[\n  1,\n  2\n]\n" * 50, "JSON, but not the lines of a capture. Expected lines such as"),
    "an array of records": (
        b'[\n {"time": 1, "hex": "feff05"},\n {"time": 2, "hex": "' + GEM.hex().encode() + b'"}\n]\n',
        "JSON, but not the lines of a capture. Expected lines such as",
    ),
    "an object with many numbers": (
        json.dumps({"a": [1] * 900, "b": 12}, indent=2).encode(),
        "JSON, but not the lines of a capture. Expected lines such as",
    ),
    "an object over several lines": (b'{\n  "a": 1,\n  "b": 2\n}\n', "JSON, but not the lines of a capture. Expected"),
    "an object that begins a line": (b'{"a": 1,\n "b": 2}\n', "JSON, but not the lines of a capture. Expected"),
    "objects of another kind": (b'{"a": 1}\n{"a": 2}\n', "JSON, but not the lines of a capture. Expected"),
    "packed": (b"\x1f\x8b\x08\0\0\0\0\0", "a packed file (gzip, zip, 7z, xz or bzip2). Unpack it first"),
    "a picture": (b"\x89PNG\r\n\x1a\n\0\0\0", "a picture or a document. Expected what the meter sent"),
    "a web page": (b"HTTP/1.1 200 OK\r\n\r\n<html>", "a web page, or a web server's answer. This is the gateway's own"),
    "hex of something else": (b"00 01 02 03 04 05 06 07 08 09", "bytes that make no sense. Expected a capture"),
    "damaged packets": (GEM[:-1] + b"?", "packets, but all of them damaged. Bytes are lost or changed on the way"),
    "the beginning of a packet": (GEM[:99], "the beginning of a packet, whose rest never came. The connection is cut"),
}


@pytest.mark.parametrize(("content", "expected"), NO_PACKET.values(), ids=NO_PACKET)
def test_a_file_without_packets_is_told_as_what_it_is(
    capture: Write, capsys: Capture, content: bytes, expected: str
) -> None:
    """Where there is no packet at all, one line says what the file is and what to do, and the exit code is 69."""
    path = capture(content)
    assert main(["decode", "--json", str(path)]) == UNAVAILABLE
    out, err = capsys.readouterr()
    told, counted = err.splitlines()
    assert (out, told[: len(expected) + len(f"no packet in {path}: ")]) == ("", f"no packet in {path}: {expected}")
    assert counted.startswith("0 packets, ")


def test_packets_of_a_format_that_is_left_out_are_named(capture: Write, capsys: Capture) -> None:
    """Where --formats leaves out what the capture holds, it is told which format that is."""
    for path in (capture(GEM), capture((1.0, "a", GEM))):
        assert main(["decode", "--formats", "gem48pbin,ecm1240bin", str(path)]) == UNAVAILABLE
        expected = 'packets of gem48ptbin, which formats = ["gem48pbin", "ecm1240bin"] leaves out. Add it to --formats'
        assert capsys.readouterr().err.splitlines()[0] == f"no packet in {path}: {expected}"


def test_much_damage_is_counted(capture: Write, capsys: Capture) -> None:
    """Of many lines that cannot be read, the first few are told, and the others counted."""
    assert main(["decode", str(capture((1.0, "a", ECM[0]), *[b"{oops\n"] * 20))]) == OK
    said = capsys.readouterr().err.splitlines()
    assert [line.split(": ")[1].split(" (")[0] for line in said[:5]] == ["not a line of a capture"] * 5
    assert said[5].endswith(": 15 more of these")
    assert len(said) == 7


REPORTED = GOLDEN / "reported"


@pytest.mark.parametrize(
    ("name", "count"), [("hex.txt", 3), ("hexsp.txt", 3), ("xxd.txt", 1), ("split.pcap", 3), ("telnet_doubled.bin", 40)]
)
def test_what_owners_attach_to_reports_is_decoded(capsys: Capture, name: str, count: int) -> None:
    """Hex as text, a dump, a recording of a network, and what came through a telnet port: every packet is found."""
    found, said = decode(capsys, REPORTED / name)
    assert [each["serial"] for each in found] == ["01000777"] * count
    assert said.startswith(f"{plural(count, 'packet')}, ")


def test_a_recording_of_a_network_keeps_its_times(capsys: Capture) -> None:
    """Each packet has the time at which its last segment was recorded."""
    found, _ = decode(capsys, REPORTED / "split.pcap")
    start = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
    assert [each["time"] for each in found] == [start, start + 10, start + 20]


def test_what_a_telnet_port_did_is_told_once(capsys: Capture) -> None:
    """That every FF came twice is told in one line, with what to do."""
    assert main(["decode", "--json", str(REPORTED / "telnet_doubled.bin")]) == OK
    (told, _) = capsys.readouterr().err.splitlines()
    assert "every FF comes twice" in told
    assert "Set the gateway's port to raw TCP, not telnet" in told


def test_a_damaged_line_is_told_and_passed_over(capture: Write, capsys: Capture) -> None:
    """A line that is no JSON is told with its number, and the others are read."""
    path = capture((1.0, "a", ECM[0][:20]), b"{oops\n", (2.0, "a", ECM[0][20:]))
    assert main(["decode", "--json", str(path)]) == OK
    out, err = capsys.readouterr()
    assert json.loads(out)["time"] == 2.0
    assert err.startswith(f"{path}:2: not a line of a capture")
    assert err.endswith("\n1 packet, 0 junk bytes, 0 damaged packets\n")


def test_streams_without_end_are_bounded(capture: Write, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of more streams than can be kept, the one unused for longest is closed: only what it had begun is lost."""
    monkeypatch.setattr("btcore.cli.decode.MAX_STREAMS", 2)
    lines = [(1.0, name, ECM[0][:30]) for name in "abac"] + [(2.0, name, ECM[0][30:]) for name in "cab"]
    lines[2] = (1.0, "a", ECM[0][30:] + ECM[0][:30])
    found, said = decode(capsys, capture(*lines))
    assert [each["time"] for each in found] == [1.0, 2.0, 2.0]
    assert said == f"3 packets, {len(ECM[0])} junk bytes, 1 damaged packet"


# --- times of plain bytes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("start", ["1782036000", "2026-06-21T10:00", "2026-06-21T12:00:00+02:00", "2026-06-21 10:00Z"])
def test_plain_bytes_begin_when_one_says(capture: Write, capsys: Capture, start: str) -> None:
    """`--start` is seconds since 1970 or ISO 8601, UTC where it names no zone; packets are ten seconds apart."""
    found, _ = decode(capsys, capture(*ECM), "--start", start)
    assert [each["time"] for each in found] == [1_782_036_000.0, 1_782_036_010.0, 1_782_036_020.0]


def test_plain_bytes_are_an_interval_apart(capture: Write, capsys: Capture) -> None:
    """`--interval` is the seconds from packet to packet, junk between them or not."""
    found, _ = decode(capsys, capture(ECM[0], bytes(1000), ECM[1]), "--start", "0", "--interval", "2.5")
    assert [each["time"] for each in found] == [0.0, 2.5]


@pytest.mark.parametrize(
    ("text", "seconds"), [("10s", 10), ("5m", 300), ("250ms", 0.25), ("1.5h", 5400), ("1d", 86400)]
)
def test_an_interval_may_have_its_unit(capture: Write, capsys: Capture, text: str, seconds: float) -> None:
    """`--interval` takes what a configuration takes."""
    found, _ = decode(capsys, capture(*ECM[:2]), "--start", "0", "--interval", text)
    assert [each["time"] for each in found] == [0.0, seconds]


def test_plain_bytes_begin_when_the_file_was_changed(capture: Write, capsys: Capture) -> None:
    """Without `--start`, the first packet has the time of the file, so that the same comes out again."""
    path = capture(ECM[0])
    os.utime(path, (0, 1_700_000_000.5))
    assert [each["time"] for each in decode(capsys, path)[0]] == [1_700_000_000.5]


def test_lines_keep_their_times(capture: Write, capsys: Capture) -> None:
    """What was recorded with times keeps them, whatever else is said."""
    found, _ = decode(capsys, capture((5.0, "", ECM[0])), "--start", "0", "--interval", "1")
    assert [each["time"] for each in found] == [5.0]


WRONG = {
    "--start": [
        "nan",
        "inf",
        "-5",
        "1e30",
        "9999-12-31",
        "1969-12-31",
        "2200-01-01",
        "0001-01-01T00:00+14:00",
        "noon",
        "",
    ],
    "--interval": ["nan", "inf", "-1", "86401", "1e300", "2d", "5 minutes", "m", ""],
}


@pytest.mark.parametrize(("option", "value"), [(option, value) for option, values in WRONG.items() for value in values])
def test_a_time_that_cannot_be_meant_is_a_mistake(capture: Write, capsys: Capture, option: str, value: str) -> None:
    """Times and intervals that are none, or beyond all sense, are told as usage errors: what was found and expected."""
    said = refused(capsys, capture(ECM[0]), f"{option}={value}")
    assert said.startswith(f"btcore decode: error: argument {option}: {value!r} is not a")
    assert "expected seconds" in said


# --- formats ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("formats", ["gem48ptbin", "ecm1220bin, gem48ptbin,"])
def test_formats_may_be_restricted(capture: Write, capsys: Capture, formats: str) -> None:
    """`--formats` finds only those; the others' packets are junk."""
    found, said = decode(capsys, capture(ECM[0], GEM), "--formats", formats)
    assert [each["format"] for each in found] == ["gem48ptbin"]
    assert said == f"1 packet, {len(ECM[0])} junk bytes, 0 damaged packets"


def test_an_unknown_format_is_a_mistake(capture: Write, capsys: Capture) -> None:
    """A format that does not exist is told, with those that do."""
    said = refused(capsys, capture(ECM[0]), "--formats", "ecm1240,gem48pbin")
    assert f"argument --formats: no packet format ecm1240; there are {', '.join(FORMATS)}" in said


# --- for people -------------------------------------------------------------------------------------------------------


def test_a_missing_file_is_unavailable(tmp_path: Path, capsys: Capture) -> None:
    """A file that is not there is told in one line, with exit code 69."""
    path = tmp_path / "nothing.bin"
    assert main(["decode", str(path)]) == UNAVAILABLE
    assert capsys.readouterr() == ("", f"btcore: cannot read {path}: No such file or directory\n")


def test_a_directory_is_unavailable(tmp_path: Path, capsys: Capture) -> None:
    """What cannot be read is told in one line, with exit code 69."""
    assert main(["decode", str(tmp_path)]) == UNAVAILABLE
    assert capsys.readouterr() == ("", f"btcore: cannot read {tmp_path}: Is a directory\n")


def test_readings_as_text(capture: Write, capsys: Capture) -> None:
    """Without `--json` a reading is a line of who and when, and its values that are not 0, four a line."""
    packet = pack("ecm1240bin", "312345", {"volts": 121.1, "secs": 1000, "ch1_aws": 7200, "ch1_a": 0.25, "aux5_ws": 9})
    assert main(["decode", str(capture(packet, GEM)), "--start", "2026-06-21"]) == OK
    head, *rows, summary = "".join(capsys.readouterr()).splitlines()
    assert head == "2026-06-21 00:00:00Z 312345 ecm1240bin"
    assert rows == [
        "      volts 121.1              secs 1000            ch1_aws 7200              ch1_a 0.25",
        "    aux5_ws 9",
        "2026-06-21 00:00:10Z 01021234 gem48ptbin",
        "       secs 70             ch48_aws 5                    p4 7                    t1 21.5",
        "         t2 -5                   t3 none                 t4 none                 t5 none",
        "         t6 none                 t7 none                 t8 none",
    ]
    assert summary == "2 packets, 0 junk bytes, 0 damaged packets"


def test_samples_as_text(capture: Write, capsys: Capture) -> None:
    """A sample tells from when to when, and how long that was by the meter, or that it restarted."""
    assert main(["decode", str(capture(*ECM)), "--samples", "--start", "2026-06-21T23:59:55"]) == OK
    heads = [row for row in capsys.readouterr().out.splitlines() if row[0] != " "]
    assert heads == [
        "2026-06-21 23:59:55Z to 2026-06-22 00:00:05Z 312345 10 s",
        "2026-06-22 00:00:05Z to 2026-06-22 00:00:15Z 312345 restarted",
    ]


def test_a_small_number_has_no_sign_in_text(capture: Write, capsys: Capture) -> None:
    """A value that is rounded to 0 is shown as 0, not as -0."""
    series = [pack("ecm1220bin", "312345", {"secs": secs, "ch1_aws": secs // 9}) for secs in (1, 10)]
    assert main(["decode", str(capture(*series)), "--samples", "--polarity", "btmon"]) == OK
    assert " ch1_wh 0 " in " ".join(capsys.readouterr().out.split())


# --- as a process -----------------------------------------------------------------------------------------------------

BTCORE = [sys.executable, "-m", "btcore", "decode"]


@pytest.mark.servers
def test_standard_input_is_a_file_too() -> None:
    """`-` reads what is piped in, of either kind."""
    for content in (ECM[0], line(7.0, "", ECM[0])):
        made = subprocess.run([*BTCORE, "-", "--json"], input=content, capture_output=True, check=True)
        assert json.loads(made.stdout)["serial"] == "312345"


@pytest.mark.servers
def test_a_reader_that_goes_away_is_no_failure(capture: Write) -> None:
    """`btcore decode FILE | head -1` shows its line and nothing else, and ends well."""
    path = capture(ECM[0] * 2000)
    with subprocess.Popen([*BTCORE, str(path), "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert json.loads(process.stdout.readline())["serial"] == "312345"
        process.stdout.close()
        assert (process.stderr.read(), process.wait(timeout=30)) == (b"", OK)


def test_the_times_are_utc(capture: Write, capsys: Capture) -> None:
    """Seconds since 1970 of an object are those of the time that the text shows."""
    found, _ = decode(capsys, capture(ECM[0]), "--start", "2026-06-21T10:00")
    assert datetime(2026, 6, 21, 10, tzinfo=UTC).timestamp() == found[0]["time"]


# --- what gives no sample ---------------------------------------------------------------------------------------------


def test_what_is_without_a_sample_is_told(capture: Write, capsys: Capture) -> None:
    """A packet that its meter cannot have come to is told on stderr, with what its serial number may have."""
    absurd = pack("ecm1240bin", "312345", {"secs": 400_000, "ch1_aws": 5 * 10**10})
    path = capture((1_700_000_000, "a", ECM[0]), (1_700_000_060, "a", absurd), (1_700_000_061, "a", absurd))
    assert main(["decode", "--json", "--samples", str(path)]) == OK
    out, err = capsys.readouterr()
    assert out == ""
    told, without, _ = err.splitlines()
    assert told.startswith("meter 312345: after seconds 1000 of 2023-11-14 22:13:20 came seconds 400000 of")
    assert without == "without a sample: 1 new baseline, 1 duplicate"
