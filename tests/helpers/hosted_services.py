# SPDX-License-Identifier: GPL-3.0-or-later
"""The hosted services of btmon-services: for each, a table that delivers to a server of ours, and what it answers."""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import attrs

from btcore.config.site import Sink
from btcore.testing import HostedService, Reply, Request
from helpers.configured_sink import sink_from_toml

SECRET = "s3cr3t&T0KEN/0123456789"
SECRET_IN_URL = "s3cr3t-T0KEN-0123456789"
ACK = '<s2h ver="2" hubId="77" status="ACK"/>'


@attrs.frozen
class Service:
    """One service: btmon's name for it, its table, what it answers when all is well, and the times of a request."""

    btmon: str
    table: str
    taken: Reply
    times: Callable[[Request], list[str | None]]
    secret: str = SECRET


def _stamps(request: Request, path: str, name: str) -> list[str | None]:
    return [found.get(name) for found in request.xml.iterfind(path)]


SERVICES: Mapping[str, Service] = {
    "bidgely": Service(
        "bidgely",
        f'url = "URL/v1/users/{SECRET_IN_URL}/homes/1/gateways/1/upload"\nmap = {{ ch1 = {{}} }}\n',
        Reply(),
        lambda request: _stamps(request, ".//stream[@unit='Wh']/data", "time"),
        SECRET_IN_URL,
    ),
    "emoncms": Service(
        "oem",
        f'url = "URL/emoncms"\ntoken = "{SECRET}"\n',
        Reply(200, "ok"),
        lambda request: [str(row[0]) for row in json.loads(request.form["data"])],
    ),
    "enersave": Service(
        "enersave",
        f'url = "URL/fetcher/data"\ntoken = "{SECRET}"\nmap = {{ ch1 = {{}} }}\n',
        Reply(),
        lambda request: _stamps(request, ".//energy", "time"),
    ),
    "eragy": Service(
        "eragy",
        f'url = "URL/energyremote.aspx"\ntoken = "{SECRET}"\ngateway_id = "1"\n',
        Reply(200, "<xml>0</xml>"),
        lambda request: _stamps(request, ".//MTU[@ID='XXX345_ch1']/cumulative", "timestamp"),
    ),
    "peoplepower": Service(
        "peoplepower",
        f'url = "URL/deviceio/ml"\ntoken = "{SECRET}"\nmap = {{ ch1 = "d" }}\n',
        Reply(200, ACK),
        lambda request: _stamps(request, ".//measure", "timestamp"),
    ),
    "plotwatt": Service(
        "plotwatt",
        f'url = "URL"\napi_key = "{SECRET}"\nmap = {{ ch1 = "1000" }}\n',
        Reply(),
        lambda request: list(request.text.split(",")[2::3]),
    ),
    "smartenergygroups": Service(
        "smartenergygroups",
        f'url = "URL/api_sites/stream"\ntoken = "{SECRET}"\nmap = {{ ch1 = "" }}\n',
        Reply(200, "(status ok)"),
        lambda request: list(re.findall(r"\(node \S+ (\S+) ", request.form["data_post"])),
    ),
    "thingspeak": Service(
        "thingspeak",
        f'url = "URL"\ntokens = {{ "312345" = "{SECRET}" }}\ninterval = 0\n',
        Reply(200, "17"),
        lambda request: [request.form["created_at"]],
    ),
    "wattvision": Service(
        "wattvision",
        f'url = "URL"\napi_id = "1"\napi_key = "{SECRET}"\nsensor_id = "2"\nchannel = "312345_ch1"\ninterval = 0\n',
        Reply(),
        lambda request: [f"{request.json['time']}Z"],
    ),
    "wattzon": Service(
        "wattzon",
        f'url = "URL"\napi_key = "{SECRET}"\nuser = "me"\npassword = "{SECRET}"\nmap = {{ ch1 = "a" }}\ninterval = 0\n',
        Reply(200, '{"status":"ok"}'),
        lambda request: [update["timestamp"] for update in request.json["updates"]],
    ),
    "xively": Service(
        "pachube",
        f'url = "URL/v2/feeds"\ntoken = "{SECRET}"\nfeed = "3000"\n',
        Reply(),
        lambda request: [point["at"] for point in request.json["datastreams"][0]["datapoints"]],
    ),
}


def service_sink(name: str, server: HostedService, folder: Path, more: str = "") -> Sink:
    """Make a sink of a service that delivers to a server."""
    server.answer = SERVICES[name].taken
    return sink_from_toml(folder, f"[sink.{name}]\n{SERVICES[name].table.replace('URL', server.url)}{more}")
