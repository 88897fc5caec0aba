# SPDX-License-Identifier: GPL-3.0-or-later
"""Texts as a GEM writes them, in each of its formats, with the channels and the numbers that a test chooses."""

from collections.abc import Sequence

import attrs


@attrs.frozen
class Circuit:
    """What one channel shows: Ws in both directions and in one, W, A."""

    energy: int = 3600
    polarized: int = 0
    watts: int = 100
    amps: float = 0.8


HOUSE = (Circuit(356_116_610_095, 1000, 3065, 28.28), Circuit(2952, 0, 5, 0.05))


def bare(value: float) -> str:
    """Write a number with two digits behind its point, and with none before it where that is 0."""
    return f"{value:.2f}".removeprefix("0")


def ascii_wh(circuits: Sequence[Circuit] = HOUSE, serial: str = "01000010", end: str = "\r\n") -> bytes:
    """Write ASCII with Wh (2)."""
    fields = [
        f"wh_{index}={bare(one.energy / 3600)}&p_{index}={one.watts}&a_{index}={bare(one.amps)}"
        for index, one in enumerate(circuits, 1)
    ]
    return f"n={serial}&m=4&{'&'.join(fields)}&t_1=21.0&c_1=7&v=114.4{end}".encode()


def http_get(
    circuits: Sequence[Circuit] = HOUSE, serial: str = "01000010", seconds: int = 5_956_977, *, amps: bool = True
) -> bytes:
    """Write the query of HTTP GET (3)."""
    fields = [
        f"c{index}={one.energy},{one.polarized}{',' + bare(one.amps) if amps else ''}"
        for index, one in enumerate(circuits, 1)
    ]
    return f"SN={serial}&SC={seconds}&V=1149&{'&'.join(fields)}&PL=1,0,0,0&T=21.0,27.0,,,,,,&Resp=".encode()


def seg(circuits: Sequence[Circuit] = HOUSE, node: str = "house", token: str = "abc", *, energy: bool = True) -> bytes:
    """Write the body of new SEG (14), or, without energy, of SEG (6)."""
    fields = [f"(p_{index} {one.watts})(a_{index} {bare(one.amps)})" for index, one in enumerate(circuits, 1)]
    if energy:
        fields = [f"(e_{index} {bare(circuits[index - 1].energy / 3600)}){one}" for index, one in enumerate(fields, 1)]
    return f"(site {token} (node {node} ? {''.join(fields)}(temperature_1 21.0)(voltage 114.2)))".encode()


def emon(circuits: Sequence[Circuit] = HOUSE, serial: str = "01000010", seconds: int = 5_959_577) -> bytes:
    """Write the JSON, which is none to the letter, of Emon (10)."""
    fields = [f"E{index}:{one.energy},P{index}:{one.watts}" for index, one in enumerate(circuits, 1)]
    return f"{{SN:{serial},SC:{seconds},V:1144,{','.join(fields)},T1:21.0,X:0}}".encode()


def cosm_lines(circuits: Sequence[Circuit] = HOUSE) -> bytes:
    """Write the body of COSM (13)."""
    lines = [f"E{index},{one.energy}\r\nP{index},{one.watts}" for index, one in enumerate(circuits, 1)]
    return ("\r\n".join(lines) + "\r\nV,1144").encode()


def cosm(circuits: Sequence[Circuit] = HOUSE, feed: str = "504", key: str = "KEY") -> bytes:
    """Write a request of COSM (13)."""
    body = cosm_lines(circuits)
    head = f"PUT /v2/feeds/{feed}.csv HTTP/1.1\r\nX-PachubeApiKey: {key}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body + b"\r\n"


def on_a_stream(circuits: Sequence[Circuit] = HOUSE) -> dict[str, bytes]:
    """Return a text of each format as it comes on a plain stream, by the name of its format."""
    return {
        "gemascii": ascii_wh(circuits),
        "gemhttpget": b"GET /?" + http_get(circuits) + b" HTTP/1.1\r\n\r\n",
        "gemseg": seg(circuits),
        "gememon": b"GET sites//?apikey=KEY&json=" + emon(circuits) + b" HTTP/1.1\r\n\r\n",
        "gemcosm": cosm(circuits),
    }
