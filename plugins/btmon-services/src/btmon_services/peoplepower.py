# SPDX-License-Identifier: GPL-3.0-or-later
"""People Power: power and energy of each channel, as devices of a hub.

Facts: http://developer.peoplepowerco.com/docs/, Device API: measurements, adding devices, result codes.
"""

import time
from collections.abc import Iterable, Iterator
from xml.etree.ElementTree import Element

import attrs

from btcore import (
    Batch,
    ChannelRef,
    Context,
    Delivery,
    Duration,
    Problem,
    Reject,
    Retry,
    Sample,
    Secret,
    hookimpl,
    plugin,
    setting,
)
from btcore.web import AnswerRule, Verdict, describe_answer, raise_for_answer
from btmon_services.markup import document, element
from btmon_services.selection import circuit_faults, direction_among, flow_one_way, format_utc, mapped_channels
from btmon_services.service import Request, Service, ServiceState

GENERATION = "if it generates, name it in generation, else leave it out there"

ENERGY_METER = 1005
"""Their number for a device that measures power and energy."""


def _status(codes: str, verdict: Verdict, advice: str = "") -> AnswerRule:
    return AnswerRule(200, rf"""\bstatus\s*=\s*["']({codes})["']""", verdict, advice)


TAKEN = _status("ACK|CONT", Verdict.DELIVERED)
REFUSED = (
    _status("UNAUTHORIZED", Verdict.STOP, "check `token`"),
    _status("UNKNOWN", Verdict.STOP, "check `hub_id`: the hub is not registered"),
)
"""Answers that refuse every request. A NACK, like every other answer, means retry."""


@plugin(api=1, delivery=Delivery(flush_interval=Duration(900), batch_size=100))
class PeoplePower(Service):
    """Sends power and energy to People Power."""

    title = "People Power"
    state = ServiceState.UNKNOWN
    account = "`hub_id`, `token` and the ids in `map`"
    replies = (TAKEN, *REFUSED, _status("ERR_FORMAT", Verdict.REJECT), AnswerRule(200, "", Verdict.RETRY))

    url: str = setting(default="https://esp.peoplepowerco.com:8443/deviceio/ml", help="address of the service")
    token: Secret = setting(help="the hub's authentication token")
    hub_id: str = setting(default="1", help="the hub's number, as it was registered")
    map: dict[ChannelRef, str] = setting(
        help="each channel, and the id of its device", example='{ "399999_ch1" = "9990c1" }'
    )
    generation: list[ChannelRef] = setting(
        factory=list,
        help="channels of the map that generate: their export is sent; of all other channels, the import",
        example='["399999_ch2"]',
    )
    add_devices: bool = setting(default=True, help="register the devices of the map at the start")

    def check(self) -> Iterator[Problem]:
        """Yield the problems between the settings."""
        yield from super().check()
        yield from (Problem(fault, "map") for fault in circuit_faults(self.map))
        labels = {channel.label for channel in self.map}
        for channel in self.generation:
            if channel.label not in labels:
                yield Problem(f"{channel} is not in map: only what is there is sent", "generation")

    @hookimpl
    def open(self, context: Context) -> None:
        """Prepare to send."""
        super().open(context)
        self._devices_pending = self.add_devices
        self._warned = False
        self._seq = 0

    @hookimpl
    def process_batch(self, batch: Batch) -> int:
        """Send a batch. The devices go first, until they are taken, or measurements of them are."""
        if self._devices_pending:
            self._add()
        return super().process_batch(batch)

    def send(self, request: Request) -> None:
        """Send measurements. When they are taken, the devices are known."""
        super().send(request)
        self._devices_pending = False

    @hookimpl
    def preview_batch(self, batch: Batch) -> Iterator[str]:
        """Yield the requests that would be sent, the devices first."""
        if self._devices_pending:
            self._devices_pending = False
            yield self._client.redact(str(self._devices()))
        yield from super().preview_batch(batch)

    def requests(self, batch: Batch) -> Iterator[Request]:
        """Make one request: mean power and energy, of one direction, of every mapped channel, oldest first."""
        measures = {sample: found for sample in batch.samples if (found := list(self._measures(sample)))}
        if measures:
            message = self._message(one for found in measures.values() for one in found)
            yield attrs.evolve(message, of=measures)

    def _measures(self, sample: Sample) -> Iterator[Element]:
        for channel, device in mapped_channels(sample, self.map):
            measure = element(None, "measure", deviceId=device, deviceType=ENERGY_METER, timestamp=format_utc(sample))
            direction = direction_among(self.generation, sample.serial, channel)
            self.check_direction(sample, channel, direction, GENERATION)
            found = flow_one_way(sample, channel, direction, self._context.polarity)
            if found.watts is not None:
                element(measure, "param", name="power", units="W").text = f"{found.watts:z.2f}"
            if found.energy is not None:
                element(measure, "param", name="energy", units="Wh").text = f"{found.energy:z.5f}"
            if len(measure):
                yield measure

    def _add(self) -> None:
        """Register the devices.

        They may be known already: so whether measurements are taken does not depend on it. Raises Stop, and Retry where
        the service does not answer or wants to be left alone for a while.
        """
        answer = self.ask(self._devices())
        self._devices_pending = not TAKEN.fits(answer)
        try:
            raise_for_answer(answer, (*REFUSED, *self.usual, AnswerRule(200, "", Verdict.DELIVERED)), self.title)
        except Retry as error:
            if error.after is not None:
                raise
        except Reject:
            pass  # logged below, as any other answer
        if self._devices_pending and not self._warned:
            self._warned = True
            self._context.log.warning("the devices were not added: %s", describe_answer(answer, self.title))

    def _devices(self) -> Request:
        devices = dict.fromkeys(self.map.values())
        return self._message(element(None, "add", deviceId=device, deviceType=ENERGY_METER) for device in devices)

    def _message(self, parts: Iterable[Element]) -> Request:
        root = element(None, "h2s", ver=2, hubId=self.hub_id, seq=self._next())
        root.extend(parts)
        headers = {"Content-Type": "text/xml", "PPCAuthorization": f"esp token={self.token.reveal()}"}
        return Request("POST", self.address, data=document(root), headers=headers)

    def _next(self) -> int:
        """Return the next sequence number. It rises for ever, also over a restart: it is the time, in milliseconds."""
        self._seq = max(self._seq + 1, time.time_ns() // 1_000_000)
        return self._seq
