# SPDX-License-Identifier: GPL-3.0-or-later
"""InfluxDB 2.x and 3.x as their documentation describes them: Debian has neither.

with InfluxDB2() as server:
    ...  # write to server.url with server.token, into server.org and server.bucket
    assert server.values("energy") == ...

Points are kept by series and time, as the real ones do. `fail` of a `HostedService` makes an answer of one's own.
"""

import gzip
import json
import re

from helpers.line_protocol import Line, read_lines

from btcore.testing import HostedService, Reply, Request

TOKEN = "t0p-secret-token"
QUERY = re.compile(r'SELECT "(.+)" FROM "(.+)" WHERE (.+) AND time >= (\d+)u AND time <= (\d+)u')
CONDITION = re.compile(r"\"(\w+)\" = '([^']*)'")


class InfluxApi(HostedService):
    """What both have: the points that were taken, and a page that answers questions."""

    precision = ""
    scheme = ""
    accepts_partial = True

    def __init__(self) -> None:
        """Prepare; nothing listens yet. `oldest` is the first time that is kept, `integers` are fields of that type."""
        super().__init__(self.respond)
        self.points: dict[tuple[str, frozenset[tuple[str, str]], int], dict[str, float]] = {}
        self.oldest = 0
        self.integers: set[str] = set()
        self.max_bytes = 50_000_000

    def respond(self, came: Request) -> Reply:
        """Answer a request."""
        if came.headers.get("authorization") != f"{self.scheme} {TOKEN}":
            return self.unauthorized()
        if came.path == "/query":
            return self.answer_query(came.form)
        if refused := self.refuse(came.path, dict(came.query)):
            return refused
        if len(came.body) > self.max_bytes:
            return Reply(413, json.dumps({"code": "request too large", "message": "cannot read data"}))
        body = gzip.decompress(came.body) if came.headers.get("content-encoding") == "gzip" else came.body
        lines = read_lines(body.decode())
        return self.write(lines) if lines else self.without_points()

    def write(self, lines: list[Line]) -> Reply:
        """Keep what can be kept of some points."""
        old: list[tuple[int, Line]] = []
        conflicts: list[tuple[int, Line]] = []
        kept: list[Line] = []
        for number, line in enumerate(lines, 1):
            if self.integers & set(line.fields):
                conflicts.append((number, line))
            elif line.time < self.oldest:
                old.append((number, line))
            else:
                kept.append(line)
        for line in kept if self.accepts_partial or not (old or conflicts) else ():
            key = (line.measurement, frozenset(line.tags.items()), line.time)
            self.points.setdefault(key, {}).update(line.fields)
        return self.partial(old, conflicts) if old or conflicts else Reply(204)

    def answer_query(self, form: dict[str, str]) -> Reply:
        """Answer a question for the times of a field."""
        found = QUERY.fullmatch(form["q"])
        assert found is not None, form["q"]
        field, measurement, conditions, first, last = (re.sub(r"\\(.)", r"\1", text) for text in found.groups())
        wanted = set(CONDITION.findall(conditions))
        rows = [
            [time, fields[field]]
            for (name, tags, time), fields in self.points.items()
            if name == measurement and wanted <= tags and field in fields and int(first) <= time <= int(last)
        ]
        series = [{"name": measurement, "columns": ["time", field], "values": rows}] if rows else []
        return Reply(200, json.dumps({"results": [{"statement_id": 0, **({"series": series} if rows else {})}]}))

    def values(self, field: str) -> list[float]:
        """Return the values of a field, by time."""
        found = sorted((time, fields[field]) for (_, _, time), fields in self.points.items() if field in fields)
        return [value for _, value in found]

    def refuse(self, path: str, query: dict[str, str]) -> Reply | None:
        """Return what a request is refused with, before its points are looked at."""
        raise NotImplementedError

    def unauthorized(self) -> Reply:
        """Return the answer to a wrong token."""
        raise NotImplementedError

    def without_points(self) -> Reply:
        """Return the answer to a request without a point."""
        raise NotImplementedError

    def partial(self, old: list[tuple[int, Line]], conflicts: list[tuple[int, Line]]) -> Reply:
        """Return the answer where a part of the points was not kept."""
        raise NotImplementedError


class InfluxDB2(InfluxApi):
    """InfluxDB 2.x."""

    precision = "us"
    scheme = "Token"
    org = "home"
    bucket = "energy"

    def refuse(self, path: str, query: dict[str, str]) -> Reply | None:
        """Know one organization and one bucket."""
        assert (path, query["precision"]) == ("/api/v2/write", self.precision)
        if query["org"] != self.org:
            return self.error(404, "not found", f'organization name "{query["org"]}" not found')
        if query["bucket"] != self.bucket:
            return self.error(404, "not found", f'bucket "{query["bucket"]}" not found')
        return None

    def unauthorized(self) -> Reply:
        """Say so as 2.x does."""
        return self.error(401, "unauthorized", "unauthorized access")

    def without_points(self) -> Reply:
        """Refuse it as 2.x does."""
        return self.error(400, "invalid", "writing requires points")

    def partial(self, old: list[tuple[int, Line]], conflicts: list[tuple[int, Line]]) -> Reply:
        """Tell how many points were dropped, and one reason."""
        why = (
            'field type conflict: input field "watts" on measurement "energy" is type float, already exists as type'
            " integer"
            if conflicts
            else "points beyond retention policy"
        )
        text = f"failure writing points to database: partial write: {why} dropped={len(old) + len(conflicts)}"
        return self.error(422, "unprocessable entity", text)

    @staticmethod
    def error(status: int, code: str, message: str) -> Reply:
        """Return an error as 2.x writes it."""
        return Reply(status, json.dumps({"code": code, "message": message}))


class InfluxDB3(InfluxApi):
    """InfluxDB 3.x, which creates a database with its first points."""

    precision = "microsecond"
    scheme = "Bearer"
    accepts_partial = False

    def refuse(self, path: str, query: dict[str, str]) -> Reply | None:
        """Take every database."""
        assert (path, query["precision"], bool(query["db"])) == ("/api/v3/write_lp", self.precision, True)
        assert query["accept_partial"] == "false"
        return None

    def unauthorized(self) -> Reply:
        """Say so as 3.x does."""
        return Reply(401, json.dumps({"error": "the request was not authenticated"}))

    def without_points(self) -> Reply:
        """Refuse it as 3.x does."""
        return Reply(400, json.dumps({"error": "no lines in the request"}))

    def partial(self, old: list[tuple[int, Line]], conflicts: list[tuple[int, Line]]) -> Reply:
        """Tell of one line what was wrong with it; nothing is written."""
        number, line = (conflicts or old)[0]
        why = (
            "invalid column type for column 'watts', expected iox::column_type::field::integer"
            if conflicts
            else "the time is before the retention"
        )
        data = {"original_line": line.measurement, "line_number": number, "error_message": why}
        return Reply(400, json.dumps({"error": "parsing failed for write_lp endpoint", "data": data}))
