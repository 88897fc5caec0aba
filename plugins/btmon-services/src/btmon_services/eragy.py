# SPDX-License-Identifier: GPL-3.0-or-later
"""Eragy: cumulative energy of every channel, in the form in which a TED 5000 posts to third parties.

Facts: TED 5000 Third Party Posting API, gateway firmware R452. An MTU is what measures a circuit there. Its types are 0
for a load, 1 for generation, 2 for net; only the first two count one direction.
"""

from collections.abc import Iterator, Mapping

from btcore import Batch, ChannelRef, Delivery, Duration, Problem, Sample, Secret, plugin, setting
from btcore.web import AnswerRule, Verdict
from btmon_services.markup import document, element
from btmon_services.meters import ServiceOfMeters
from btmon_services.selection import (
    Direction,
    circuit_faults,
    default_channels,
    direction_among,
    epoch_seconds,
    flow_one_way,
    samples_by_channel,
)
from btmon_services.service import Request, ServiceState

GENERATION = "if it generates, name it in generation, else leave it out there"

TYPES: Mapping[Direction, int] = {"import": 0, "export": 1}
"""Types of an MTU."""


@plugin(api=1, delivery=Delivery(flush_interval=Duration(60), batch_size=100))
class Eragy(ServiceOfMeters):
    """Sends cumulative energy to Eragy, as a TED 5000 does."""

    title = "Eragy"
    state = ServiceState.UNKNOWN
    account = "`gateway_id` and `token`"
    replies = (
        AnswerRule(200, r"<xml>\s*0\s*</xml>|^$", Verdict.DELIVERED),  # other receivers of these posts answer nothing
        AnswerRule(200, "", Verdict.RETRY, "are `gateway_id`, `token` and `url` right?"),
    )

    url: str = setting(
        default="http://d.myeragy.com/energyremote.aspx",
        help="address of the service, or of one that speaks its protocol",
    )
    gateway_id: str = setting(help="the gateway's number, as it was registered", example="399999")
    token: Secret = setting(help="the token that activation gave")
    generation: list[ChannelRef] = setting(
        factory=list,
        help="channels that generate: their export is sent; of all other channels, the import",
        example='["399999_ch2"]',
    )

    def check(self) -> Iterator[Problem]:
        """Yield the problems between the settings."""
        yield from super().check()
        yield from (Problem(fault, "generation") for fault in circuit_faults(self.generation))

    def requests(self, batch: Batch) -> Iterator[Request]:
        """Make one request: of each channel its counter of one direction in Wh, oldest first; it calls them watts."""
        root = element(None, "ted5000", GWID=self.gateway_id, auth=self.token.reveal())
        sent: set[Sample] = set()
        for (serial, channel), (_, samples) in samples_by_channel(batch, _all).items():
            direction = direction_among(self.generation, serial, channel)
            self.check_direction(samples[-1], channel, direction, GENERATION)
            unit = element(root, "MTU", ID=f"{self.meter_name(serial)}_{channel}", type=TYPES[direction])
            for sample in samples:
                energy = flow_one_way(sample, channel, direction, self._context.polarity).energy
                if energy is not None:
                    element(unit, "cumulative", timestamp=epoch_seconds(sample), watts=f"{energy:z.4f}")
                    sent.add(sample)
        if len(root):
            yield Request("POST", self.address, data=document(root), headers={"Content-Type": "text/xml"}, of=sent)


def _all(sample: Sample) -> Iterator[tuple[str, None]]:
    return ((channel, None) for channel in default_channels(sample))
