# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a cluster takes the account, and keeps what it takes also when the power fails; nothing is published."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from nats.js.api import StreamInfo

from btcore import Finding, Retry, Stop
from btcore.web import Client
from btmon_nats.connection import Connection
from btmon_nats.login import Login
from btmon_nats.refusals import meaning
from btmon_nats.stream import partitions_in

OLDEST = (2, 15)
"""The first version of which no loss of what it had acknowledged is known, with `sync_interval: always`."""

REPLICAS = 3

NOT_ASKED = Finding(
    "not-asked",
    "without `monitoring` it is not known whether what the servers acknowledge is on their disks, nor how old all are",
    "Name their monitoring ports in `monitoring` (nats.conf: `http: 127.0.0.1:8222`); or see on each server that it is"
    " NATS 2.15 or later and has `sync_interval: always`",
)


def diagnose(login: Login) -> Iterator[Finding]:
    """Yield what is wrong with the account, the servers and the stream."""
    connection = Connection(login, "btcore doctor")
    try:
        info = connection.use(lambda jetstream: jetstream.stream_info(login.stream))
        if not login.monitoring:  # else each server is asked, not only the one that took the connection
            yield from _version_findings("the server", connection.server)
            yield NOT_ASKED
        yield from _stream_findings(info)
    except Exception as error:  # noqa: BLE001 - whatever the client meets
        yield from _failure(meaning(error, login.stream, login.address, connection.denials.take()))
    finally:
        connection.close()
    yield from _sync_findings(login)


def _failure(error: Exception) -> Iterator[Finding]:
    if isinstance(error, Stop):
        yield Finding("credentials", str(error), "Correct the account, or its rights: docs/fleet.md has them")
    else:
        yield Finding("unreachable", str(error), "Check `servers` and `stream`; readings wait in the journal meanwhile")


def _version_findings(where: str, server: Mapping[str, Any]) -> Iterator[Finding]:
    version = str(server.get("version", ""))
    numbers = tuple(int(one) for one in re.findall(r"\d+", version)[:2])
    if numbers < OLDEST:
        wanted = ".".join(map(str, OLDEST))
        yield Finding(
            "old-server",
            f"{where} is NATS {version or 'of no version'}: a power cut may take what it has acknowledged",
            f"Install NATS {wanted} or later, with `sync_interval: always`",
        )


def _stream_findings(info: StreamInfo) -> Iterator[Finding]:
    name = info.config.name
    if not partitions_in(info):
        text = f"stream {name} is none of btcore's: nothing says how many partitions it has"
        yield Finding("unknown-stream", text, "Check `stream`, or let `btcore nats setup` take it")
    if (info.config.num_replicas or 1) < REPLICAS:
        text = f"stream {name} is on {info.config.num_replicas or 1} server: if that is lost, its readings are"
        yield Finding("few-replicas", text, "Run three servers, and `btcore nats setup --replicas 3`")


def _sync_findings(login: Login) -> Iterator[Finding]:
    """Ask each monitoring port for the version, and whether what is acknowledged is on the disk: no client is told."""
    client = Client(agent="btcore-doctor", timeout=login.timeout)
    try:
        for address in login.monitoring:
            try:
                server = _ask(client, address, "varz")
                config = _ask(client, address, "jsz?config=true").get("config") or {}
            except (Retry, Stop, ValueError) as error:
                yield Finding("unreachable", f"{address}: {error}", "Check `monitoring`: the port of `http_port`")
                continue
            yield from _version_findings(address, server)
            if not config.get("sync_always"):
                yield Finding(
                    "late-sync",
                    f"{address}: the server acknowledges what is not on the disk yet",
                    "Set `sync_interval: always` in its `jetstream { }`, and restart it",
                )
    finally:
        client.close()


def _ask(client: Client, address: str, path: str) -> Mapping[str, Any]:
    """Return what a monitoring port says. Raises Retry, Stop, or ValueError for what is no answer of NATS."""
    found = json.loads(client.send("GET", f"{address.rstrip('/')}/{path}").body)
    if not isinstance(found, dict):
        raise ValueError("what answers is no NATS server")  # noqa: TRY004 - as for what is no JSON
    return found
