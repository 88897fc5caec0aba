# SPDX-License-Identifier: GPL-3.0-or-later
"""ThingSpeak: up to eight fields of a channel; one entry a request, or many.

A meter has a channel of its own with a key of its own, and is delivered by itself.

Facts: https://www.mathworks.com/help/thingspeak/rest-api.html (write data, bulk-write JSON data, error codes).
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Self

import attrs

from btcore import (
    Batch,
    ChannelRef,
    Delivery,
    Duration,
    Problem,
    Reject,
    Retry,
    Sample,
    Secret,
    Serial,
    hookimpl,
    plugin,
    setting,
)
from btcore.web import AnswerRule, Verdict, describe_answer
from btmon_services.selection import default_channels, format_utc, mapped_channels, power
from btmon_services.service import Request, ServiceOfEntries, ServiceState

MIN_INTERVAL = 15.0
"""Seconds between two entries of a channel, or two requests with many."""

FIELDS = 8
"""Fields of a channel."""

MAX_TRIES = 6
"""Attempts for an entry, with a backoff between them, before it is rejected: some 15 minutes."""

UNCLEAR = AnswerRule(200, "^0$", Verdict.RETRY)
"""The answer to an entry that comes too soon after the last one, or for a second that has an entry already."""


@plugin(api=1, delivery=Delivery(interval=Duration(60), batch_size=1, min_call_interval=Duration(MIN_INTERVAL)))
class ThingSpeak(ServiceOfEntries):
    """Sends power to channels of ThingSpeak."""

    title = "ThingSpeak"
    state = ServiceState.OPERATING
    account = "`tokens` and `channels`"
    replies = (
        AnswerRule(402, "", Verdict.RETRY, "the account has used up its messages", after=3600.0),
        AnswerRule(404, "", Verdict.STOP, "check the Channel ID in `channels`, and then `url`"),
        AnswerRule(409, "", Verdict.REJECT),
        AnswerRule(421, "", Verdict.REJECT),
        AnswerRule(429, "", Verdict.RETRY, after=MIN_INTERVAL),
    )

    url: str = setting(default="https://api.thingspeak.com", help="address of the service")
    tokens: dict[Serial, Secret] = setting(
        help="each meter's serial number and the Write API Key of its channel", example='{ "399999" = "KEY" }'
    )
    channels: dict[Serial, str] = setting(
        factory=dict,
        help="each meter's serial number and the Channel ID; with it many entries go in one request (see batch_size)",
    )
    fields: dict[ChannelRef, int] = setting(
        factory=dict,
        help="each channel, and the number of its field, 1 to 8; empty: the first eight channels, in order",
    )

    def check(self) -> Iterator[Problem]:
        """Yield the problems between the settings."""
        yield from super().check()
        for channel, field in self.fields.items():
            if not 1 <= field <= FIELDS:
                yield Problem(f"{channel}: a channel of ThingSpeak has fields 1 to {FIELDS}", "fields")
        for (serial, field), count in Counter((ref.serial, field) for ref, field in self.fields.items()).items():
            if count > 1:
                yield Problem(f"meter {serial or 'any'} has {count} channels for field {field}", "fields")
        for serial, number in self.channels.items():
            if serial not in self.tokens:
                yield Problem(f"meter {serial} has no key in tokens", "channels")
            if not number.isdecimal():
                yield Problem(f"meter {serial}: expected a number, the Channel ID", "channels")

    def __attrs_post_init__(self) -> None:
        """Begin with nothing refused."""
        self._unclear: Request | None = None
        self._tries = 0
        self.warns_of_missing_keys = True
        self.serials_with_key = frozenset(self.tokens)

    @hookimpl
    def split(self) -> Mapping[str, object]:
        """Deliver each meter by itself: what one key is refused, or has to wait for, does not concern the others."""
        parts = {serial: self._part(serial) for serial in self.tokens}
        for part in list(parts.values())[1:]:
            part.warns_of_missing_keys = False  # of meters without a key, which the first one tells of
        return parts

    def deliver(self, batch: Batch) -> Iterator[Sample]:
        """Send the entries, all those of a meter whose channel is known in one request."""
        yield from super().deliver(batch)
        for request in self._bulks(batch):
            self.send(request)
            yield from request.of

    def requests(self, batch: Batch) -> Iterator[Request]:
        """Make one request for each entry, or for all entries of a meter whose channel is known."""
        yield from super().requests(batch)
        yield from self._bulks(batch)

    def entries(self, sample: Sample) -> Iterator[Request]:
        """Make the request of one entry, where the meter's channel is not known."""
        if sample.serial in self.tokens and sample.serial not in self.channels and (fields := self._fields(sample)):
            yield self._entry(sample, fields)

    def send(self, request: Request) -> None:
        """Send one request; what is refused without a clear reason is rejected after some attempts."""
        answer = self.ask(request)
        if not UNCLEAR.fits(answer):
            self.raise_for_answer(answer)
            self._tries = 0
            return
        self._tries = 1 if request != self._unclear else self._tries + 1
        self._unclear = request
        what = describe_answer(answer, self.title)
        why = f"{what}: the last entry was sent too recently, or this second has an entry already"
        if self._tries == MAX_TRIES:
            raise Reject(why)
        raise Retry(why, after=MIN_INTERVAL * 2 ** (self._tries - 1))

    def meet(self, sample: Sample) -> Iterator[str]:
        """Yield also a warning about what of a meter is not sent."""
        if sample.serial not in self.tokens:
            if self.warns_of_missing_keys and sample.serial not in self.serials_with_key:
                yield (
                    f"tokens: meter {sample.serial} has no key there, so nothing of it is sent; there are keys of"
                    f" {', '.join(sorted(self.serials_with_key))}"
                )
            return
        yield from super().meet(sample)
        if not self.fields and len(default_channels(sample)) > FIELDS:
            yield f"a channel of ThingSpeak has {FIELDS} fields: name those of meter {sample.serial} in fields"

    def _fields(self, sample: Sample) -> dict[str, str]:
        numbers = {ChannelRef("", name): index for index, name in enumerate(default_channels(sample)[:FIELDS], 1)}
        found = {field: power(sample, name) for name, field in mapped_channels(sample, self.fields or numbers)}
        return {f"field{field}": f"{watts:z.2f}" for field, watts in sorted(found.items()) if watts is not None}

    def _part(self, serial: str) -> Self:
        channels = {serial: self.channels[serial]} if serial in self.channels else {}
        part = attrs.evolve(self, tokens={serial: self.tokens[serial]}, channels=channels)
        part.serials_with_key = self.serials_with_key
        return part

    def _bulks(self, batch: Batch) -> Iterator[Request]:
        bulks: dict[str, dict[Sample, dict[str, str]]] = {}
        for sample in batch.samples:
            if sample.serial in self.tokens and sample.serial in self.channels and (fields := self._fields(sample)):
                bulks.setdefault(sample.serial, {})[sample] = fields
        return (self._bulk(serial, entries) for serial, entries in bulks.items())

    def _entry(self, sample: Sample, fields: dict[str, str]) -> Request:
        return Request(
            "POST",
            f"{self._base}/update",
            data={"created_at": format_utc(sample), **fields},
            headers={"THINGSPEAKAPIKEY": self.tokens[sample.serial].reveal()},
        )

    def _bulk(self, serial: str, entries: dict[Sample, dict[str, str]]) -> Request:
        # two of the same second would be refused: the later one counts
        updates = {format_utc(sample): fields for sample, fields in entries.items()}
        return Request(
            "POST",
            f"{self._base}/channels/{self.channels[serial]}/bulk_update.json",
            json={
                "write_api_key": self.tokens[serial].reveal(),
                "updates": [{"created_at": time, **fields} for time, fields in updates.items()],
            },
            of=entries,
        )

    @property
    def _base(self) -> str:
        # btmon's address was that of one page
        return re.sub(r"(/update(\.json)?)?/?$", "", self.url)
