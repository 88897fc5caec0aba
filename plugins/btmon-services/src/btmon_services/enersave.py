# SPDX-License-Identifier: GPL-3.0-or-later
"""MyEnerSave: cumulative energy of each channel."""

from collections.abc import Iterator

import attrs

from btcore import Batch, ChannelRef, Delivery, Duration, Problem, Sample, Secret, plugin, setting
from btcore.web import AnswerRule, Verdict
from btmon_services.markup import document, element
from btmon_services.meters import ServiceOfMeters
from btmon_services.selection import (
    Direction,
    circuit_faults,
    default_channels,
    direction_by_type,
    epoch_seconds,
    flow_one_way,
    mapped_channels,
    samples_by_channel,
)
from btmon_services.service import Request, ServiceState

OTHER_WAY = 'if that is what it measures there, write direction = "{other}" for it in map'


@attrs.frozen(kw_only=True)
class SensorOptions:
    """What MyEnerSave is sent about a channel."""

    description: str = setting(default="", help="its name there; empty: the channel")
    type: int = setting(default=2, help="MyEnerSave's number for what it measures")
    direction: Direction | None = setting(  # noqa: RUF009 - a field
        default=None,
        help="the direction that is sent: import (used), export (generated); left out: by type, export for 1 and 11",
    )

    @property
    def counted_direction(self) -> Direction:
        """Which flow counts."""
        return self.direction or direction_by_type(self.type)


@plugin(api=1, delivery=Delivery(flush_interval=Duration(300), batch_size=100))
class EnerSave(ServiceOfMeters):
    """Sends cumulative energy to something that speaks MyEnerSave's protocol."""

    title = "MyEnerSave"
    state = ServiceState.GONE
    ended = "became Bidgely in 2014"
    account = "`token` and `map`"
    replies = (AnswerRule(200, "<error", Verdict.RETRY, "are `token` and `map` right?"),)

    url: str = setting(
        default="", help="address of a service that speaks its protocol, such as http://archive.example/fetcher/data"
    )
    token: Secret = setting(help="the account's token")
    # a stop of the program waits no longer than 30 s
    timeout: Duration = setting(default=Duration(25), help="longest wait for an answer")
    map: dict[ChannelRef, SensorOptions] = setting(
        factory=dict,
        help="what each channel measures: description; type, MyEnerSave's number (1 solar, 2 a circuit); direction"
        " (import or export), if it is not that of the type; empty: all channels",
        example='{ "399999_ch1" = { description = "kitchen" } }',
    )

    def check(self) -> Iterator[Problem]:
        """Yield the problems between the settings."""
        yield from super().check()
        yield from (Problem(fault, "map") for fault in circuit_faults(self.map))

    def requests(self, batch: Batch) -> Iterator[Request]:
        """Make one request: of each channel its counter in Wh, oldest first."""
        upload = element(None, "upload")
        sent: set[Sample] = set()
        for (serial, channel), (target, samples) in samples_by_channel(batch, self._sensors).items():
            self.check_direction(samples[-1], channel, target.counted_direction, OTHER_WAY)
            counts = [
                (one, flow_one_way(one, channel, target.counted_direction, self._context.polarity).energy)
                for one in samples
            ]
            known = [(one, energy) for one, energy in counts if energy is not None]
            about = {"id": f"{self.meter_name(serial)}_{channel}", "description": target.description or channel}
            sensor = element(upload, "sensor", type=target.type, **about) if known else None
            for one, energy in known:
                element(sensor, "energy", time=epoch_seconds(one), wh=f"{energy:z.6f}")
            sent.update(one for one, _ in known)
        if len(upload):
            headers = {"Content-Type": "application/xml", "Token": self.token.reveal()}
            yield Request("POST", self.address, data=document(upload), headers=headers, of=sent)

    def _sensors(self, sample: Sample) -> Iterator[tuple[str, SensorOptions]]:
        return (
            mapped_channels(sample, self.map)
            if self.map
            else ((channel, SensorOptions()) for channel in default_channels(sample))
        )
