# SPDX-License-Identifier: GPL-3.0-or-later
"""The sink for a web address that takes JSON."""

from collections.abc import Iterable, Iterator
from typing import Literal

import attrs

from btcore import (
    Batch,
    Context,
    Delivery,
    DiagnosisContext,
    Duration,
    Finding,
    Problem,
    Retry,
    Secret,
    Serials,
    Stop,
    hookimpl,
    plugin,
    setting,
)
from btcore.web import Client, describe_answer, is_public, raise_for_answer, setting_problems
from btmon_pipe.sink import LineSink, count_readings

REFUSED = (401, 403)

TYPES = {"lines": "application/x-ndjson", "array": "application/json"}


@plugin(api=1, delivery=Delivery(flush_interval=Duration(10), batch_size=100))
class PipeWebhook(LineSink):
    """Posts samples to a web address, as lines of JSON or as one array."""

    url: Secret = setting(help="where it is sent", example="https://example.com/energy")
    token: Secret = setting(default=Secret(""), help="sent as a bearer token")
    headers: dict[str, Secret] = setting(factory=dict, help="further headers")
    body: Literal["lines", "array"] = setting(default="lines", help="lines: one for each sample; array: JSON's [...]")
    timeout: Duration = setting(default=Duration(15), help="longest wait for an answer")
    serials: Serials | None = setting(
        default=None,
        help="how meters are named: full, the serial number; short, XXX and the last three digits;"
        " left out: short where `url` is on the Internet",
    )
    _client: Client | None = attrs.field(init=False, default=None, repr=False)

    def check(self) -> Iterator[Problem]:
        """Yield the problems between the settings."""
        return setting_problems(self, "url")

    @property
    def hosted(self) -> bool:
        """Whether it is a hosted service on the Internet, and not a server of one's own."""
        return is_public(self.url.reveal())

    def diagnose(self, _context: DiagnosisContext) -> Iterable[Finding]:
        """Ask for the page without its body: no sample is sent."""
        client = self._connect()
        try:
            answer = client.send("HEAD", self.url.reveal())
        except (Retry, Stop) as error:
            yield Finding("unreachable", str(error), "Check `url` and the connection; readings wait meanwhile")
        else:
            if answer.code in REFUSED:
                yield Finding("credentials", describe_answer(answer, "The receiver"), "Check `token` and `headers`")
        finally:
            client.close()

    @hookimpl
    def open(self, context: Context) -> None:
        """Prepare to send."""
        self._prepare(context, self.serials or ("short" if self.hosted else "full"))
        self._client = self._connect()

    @hookimpl
    def close(self) -> None:
        """Give the connection back."""
        if self._client is not None:
            self._client.close()
        self._client = None

    @hookimpl
    def process_batch(self, batch: Batch) -> int:
        """Send a batch in one request; return of how many readings something was sent. Raises Retry, Reject or Stop."""
        assert self._client is not None  # noqa: S101 - the core opens before it delivers
        records = self._records(batch)
        if records:
            lines = [row.line for record in records for row in record.rows]
            data = b"".join(lines) if self.body == "lines" else b"[%b]" % b",".join(line.rstrip() for line in lines)
            kind = {"Content-Type": TYPES[self.body]}
            raise_for_answer(self._client.send("POST", self.url.reveal(), data=data, headers=kind), (), "The receiver")
        return count_readings(batch, records)

    def _connect(self) -> Client:
        headers = {name: secret.reveal() for name, secret in self.headers.items()}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token.reveal()}"
        secrets = [self.url, self.token, *self.headers.values()]
        return Client(agent="btmon-pipe", timeout=self.timeout, secrets=secrets, headers=headers)
