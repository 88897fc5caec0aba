# SPDX-License-Identifier: GPL-3.0-or-later
"""What is in files: captures, recordings of a network, logs, tables, and the pages of a damaged journal.

What cannot be read is given to `damaged`; nothing may be raised.
"""

import gzip
import json
import sqlite3
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from io import BufferedReader, BytesIO, RawIOBase
from pathlib import Path
from typing import cast

from fuzz.parser import Parser
from helpers.pcap_files import LINKS, pcap, pcapng, segments

from btcore import pack
from btcore.capture.files import read_chunks, steady_clock
from btcore.imports.csv_file import read_csv
from btcore.imports.energies import EnergyCounters
from btcore.imports.files import ImportFile
from btcore.imports.options import ImportOptions
from btcore.imports.printed_log import read_printed_log
from btcore.imports.text_lines import text_lines
from btcore.sqlite_journal.files.pages import page_size_of, rows_of
from btmon_migrate.printed import read_log

NOW = datetime(2026, 7, 1, tzinfo=UTC)
FILE = Path(tempfile.mkdtemp(prefix="fuzz-")) / "file"
PACKET = pack("ecm1240bin", "355555", {"volts": 120.1, "secs": 77, "ch1_aws": 5})

LINE = json.dumps({"time": 1700000000.0, "stream": "a", "hex": PACKET.hex()}).encode()
DUMP = b"\n".join(b"%08x: %s" % (at, PACKET[at : at + 16].hex(" ", 2).encode()) for at in range(0, len(PACKET), 16))
FRAMES = [[(1.5, wrap(one)) for one in segments(PACKET, [20])] for _, wrap in LINKS.values()]
RECORDINGS = [
    *(pcap(frames, link) for frames, (link, _) in zip(FRAMES, LINKS.values(), strict=True)),
    *(pcapng(frames, link) for frames, (link, _) in zip(FRAMES, LINKS.values(), strict=True)),
    pcapng(FRAMES[0], order=">", resolution=9),
    pcapng(FRAMES[0], resolution=0x9F),
]
PRINTED = b"""2026/07/01 10:00:00: Serial: 355555
2026/07/01 10:00:00: Counter: 77
2026/07/01 10:00:00: Voltage:              120.10V
2026/07/01 10:00:00: Ch1 Amps:               0.50A
2026/07/01 10:00:00: Ch1 Watts:             12.345678KWh ( 1234W)
2026/07/01 10:00:00: Ch1 Positive Watts:    10.000000KWh ( 1234W)
2026/07/01 10:00:00: Ch1 Negative Watts:     2.345678KWh (    0W)
2026/07/01 10:00:00: Aux1 Watts:             1.000000KWh (   5W)
2026/07/01 10:00:00: p1: 7
"""
TABLES = [
    b"time_created,ecm_serial,volts,ch1_aws,ch1_pws,secs\n1700000000,355555,120.1,5,1,77\n1700000010,355555,1,9,1,87\n",
    b'date;serial;ch1_wh;ch2_dwh;ch3_w;t1\n"2026-07-01 10:00:00";01000010;1,5;2;3;21,5\n',
    b"timestamp\tserial\tch1_pkwh\tch1_nkwh\n2026-07-01T10:00:00Z\t01000010\t1.5\t.5\n",
]
CAPTURES = [LINE, LINE + b"\n" + LINE, DUMP, PACKET.hex().encode(), b"0xfe, 0xff, 0x03", *RECORDINGS]


def reader(data: bytes) -> BufferedReader:
    """Return a file with these bytes."""
    return BufferedReader(cast("RawIOBase", BytesIO(data)))


def ignore(*_damage: object) -> None:
    """Take what cannot be read."""


def drain(items: Iterable[object]) -> None:
    """Take all items."""
    for _ in items:
        pass


def read_a_capture(data: bytes) -> None:
    """Read bytes as a capture of whatever kind."""
    drain(read_chunks(reader(data), "capture", steady_clock(NOW, timedelta(seconds=10)), ignore))


def read_a_log(data: bytes) -> None:
    """Read bytes as what was printed of readings, by either reader of it."""
    options = ImportOptions(zone=UTC)
    drain(read_printed_log(text_lines(reader(data)), options, EnergyCounters(), ignore))
    read_log(data.decode("utf-8", "replace").splitlines())


def import_a_file(data: bytes) -> None:
    """Import bytes as a file of whatever kind, compressed or not; a damaged compression is an error of its own."""
    FILE.write_bytes(data)
    found = ImportFile(FILE, ImportOptions(zone=UTC, serial="355555"), EnergyCounters())
    with suppress(OSError, EOFError, zlib.error):
        drain(found.read(ignore))


def read_a_table(data: bytes) -> None:
    """Read bytes as a table; one without a header is refused."""
    if data.strip():
        options = ImportOptions(zone=UTC, serial="355555")
        drain(read_csv(text_lines(reader(data)), options, EnergyCounters(), ignore))


def read_pages(data: bytes) -> None:
    """Read rows out of pages of a SQLite file in which anything may stand."""
    size = page_size_of(data)

    def fetch(number: int) -> bytes:
        return data[(number - 1) * size : number * size] if 0 < number < 1 << 32 else b""

    for number in range(1, len(data) // size + 2):
        drain(rows_of(fetch(number), fetch, 100 if number == 1 else 0))


def _database() -> Iterator[bytes]:
    """Yield a SQLite file with rows, also such that overflow a page."""
    with sqlite3.connect(":memory:") as database:
        database.execute("PRAGMA page_size = 512")
        database.execute("CREATE TABLE entry (number INTEGER PRIMARY KEY, at INTEGER, name TEXT, raw BLOB, x REAL)")
        rows = [(at, "355555", PACKET * (1 + 20 * (at == 3)), at / 3) for at in range(8)]
        database.executemany("INSERT INTO entry (at, name, raw, x) VALUES (?, ?, ?, ?)", rows)
        database.commit()
        yield database.serialize()


PARSERS = {
    "captures": Parser(read_a_capture, CAPTURES),
    "logs": Parser(read_a_log, [PRINTED]),
    "imports": Parser(import_a_file, [LINE, PRINTED, *TABLES, gzip.compress(TABLES[0], mtime=0), gzip.compress(LINE)]),
    "tables": Parser(read_a_table, TABLES),
    "pages": Parser(read_pages, list(_database())),
}
