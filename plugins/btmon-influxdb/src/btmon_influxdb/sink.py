# SPDX-License-Identifier: GPL-3.0-or-later
"""The sink: its settings and hooks. What is written is in `points.py`, how it is sent in `writer.py`."""

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from btcore import (
    Batch,
    ChannelRef,
    Claim,
    Context,
    Delivery,
    DiagnosisContext,
    Duration,
    Finding,
    Format,
    Problem,
    Secret,
    SerialNames,
    Serials,
    hookimpl,
    plugin,
    setting,
)
from btcore.web import Client, is_public, setting_problems, url_problem
from btmon_influxdb.line_protocol import write_line
from btmon_influxdb.points import IDENTIFYING, Layout, Mode, PointGroup, Schema
from btmon_influxdb.servers import SERVERS, Kind
from btmon_influxdb.silent_losses import SilentLosses
from btmon_influxdb.writer import Target, Writer

RESERVED = frozenset({"time", "name", *IDENTIFYING})
"""Names that a tag of one's own cannot have: those of a point's own tags, and of its time."""

DATABASE = "energy"
"""The database, where the settings name none."""


def _is_measurement(_instance: object, _attribute: Any, name: str) -> None:  # noqa: ANN401 - attrs' own type
    if not name.isprintable() or not name.strip() or name[0] in "#_" or "\\" in name:
        raise ValueError('expected a name, such as "energy", without a backslash and not starting with # or _')


