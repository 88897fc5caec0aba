# SPDX-License-Identifier: GPL-3.0-or-later
"""Findings about bytes in which no packet was found: what they are is `decode/recognition.py`'s."""

from collections.abc import Iterator

from btcore.discovery import KIND_HOOKS
from btcore.doctor.facts import SiteFacts, SourceFacts, Undecoded
from btcore.findings import Finding
from btcore.text import format_duration, plural

CODES = {
    "keep-alive": "real-time-off",
    "answers": "real-time-off",
    "acknowledgements": "only-acknowledgements",
    "ascii": "text-format",
    "http-get": "text-format",
    "seg": "text-format",
    "emon": "text-format",
    "cosm": "text-format",
    "in use": "gateway-in-use",
    "web page": "gateway-port",
    "login": "gateway-port",
    "http": "no-meter",
    "tls": "no-meter",
    "ssh": "no-meter",
    "mqtt": "no-meter",
    "windows": "no-meter",
    "json": "no-capture",
    "packed": "no-capture",
    "database": "no-capture",
    "picture": "no-capture",
    "seven bits": "seven-bits",
    "as text": "bytes-as-text",
    "doubled": "telnet-port",
    "negotiation": "telnet-port",
    "damaged": "damaged-packets",
    "unknown packets": "unknown-format",
    "text": "unknown-format",
    "senseless": "unknown-format",
    "one byte": "one-byte",
    "begun": "packet-cut-short",
    "nothing": "nothing-received",
}
"""The code of each kind of bytes, by the name of the kind."""

LEFT_OUT = "format-left-out"
"""The code of packets of a format that the source does not take."""

MAX_BYTES = 48
"""Bytes that a finding shows."""

MIN_DAMAGED = 10
"""Damaged packets from which their share counts."""

MAX_DAMAGED_SHARE = 0.1
"""The share of damaged packets above which bytes are lost on the way."""


def find(facts: SiteFacts) -> Iterator[Finding]:
    """Yield what is wrong with what the sources received."""
    for source in facts.sources:
        yield from of_source(source)


def of_source(source: SourceFacts) -> Iterator[Finding]:
    """Yield what is wrong with what one source received."""
    table = source.source.table
    if (main := source.main) is not None:
        yield _undecoded(main, source)
    elif source.listened and not source.failure and not source.serials and not source.packets:
        when = format_duration(source.listened)
        kind = Undecoded("", b"").kind()
        is_store = hasattr(source.source.instance, KIND_HOOKS["sink"])  # a database, which a meter does not fill
        advice = STORE if is_store else f"{kind.advice}. {POWER}"
        yield Finding(CODES[kind.name], f"nothing came in within {when}", advice, table)


STORE = "Nothing is in its tables, or nothing new: see whether the program that fills them still runs"

POWER = "Otherwise check that the meter has power, and its cable"


def find_damaged(facts: SiteFacts) -> Iterator[Finding]:
    """Yield the sources of whose packets many are damaged."""
    for source in facts.sources:
        total = source.packets + source.damaged
        if source.packets and source.damaged >= MIN_DAMAGED and source.damaged > MAX_DAMAGED_SHARE * total:
            yield Finding(
                "damaged-packets",
                f"{source.damaged} of {plural(total, 'packet')} came in damaged",
                "Bytes are lost or changed on the way: check the speed and the cable, and that no other program reads"
                " the same line",
                source.source.table,
            )


def _undecoded(main: Undecoded, source: SourceFacts) -> Finding:
    kind = main.kind(source.source.formats)
    code = CODES.get(kind.name, LEFT_OUT)
    where = f" on {main.stream}" if main.stream else ""
    show = f": {_show(main.data)}" if code in {"unknown-format", "one-byte"} else ""
    return Finding(code, f"bytes without a packet{where}: {kind.seen}{show}", kind.advice, source.source.table)


def _show(data: bytes) -> str:
    """Show the beginning of some bytes, in hex and as the letters that they are."""
    head = data[:MAX_BYTES]
    letters = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in head)  # noqa: PLR2004 - printable ASCII
    return f"{head.hex(' ')} ({letters})" + (f", and {len(data) - MAX_BYTES} more" if len(data) > MAX_BYTES else "")
