# SPDX-License-Identifier: GPL-3.0-or-later
"""What is in the requests to a hosted service, btmon's or ours: a value for each time and name, without headers."""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime

from btcore.testing import Request

Value = tuple[str, str, float]
"""Time, name, value."""

Values = Mapping[tuple[int, str], float]


def sent_values(service: str, requests: Iterable[Request]) -> dict[tuple[int, str], float]:
    """Return all that was sent to a service (by btmon's name of it), by time in seconds since 1970 and name."""
    found = (one for request in requests for one in PARSERS[service](request))
    return {(_seconds(time), name): value for time, name, value in found}


def _seconds(time: str) -> int:
    return int(time) if time.isdecimal() else int(datetime.fromisoformat(time).timestamp())


def _emoncms(request: Request) -> Iterator[Value]:
    query = dict(request.query)
    if "json" in query:  # btmon's is no JSON: {name:value,name:value}
        for item in query["json"].strip("{}").split(","):
            name, value = item.split(":")
            yield query["time"], f"{query['node']} {name}", float(value)
    else:
        for time, node, *inputs in json.loads(request.form["data"]):
            for one in inputs:
                yield from ((str(time), f"{node} {name}", float(value)) for name, value in one.items())


def _thingspeak(request: Request) -> Iterator[Value]:
    form = request.form
    fields = [(name, float(value)) for name, value in form.items() if name.startswith("field")]
    yield from ((form.get("datetime") or form["created_at"], name, value) for name, value in fields)


def _plotwatt(request: Request) -> Iterator[Value]:
    items = request.text.split(",")
    for meter, value, time in zip(items[::3], items[1::3], items[2::3], strict=True):
        yield time, meter, float(value)


def _smartenergygroups(request: Request) -> Iterator[Value]:
    for node, time, values in re.findall(r"\(node (\S+) (\S+) ((?:\([^)]*\))+)\)", request.form["data_post"]):
        yield from ((time, f"{node} {name}", float(value)) for name, value in re.findall(r"\((\S+) (\S+)\)", values))


def _pachube(request: Request) -> Iterator[Value]:
    for stream in request.json["datastreams"]:
        yield from ((point["at"], stream["id"], float(point["value"])) for point in stream["datapoints"])


def _enersave(request: Request) -> Iterator[Value]:
    for sensor in request.xml.iter("sensor"):
        what = f"{sensor.get('id')} {sensor.get('type')} {sensor.get('description')}"
        yield from ((one.get("time", ""), what, float(one.get("wh", ""))) for one in sensor.iter("energy"))


def _bidgely(request: Request) -> Iterator[Value]:
    for meter in request.xml.iter("meter"):
        for stream in meter.iter("stream"):
            what = f"{meter.get('id')} {meter.get('type')} {meter.get('description')} {stream.get('unit')}"
            yield from ((one.get("time", ""), what, float(one.get("value", ""))) for one in stream.iter("data"))


def _peoplepower(request: Request) -> Iterator[Value]:
    for one in request.xml.iter("measure"):
        for param in one.iter("param"):
            yield one.get("timestamp", ""), f"{one.get('deviceId')} {param.get('units')}", float(param.text or "")


def _wattvision(request: Request) -> Iterator[Value]:
    yield request.json["time"], request.json["sensor_id"], float(request.json["watts"])


def _eragy(request: Request) -> Iterator[Value]:
    for unit in request.xml.iter("MTU"):
        for one in unit.iter("cumulative"):
            yield one.get("timestamp", ""), unit.get("ID", ""), float(one.get("watts", ""))


def _wattzon(request: Request) -> Iterator[Value]:
    if "authorization" not in request.headers:  # the request that is answered by a question for the password
        return
    for update in request.json["updates"]:
        yield update["timestamp"], request.path.split("/")[-2], float(update["power"]["magnitude"])


PARSERS: Mapping[str, Callable[[Request], Iterator[Value]]] = {
    "bidgely": _bidgely,
    "enersave": _enersave,
    "eragy": _eragy,
    "oem": _emoncms,
    "pachube": _pachube,
    "peoplepower": _peoplepower,
    "plotwatt": _plotwatt,
    "smartenergygroups": _smartenergygroups,
    "thingspeak": _thingspeak,
    "wattvision": _wattvision,
    "wattzon": _wattzon,
}