# a hundred readings of a GEM are about one request, and few megabytes of memory
@plugin(api=1, delivery=Delivery(batch_size=100))
class InfluxDB:
    """Writes to InfluxDB 1.x, 2.x or 3.x, or to VictoriaMetrics."""

    url: str = setting(default="http://localhost:8086", help="the server's address")
    server: Kind = setting(default="influxdb-1", help="what it is")
    database: str = setting(
        default="",
        help="the database, which is created if it does not exist; left out: energy; victoriametrics: label db",
    )
    org: str = setting(default="", help="with influxdb-2: the organization")
    bucket: str = setting(default="", help="with influxdb-2: the bucket, which must exist")
    user: str = setting(default="", help="with influxdb-1 and victoriametrics: the user's name")
    password: Secret = setting(default=Secret(""), help="the user's password")
    token: Secret = setting(default=Secret(""), help="with influxdb-2 and influxdb-3: the token")
    ssl_ca: Path | None = setting(default=None, help="the certificates to trust; left out: the system's")
    measurement: str = setting(
        default="energy", help="the name of the measurement, or its beginning", validator=_is_measurement
    )
    schema: Schema = setting(
        default="samples",
        help="samples: power and energy of each channel and interval; as btmon: counters, ecmread, ecmreadext",
    )
    mode: Mode | None = setting(
        default=None,
        help="how btmon's schemas are laid out: col (a series for each value), row (a field for each), dotted (a"
        " measurement for each); left out: col",
    )
    map: dict[ChannelRef, str] = setting(
        factory=dict,
        help="what is written: each channel (with btmon's schemas: each label), and its name; empty: all",
        example='{ "399999_ch1" = "mains" }',
    )
    tags: dict[str, str] = setting(
        factory=dict, help="tags that every point gets", example='{ site = "home", room = "cellar" }'
    )
    serials: Serials = setting(
        default="full", help="how meters are named: full, the serial number; short, XXX and the last three digits"
    )
    include_current: bool = setting(default=False, help="with samples: also the current of each channel, in amperes")
    timeout: Duration = setting(default=Duration(30), help="longest wait for an answer")

    def check(self) -> Iterator[Problem]:
        """Yield the problems between the settings."""
        yield from setting_problems(self, "url")
        yield from self._check_account()
        yield from self._check_layout()
        yield from self._check_names()

    def _check_account(self) -> Iterator[Problem]:
        required, unused = _SETTINGS_OF[self.server]
        for key in required:
            if not getattr(self, key):
                yield Problem(f'is needed with server = "{self.server}"', key=key)
        for key in unused:
            if getattr(self, key):
                yield Problem(f'is not used with server = "{self.server}"; is `server` right?', key=key)
        if self.user and self.token:
            yield Problem("give user and password, or a token, not both", key="token")
        if self.password and not self.user:
            yield Problem("is needed with a password", key="user")

    def _check_layout(self) -> Iterator[Problem]:
        if self.mode and self.schema == "samples":
            yield Problem('is of btmon\'s schemas: set schema = "counters", or leave mode out', key="mode")
        if self.include_current and self.schema != "samples":
            yield Problem("is of samples alone: btmon's schemas have their own currents", key="include_current")

    def _check_names(self) -> Iterator[Problem]:
        for tag in self.tags:
            if tag in RESERVED or tag.startswith("_") or not tag.strip() or not tag.isprintable():
                yield Problem(f'"{tag}" cannot be the name of a tag', key="tags")
        for name in self.map.values():
            if not name.isprintable() or name == "time" or name.startswith("_"):
                yield Problem(f'"{name}" cannot be the name of a channel', key="map")
        if self.schema != "samples":
            named = Counter((ref.serial, name or ref.label) for ref, name in self.map.items())
            for (_, name), count in named.items():
                if count > 1:
                    yield Problem(f'{count} values of one meter would be "{name}"', key="map")

    def claims(self) -> Iterator[Claim]:
        """Claim the series of the database: two sinks of one meter would overwrite each other's points."""
        if url_problem(self.url):  # which `check` reports
            return
        tags = "".join(f",{tag}={text}" for tag, text in sorted(self.tags.items()))
        what = f"series {self.measurement}{tags} ({self.schema} {self.mode or 'col'})"
        where = f"{self._target()} at {urlsplit(self.url).netloc.lower()}"
        yield Claim(f"{what} of {where}", key="measurement", per_meter=True)

    @property
    def hosted(self) -> bool:
        """Whether it is on the Internet, and no server of one's own."""
        return is_public(self.url)

    def diagnose(self, _context: DiagnosisContext) -> Iterable[Finding]:
        """Find out whether the server takes the user; nothing is written."""
        from btmon_influxdb.diagnosis import diagnose  # noqa: PLC0415 - a run does not need it

        return diagnose(self._target(), self._connect())

    @hookimpl
    def create_storage(self, context: Context, formats: tuple[Format, ...]) -> list[str]:  # noqa: ARG002 - the hook's
        """Create the database, if it is missing and the server is one that has to be told."""
        from btmon_influxdb.diagnosis import create_if_missing  # noqa: PLC0415 - a run does not need it

        self._client = self._connect()
        return create_if_missing(self._target(), self._client)

    @hookimpl
    def open(self, context: Context) -> None:
        """Prepare to write; nothing is sent."""
        self._layout = self._make_layout(context)
        self._client = self._connect()
        target = self._target()
        self._writer = Writer(target, self._client, context.log)
        self._losses = None if target.server.tells_losses else SilentLosses(target, self._client)

    @hookimpl
    def close(self) -> None:
        """Give the connection back."""
        if hasattr(self, "_client"):
            self._client.close()

    @hookimpl
    def process_batch(self, batch: Batch) -> int:
        """Write the points of a batch; return of how many readings there are any."""
        groups = self._groups(batch)
        if self._losses:
            self._losses.check(groups)
        self._writer.write(groups)
        return min(len(groups), len(batch.readings))

    @hookimpl
    def find_stored(self, batch: Batch) -> list[tuple[str, int]]:
        """Return serial number and key of what a batch holds that is in the database, or of which nothing would be."""
        from btmon_influxdb.stored import find_stored  # noqa: PLC0415 - a run does not need it

        groups = self._groups(batch)
        wanted = {(group.serial, group.key) for group in groups}
        empty = [at for reading in batch.readings if (at := (reading.serial, reading.key)) not in wanted]
        return empty + find_stored(self._target(), self._client, groups)

    @hookimpl
    def preview_batch(self, batch: Batch) -> list[str]:
        """Return the lines that would be written."""
        return [write_line(point) for group in self._groups(batch) for point in group.points]

    def _groups(self, batch: Batch) -> list[PointGroup]:
        return list(self._layout.groups(batch))

    @property
    def _database(self) -> str:
        if self.server == "influxdb-2":
            return self.bucket
        return self.database or ("" if self.server == "victoriametrics" else DATABASE)

    def _target(self) -> Target:
        """Return where points are written."""
        server = SERVERS[self.server]
        params = {server.target: self._database, "org": self.org}
        auth = (self.user, self.password.reveal()) if self.user else None
        return Target(server, self.url, self._database, {name: text for name, text in params.items() if text}, auth)

    def _connect(self) -> Client:
        """Return a client that sends the token, if there is one. Raises Stop."""
        return Client(
            agent="btmon-influxdb",
            timeout=self.timeout,
            secrets=[self.password, self.token],
            headers=SERVERS[self.server].authorization(self.token.reveal()),
            ca=self.ssl_ca,
        )

    def _make_layout(self, context: Context) -> Layout:
        named = {ref.serial for ref in self.map} | {key.partition("_")[0] for key in context.channels}
        return Layout(
            schema=self.schema,
            mode=self.mode or "col",
            measurement=self.measurement,
            tags=self.tags,
            map=self.map,
            polarity=context.polarity,
            include_current=self.include_current,
            names=context.channels,
            serial_names=SerialNames(self.serials, named),
        )


_SETTINGS_OF: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "influxdb-1": ((), ("org", "bucket", "token")),
    "influxdb-2": (("org", "bucket", "token"), ("database", "user", "password")),
    "influxdb-3": ((), ("org", "bucket", "user", "password")),
    "victoriametrics": ((), ("org", "bucket")),
}
"""For each server the settings that it needs, and those that it has not."""
