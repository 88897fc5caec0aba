# SPDX-License-Identifier: GPL-3.0-or-later
"""PlotWatt: readings of power, several meters and moments in one request."""

from collections.abc import Iterator

from btcore import Batch, ChannelRef, Delivery, Duration, Problem, Sample, Secret, plugin, setting
from btcore.web import AnswerRule, Verdict
from btmon_services.selection import circuit_faults, epoch_seconds, mapped_channels, power
from btmon_services.service import Request, Service, ServiceState


@plugin(api=1, delivery=Delivery(flush_interval=Duration(60), batch_size=100))
class PlotWatt(Service):
    """Sends power to PlotWatt."""

    title = "PlotWatt"
    state = ServiceState.UNKNOWN
    account = "`api_key` and the numbers in `map`"
    replies = (
        AnswerRule(200, "invalid|error", Verdict.RETRY, "are `api_key` and the numbers in `map` right?"),
        AnswerRule(422, "", Verdict.STOP, "check the numbers of PlotWatt's meters in map"),
    )

    url: str = setting(default="http://plotwatt.com", help="address of the service")
    api_key: Secret = setting(help="the account's key")
    map: dict[ChannelRef, str] = setting(
        help="each channel, and the number of its meter at PlotWatt", example='{ "399999_ch1" = "1000" }'
    )

    def check(self) -> Iterator[Problem]:
        """Yield the problems between the settings."""
        yield from super().check()
        yield from (Problem(fault, "map") for fault in circuit_faults(self.map))

    def requests(self, batch: Batch) -> Iterator[Request]:
        """One request: meter, kW, epoch of every mapped channel, oldest first."""
        fields = {sample: found for sample in batch.samples if (found := ",".join(self._fields(sample)))}
        if fields:
            yield Request(
                "POST",
                f"{self.url.rstrip('/')}/api/v2/push_readings",
                data=",".join(fields.values()),
                headers={"Content-Type": "text/csv"},
                auth=(self.api_key.reveal(), ""),
                of=fields,
            )

    def _fields(self, sample: Sample) -> Iterator[str]:
        for channel, meter in mapped_channels(sample, self.map):
            watts = power(sample, channel)
            if watts is not None:
                yield f"{meter},{watts / 1000:z.5f},{epoch_seconds(sample)}"
