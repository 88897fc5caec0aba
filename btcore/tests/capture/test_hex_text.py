# SPDX-License-Identifier: GPL-3.0-or-later
"""Hex as text: whatever tool or person wrote bytes down, the same bytes are read, and nothing else is taken for it."""

import codecs
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.folders import GOLDEN
from helpers.property_tests import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from btcore import CaptureError, pack, read_capture
from btcore.capture.hex_text import MAX_PART, MAX_REPEATED

GEM = pack("gem48pbin", "01000777", {"secs": 5, "volts": 120, "ch1_aws": 0xABCDEFABCD, "ch2_pws": 0xFEFFFEFF})
DATA = GEM * 3
quick = settings(max_examples=examples(100), deadline=None)


def shown(data: bytes) -> str:
    """Show bytes as text, as a dump does beside them: here, text that looks like hex."""
    return "".join("abcdef 0"[byte % 8] for byte in data)


def rows(data: bytes, size: int = 16) -> list[tuple[int, bytes]]:
    """Cut bytes into rows, each with its offset."""
    return [(at, data[at : at + size]) for at in range(0, len(data), size)]


def folded(data: bytes, show: Callable[[int, bytes], str], last: str) -> str:
    """Dump bytes with a * for rows that are as the one before."""
    lines: list[str] = []
    before = b""
    for at, row in rows(data):
        if row != before:
            lines.append(show(at, row))
        elif lines[-1] != "*":
            lines.append("*")
        before = row
    return "\n".join([*lines, last]) + "\n"


def xxd(data: bytes, group: int = 2, size: int = 16) -> str:
    """Dump as xxd does."""
    width = {1: 47, 2: 39, 4: 35}[group] if size == 16 else 79
    lines = [f"{at:08x}: {row.hex(' ', -group):<{width}}  {shown(row)}" for at, row in rows(data, size)]
    return "\n".join(lines) + "\n"


def hexdump_c(data: bytes) -> str:
    """Dump as `hexdump -C` does."""
    return folded(
        data,
        lambda at, row: f"{at:08x}  {row[:8].hex(' ')}  {row[8:].hex(' '):<23}  |{shown(row)}|",
        f"{len(data):08x}",
    )


def words(row: bytes) -> str:
    """Show bytes as words of two, the low byte first."""
    return " ".join(f"{row[at + 1]:02x}{row[at]:02x}" for at in range(0, len(row) - 1, 2))


def wireshark(data: bytes) -> str:
    """Dump as Wireshark copies it."""
    return "".join(f"{at:04x}   {row[:8].hex(' ')}  {row[8:].hex(' '):<23}   {shown(row)}\n" for at, row in rows(data))


EVEN = DATA + b"\0"  # words come in twos

