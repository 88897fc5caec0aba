# SPDX-License-Identifier: GPL-3.0-or-later
"""The packet formats of a GEM that are text, and the HTTP requests that it sends them in. Pure.

A GEM writes no Host in a request, no slash before the path of some, and no digit before the point of a number below 1.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Literal, get_args
from urllib.parse import urlsplit

from btcore import Number

TextFormat = Literal["gemascii", "gemhttpget", "gemseg6", "gememon", "gemcosm", "gemseg"]
"""The names of the formats; `gemseg6` is SEG (6), which has no energy, `gemseg` the new SEG (14)."""

NUMBERS: Mapping[int, TextFormat] = dict(zip((2, 3, 6, 10, 13, 14), get_args(TextFormat), strict=True))
"""The formats by the numbers of the GEM's options."""

CHANNELS = range(1, 49)
Values = Mapping[str, Number]
WS_PER_WH = 3600


def make_text(form: str, serial: str, values: Values, target: str) -> bytes:
    """Return a packet as text: with a target (`/TOKEN/`), as the request that the GEM sends there.

    COSM is a request in any case: nothing else in it says whose it is.
    """
    token = next((part for part in reversed(urlsplit(target).path.split("/")) if part), "")
    method, path, text, headers = FORMATS[form](serial, values, target or "/", token)
    if not target and form != "gemcosm":
        return f"{text}\r\n".encode("ascii")
    if method == "GET":
        return f"GET {path}{text} HTTP/1.1\r\n{headers}\r\n".encode("ascii")
    return f"PUT {path} HTTP/1.1\r\n{headers}Content-Length: {len(text)}\r\n\r\n{text}".encode("ascii")


Parts = tuple[str, str, str, str]
"""The method, what stands before the text or is the target, the text, and further headers."""


def _ascii(serial: str, values: Values, target: str, _token: str) -> Parts:
    """Write ASCII with Wh (2)."""
    minutes = int(values["secs"] or 0) // 60
    fields = [
        f"&wh_{n}={_hundredths(wh)}&p_{n}={watts}&a_{n}={_hundredths(amps)}" for n, wh, watts, amps in _rows(values)
    ]
    sensors = "".join(f"&t_{n}={value:.1f}" for n, value in _temperatures(values))
    text = f"n={serial}&m={minutes}{''.join(fields)}{sensors}&c_1={values['p1']}&v={values['volts']:.1f}"
    return "GET", f"{target}?", text, ""


def _http_get(serial: str, values: Values, target: str, _token: str) -> Parts:
    """Write HTTP GET (3)."""
    fields = [
        f"&c{n}={values.get(f'ch{n}_aws') or 0},{values.get(f'ch{n}_pws') or 0},{_hundredths(amps)}"
        for n, _, _, amps in _rows(values)
    ]
    known = dict(_temperatures(values))
    sensors = ",".join(f"{known[n]:.1f}" if n in known else "" for n in range(1, 9))
    head = f"SN={serial}&SC={values['secs']}&V={_tenths(values)}"
    return "GET", f"{target}?", f"{head}{''.join(fields)}&PL={values['p1']},0,0,0&T={sensors}&Resp=", ""


def _seg(serial: str, values: Values, _target: str, token: str, *, has_energy: bool = True) -> Parts:
    """Write new SEG (14); without energy, SEG (6)."""
    fields = [
        (f"(e_{n} {_hundredths(wh)})" if has_energy else "") + f"(p_{n} {watts})(a_{n} {_hundredths(amps)})"
        for n, wh, watts, amps in _rows(values)
    ]
    sensors = "".join(f"(temperature_{n} {value:.1f})" for n, value in _temperatures(values))
    site = token or "TOKEN"
    text = f"(site {site} (node {serial} ? {''.join(fields)}{sensors}(voltage {values['volts']:.1f})))"
    return "PUT", f"/sites/{site}", text, ""


def _seg_without_energy(serial: str, values: Values, target: str, token: str) -> Parts:
    return _seg(serial, values, target, token, has_energy=False)


def _emon(serial: str, values: Values, _target: str, token: str) -> Parts:
    """Write Emon (10)."""
    fields = [f",E{n}:{values.get(f'ch{n}_aws') or 0},P{n}:{watts}" for n, _, watts, _ in _rows(values)]
    sensors = "".join(f",T{n}:{value:.1f}" for n, value in _temperatures(values))
    text = f"{{SN:{serial},SC:{values['secs']},V:{_tenths(values)}{''.join(fields)}{sensors},X:0}}"
    return "GET", f"sites//?apikey={token or 'KEY'}&json=", text, ""


def _cosm(serial: str, values: Values, _target: str, token: str) -> Parts:
    """Write COSM (13). The unit of its energy is not known: here it is Ws of the last 12 seconds."""
    lines = [f"E{n},{12 * watts}\r\nP{n},{watts}\r\n" for n, _, watts, _ in _rows(values)]
    sensors = "".join(f"T{n},{value:.1f}\r\n" for n, value in _temperatures(values))
    text = f"{''.join(lines)}{sensors}V,{_tenths(values)}\r\n"
    return "PUT", f"/v2/feeds/{int(serial)}.csv", text, f"X-PachubeApiKey: {token or 'KEY'}\r\n"


FORMATS: Mapping[str, Callable[[str, Values, str, str], Parts]] = {
    "gemascii": _ascii,
    "gemhttpget": _http_get,
    "gemseg6": _seg_without_energy,
    "gememon": _emon,
    "gemcosm": _cosm,
    "gemseg": _seg,
}


def _rows(values: Values) -> Iterator[tuple[int, float, int, float]]:
    """Yield of each channel its number, Wh, W and A."""
    for n in CHANNELS:
        energy, watts, amps = (values.get(f"ch{n}_{what}") or 0 for what in ("aws", "watts", "a"))
        yield n, energy / WS_PER_WH, int(watts), amps


def _temperatures(values: Values) -> Iterator[tuple[int, float]]:
    for n in range(1, 9):
        if (value := values.get(f"t{n}")) is not None:
            yield n, value


def _tenths(values: Values) -> int:
    return round(10 * (values["volts"] or 0))


def _hundredths(value: float) -> str:
    """Write a number as a GEM does: `.05`."""
    return f"{value:.2f}".removeprefix("0")
