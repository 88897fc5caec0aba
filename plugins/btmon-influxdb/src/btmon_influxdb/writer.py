# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes points: in requests of so many bytes, compressed, each until the server has taken it.

A request has all points of a reading. What an answer means is in `servers.py`.
"""

import gzip
from collections.abc import Iterable, Iterator, Mapping, Sequence
from logging import Logger
from typing import Any

import attrs

from btcore import Reject, Retry, Stop
from btcore.web import Answer, Client, raise_for_answer
from btmon_influxdb.line_protocol import write_line
from btmon_influxdb.points import PointGroup
from btmon_influxdb.servers import NO_DATABASE, TLS_FAULTS, Server, dropped_points, own_words

MAX_REQUEST_BYTES = 1_000_000
"""Bytes of a request before it is compressed: what a proxy with usual settings takes, and a small server at a time."""

COMPRESSION = 3
"""The level of gzip: names repeat in every line, so higher ones gain little."""

MAX_WHY = 200
"""The most characters of the server's own words in a message."""

TOO_LARGE = 413
REFUSED = (401, 403)


@attrs.define
class Target:
    """Where points are written: a database, or bucket, of a server at `url`, as a user or by a token."""

    server: Server
    url: str
    name: str
    params: Mapping[str, str]
    auth: tuple[str, str] | None = attrs.field(repr=False)

    def __str__(self) -> str:
        """Name the database in a message."""
        what = "bucket" if self.server.target == "bucket" else "database"
        return f"{what} {self.name}" if self.name else self.server.title

    def send(self, client: Client, page: str, **request: Any) -> Answer:  # noqa: ANN401 - as `Client.send` has it
        """Send a request to one of the server's pages. Raises Retry, Reject or Stop."""
        try:
            answer = client.send("POST", f"{self.url.rstrip('/')}{page}", auth=self.auth, **request)
        except Retry as error:
            advice = next((text for fault, text in TLS_FAULTS.items() if fault in str(error)), "")
            raise (Retry(f"{error}; {advice}") if advice else error) from None
        return attrs.evolve(answer, text=client.redact(own_words(answer.text)))

    def write(self, client: Client, body: bytes) -> Answer:
        """Send points. Raises Retry, Reject or Stop."""
        headers = {"Content-Encoding": "gzip", "Content-Type": "text/plain; charset=utf-8"}
        packed = gzip.compress(body, COMPRESSION, mtime=0)
        params = {**self.params, **self.server.more, "precision": self.server.precision}
        return self.send(client, self.server.page, params=params, data=packed, headers=headers)

    def lacks_database(self, answer: Answer) -> bool:
        """Whether an answer says that there is no such database, and it can be created."""
        return self.server.makes_database and NO_DATABASE.fits(answer)

    def raise_for_answer(self, answer: Answer) -> None:
        """Return where an answer says delivered. Raises Retry, Reject or Stop."""
        raise_for_answer(answer, self.server.answers, self.server.title)


@attrs.define
class Body:
    """The points of some readings as the text of one request."""

    groups: list[PointGroup] = attrs.field(factory=list)
    lines: list[bytes] = attrs.field(factory=list)
    size: int = 0

    def add(self, group: PointGroup, lines: Sequence[bytes]) -> None:
        """Add the lines of a reading."""
        self.groups.append(group)
        self.lines += lines
        self.size += sum(map(len, lines))

    def __bytes__(self) -> bytes:
        """Return the text."""
        return b"".join(self.lines)


@attrs.define(eq=False)
class Writer:
    """Writes the points of batches to one target."""

    target: Target
    client: Client
    log: Logger
    max_bytes: int = MAX_REQUEST_BYTES
    _taken: set[tuple[str, int]] = attrs.field(init=False, factory=set)
    """What was taken of a batch of which the rest was not: it is not sent again with that."""

    def write(self, groups: Sequence[PointGroup]) -> None:
        """Write what a batch holds. Raises Retry, Reject or Stop."""
        waiting = [group for group in groups if (group.serial, group.key) not in self._taken]
        if len(waiting) == len(groups):
            self._taken.clear()  # another batch, and no part of the last one
        while waiting:
            body = next(bodies(waiting, self.max_bytes))
            answer = self._send(bytes(body))
            if answer.code == TOO_LARGE and len(body.groups) > 1:
                self.max_bytes = body.size // 2
                self.log.info("%s takes no request of %d bytes: half of that is sent", self.target, body.size)
                continue
            self._judge(answer, body, is_entire_batch=len(body.groups) == len(groups))
            self._taken.update((group.serial, group.key) for group in body.groups)
            waiting = waiting[len(body.groups) :]
        self._taken.clear()

    def _send(self, body: bytes) -> Answer:
        """Send a request; where there is no such database yet, create it, and send the request again."""
        answer = self.target.write(self.client, body)
        if self.target.lacks_database(answer):
            create_database(self.target, self.client)
            self.log.info("created %s", self.target)
            answer = self.target.write(self.client, body)
        return answer

    def _judge(self, answer: Answer, body: Body, *, is_entire_batch: bool) -> None:
        """Return where all of a request is stored, or a part, which is logged. Raises Retry, Reject or Stop."""
        dropped = dropped_points(answer)
        if dropped is None:
            self.target.raise_for_answer(answer)
            return
        why = self.client.redact(dropped.why)[:MAX_WHY]
        total = len(body.lines)
        if dropped.points >= total:
            raise Reject(f"{self.target} has stored none of {total} points: {why}", whole_batch=is_entire_batch)
        text = "%s has dropped %d of %d points, and stored the others: %s"
        self.log.warning(text, self.target, dropped.points, total, why)


def bodies(groups: Iterable[PointGroup], max_bytes: int) -> Iterator[Body]:
    """Yield requests of so many bytes at most, or of one reading."""
    body = Body()
    for group in groups:
        lines = [f"{write_line(point)}\n".encode() for point in group.points]
        if body.groups and body.size + sum(map(len, lines)) > max_bytes:
            yield body
            body = Body()
        body.add(group, lines)
    if body.groups:
        yield body


def create_database(target: Target, client: Client) -> None:
    """Create the database of a target. Raises Retry, or Stop where the user may not."""
    statement = f"CREATE DATABASE {quote_name(target.name)}"
    answer = target.send(client, "/query", data={"q": statement})
    if answer.code in REFUSED:
        advice = f"an administrator runs: {statement}; GRANT ALL ON {quote_name(target.name)} TO the user"
        raise Stop(f"there is no {target}, and the user may not create it; {advice}")
    if answer.ok and '"error"' not in answer.line:
        return
    if not answer.ok:
        target.raise_for_answer(answer)
    raise Stop(f"{target} cannot be created: {answer.text[:MAX_WHY]}")


def quote_name(name: str) -> str:
    """Quote a name for a statement of InfluxQL."""
    escaped = name.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