WRITTEN = {
    "a line": (DATA, DATA.hex()),
    "a line, capitals": (DATA, DATA.hex().upper() + "\n"),
    "a packet a line": (DATA, f"{GEM.hex()}\n" * 3),
    "after a prefix": (DATA, "0x" + DATA.hex()),
    "wrapped in the middle of bytes": (DATA, "\n".join(DATA.hex()[at : at + 79] for at in range(0, 2 * len(DATA), 79))),
    "wrapped, with Windows' line ends": (
        DATA,
        "\r\n".join(DATA.hex()[at : at + 60] for at in range(0, 2 * len(DATA), 60)),
    ),
    "apart": (DATA, DATA.hex(" ")),
    "apart, wrapped": (DATA, "\n\n".join(row.hex(" ").upper() for _, row in rows(DATA))),
    "without leading zeros": (DATA, " ".join(f"{byte:x}" for byte in DATA)),
    "C": (DATA, "{" + ", ".join(f"0x{byte:02X}" for byte in DATA) + "};"),
    "a program's escapes": (DATA, '"' + "".join(f"\\x{byte:02x}" for byte in DATA) + '"'),
    "colons": (DATA, DATA.hex(":")),
    "a list": (DATA, str([f"{byte:02x}" for byte in DATA])),
    "a log": (DATA, f"2026-01-02 10:00:00,123 DEBUG panel received: {GEM.hex(' ')}\n" * 3),
    "a log with times alone": (DATA, f"[10:00:00.123] {GEM.hex()}\n" * 3),
    "with comments": (DATA, f"# of the panel\n\n{DATA.hex()}\n// the end\n"),
    "xxd": (DATA, xxd(DATA)),
    "xxd -g1": (DATA, xxd(DATA, 1)),
    "xxd -g4": (DATA, xxd(DATA, 4)),
    "xxd -c 32": (DATA, xxd(DATA, 2, 32)),
    "hexdump -C": (DATA, hexdump_c(DATA)),
    "hexdump": (EVEN, folded(EVEN, lambda at, row: f"{at:07x} {words(row)}", f"{len(EVEN):07x}")),
    "od -x": (EVEN, folded(EVEN, lambda at, row: f"{at:07o} {words(row)}", f"{len(EVEN):07o}")),
    "od -tx1": (DATA, folded(DATA, lambda at, row: f"{at:07o} {row.hex(' ')}", f"{len(DATA):07o}")),
    "od -Ax -tx1": (DATA, folded(DATA, lambda at, row: f"{at:06x} {row.hex(' ')}", f"{len(DATA):06x}")),
    "od -Ad -tx1": (DATA, folded(DATA, lambda at, row: f"{at:07d} {row.hex(' ')}", f"{len(DATA):07d}")),
    "Wireshark": (DATA, wireshark(DATA)),
    "tcpdump": (DATA, "".join(f"\t0x{at:04x}:  {row.hex(' ', -2):<39}  {shown(row)}\n" for at, row in rows(DATA))),
    "two dumps": (GEM * 2, xxd(GEM) * 2),
}


def read(path: Path) -> tuple[bytes, list[str]]:
    """Read a capture: all its bytes, and what was said about damage."""
    damaged: list[CaptureError] = []
    data = b"".join(chunk.data for chunk in read_capture(path, damaged=damaged.append))
    return data, [str(error).removeprefix(f"{path}:") for error in damaged]


Written = Callable[[str | bytes], tuple[bytes, list[str]]]


@pytest.fixture
def written(tmp_path: Path) -> Written:
    """Return a function that writes a file and reads it."""

    def write(content: str | bytes) -> tuple[bytes, list[str]]:
        path = tmp_path / "capture"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return read(path)

    return write


@pytest.mark.parametrize(("data", "text"), WRITTEN.values(), ids=WRITTEN)
def test_every_way_of_writing_bytes_down_is_read(written: Written, data: bytes, text: str) -> None:
    """What people and tools write is read as the bytes that it stands for, and there is nothing to complain of."""
    assert written(text) == (data, [])


@pytest.mark.parametrize("name", ["hex.txt", "hexsp.txt", "xxd.txt"])
def test_reported_files_are_read(name: str) -> None:
    """The files that were attached to a report are whole packets."""
    data, said = read(GOLDEN / "reported" / name)
    assert (data[:3], len(data) % 619, said) == (b"\xfe\xff\x05", 0, [])


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
@pytest.mark.parametrize("text", [DATA.hex(" "), xxd(DATA)], ids=["apart", "xxd"])
def test_a_text_that_windows_wrote_is_read(written: Written, text: str, encoding: str) -> None:
    """A text that begins with a mark of its encoding, as PowerShell and Notepad write it, is read."""
    assert written(text.encode(encoding)) == (DATA, [])


def test_the_other_order_of_utf_16_is_read(written: Written) -> None:
    """UTF-16 of either order of bytes is read."""
    assert written(codecs.BOM_UTF16_BE + DATA.hex(" ").encode("utf-16-be")) == (DATA, [])


@quick
@given(st.binary(min_size=20, max_size=300), st.integers(2, 90), st.sampled_from(["", " ", ":", ", "]))
def test_any_bytes_in_any_width(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, width: int, between: str
) -> None:
    """Any bytes, wrapped anywhere between digits or bytes, are read."""
    text = between.join(f"{byte:02x}" for byte in data)
    step = width if between == "" else width * (2 + len(between))
    path = tmp_path_factory.getbasetemp() / "hex"
    path.write_text("\n".join(text[at : at + step] for at in range(0, len(text), step)))
    assert read(path)[0] == data


@quick
@given(st.lists(st.sampled_from([bytes(16), b"\xff" * 16, b"abcdefgh" * 2, GEM[:16]]), min_size=1, max_size=12))
def test_rows_that_are_left_out_are_put_back(tmp_path_factory: pytest.TempPathFactory, parts: list[bytes]) -> None:
    """However many rows a dump leaves out because they are the same, they are read."""
    path = tmp_path_factory.getbasetemp() / "dump"
    data = b"".join(parts)
    path.write_text(hexdump_c(data))
    assert read(path) == (data, [])


@pytest.mark.parametrize("text", [DATA.hex(" ") * 200, DATA.hex() * 200, (DATA.hex(" ") + "\n") * 300])
def test_a_huge_line_is_read_in_parts(written: Written, text: str) -> None:
    """A line longer than what is read at once loses nothing."""
    assert len(text) > 2 * MAX_PART
    assert written(text)[0] == bytes.fromhex(text.replace(" ", ""))


DAMAGED = {
    "words between": (f"{GEM.hex()}\nno more here\n{GEM.hex()}\n", GEM * 2, ["2: not hex"]),
    "a digit lost": (
        f"{GEM.hex()[:-1]}\n{GEM.hex()}\n",
        GEM[:-1] + GEM,
        ["2: a digit is missing in the line before"],
    ),
    "rows that are missing": (
        "".join(line for at, line in enumerate(xxd(DATA).splitlines(keepends=True)) if at not in (3, 4)),
        DATA[:48] + DATA[80:],
        ["4: expected the offset 0x30, found 0x50: bytes are missing"],
    ),
    "a * without offsets": (
        f"{GEM[:16].hex(' ')}\n*\n{GEM[16:].hex(' ')}\n",
        GEM,
        ["2: * leaves out lines, and there are no offsets (hexdump -v shows all)"],
    ),
    "a * for far too much": (
        f"{0:08x}  {bytes(16).hex(' ')}\n*\n{2 * MAX_REPEATED:08x}  {GEM[:16].hex(' ')}\n",
        bytes(16) + GEM[:16],
        [f"3: expected the offset 0x10, found {2 * MAX_REPEATED:#x}: bytes are missing"],
    ),
}


@pytest.mark.parametrize(("text", "data", "said"), DAMAGED.values(), ids=DAMAGED)
def test_damage_is_told_with_its_line(written: Written, text: str, data: bytes, said: list[str]) -> None:
    """A line that is not hex, or tells that something is missing, is told with its number; the others are read."""
    assert written(text) == (data, said)


@quick
@given(st.text(alphabet="0123456789abcdefx: \n*|\\,'", max_size=400))
def test_damaged_text_is_no_failure(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    """Whatever is in a text that begins like hex, reading it does not fail."""
    path = tmp_path_factory.getbasetemp() / "damaged"
    path.write_text(GEM.hex() + "\n" + text)
    assert read(path)[0].startswith(GEM)


NOT_HEX = {
    "a configuration": b'[source.panel]\nuse = "serial"\n',
    "words": b"add a bad cafe\nfeed dad\n",
    "a meter's text": b"n=01000010&m=4&wh_1=223.19&p_1=3065&a_1=28.28",
    "a text meter": b"SUN,4242,100,230.1,5000\nSUN,4242,110,230.1,5100\n",
    "numbers": b"12345678\n",
    "keep-alive": b"$$$$$$$$$$$$$$$$$$$$$$$$$$$$$$$$",
    "a list of decimal numbers": b"[\n 10,\n 20,\n 30, 40, 50, 60, 70, 80, 90\n]\n",
    "an address": b"00:11:22:33:44:55\n",
    "a packet": GEM,
    "hex and a packet": GEM.hex().encode() + GEM,
    "one byte": b"\xff\xfe",
    "nothing": b"",
}


@pytest.mark.parametrize("content", NOT_HEX.values(), ids=NOT_HEX)
def test_nothing_else_is_taken_for_hex(written: Written, content: bytes) -> None:
    """A file of anything else comes out as it is."""
    assert written(content) == (content, [])
