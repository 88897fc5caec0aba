# SPDX-License-Identifier: GPL-3.0-or-later
"""Wattvision: power and energy of one channel, one reading a request.

Facts: https://wattvision.readme.io/reference/upload-data-to-wattvision.
"""

from collections.abc import Iterator

from btcore import ChannelRef, Delivery, Duration, Problem, Sample, Secret, plugin, setting
from btcore.web import AnswerRule, Verdict
from btmon_services.selection import Direction, circuit_faults, flow_one_way, format_utc
from btmon_services.service import Request, ServiceOfEntries, ServiceState

OTHER_WAY = 'if that is what it measures, write direction = "{other}"'


@plugin(api=1, delivery=Delivery(interval=Duration(120), batch_size=1, min_call_interval=Duration(15)))
class Wattvision(ServiceOfEntries):
    """Sends one channel to Wattvision."""

    title = "Wattvision"
    state = ServiceState.UNKNOWN
    account = "`sensor_id`, `api_id` and `api_key`"
    replies = (AnswerRule(200, '"success": ?false', Verdict.RETRY, "are `sensor_id`, `api_id` and `api_key` right?"),)

    url: str = setting(default="https://www.wattvision.com/api/v0.2/elec", help="address of the service")
    api_id: str = setting(help="the API ID, from the API Settings page")
    api_key: Secret = setting(help="the API key, from the same page")
    sensor_id: str = setting(help="the sensor's number, from the same page", example="4321")
    channel: ChannelRef = setting(help="the channel that measures the entire house", example="399999_ch1")
    direction: Direction = setting(
        default="import", help="the direction that is sent: import, as of a house; export, as of solar panels"
    )

    def check(self) -> Iterator[Problem]:
        """Yield the problems between the settings."""
        yield from super().check()
        if not self.channel.serial:
            yield Problem(f"say of which meter: expected SERIAL_{self.channel.label}", "channel")
        yield from (Problem(fault, "channel") for fault in circuit_faults([self.channel]))

    def entries(self, sample: Sample) -> Iterator[Request]:
        """Make the request of a sample."""
        numbers = self._numbers(sample) if self.channel.matches(sample.serial) else {}
        if numbers:
            key = {"sensor_id": self.sensor_id, "api_id": self.api_id, "api_key": self.api_key.reveal()}
            # the service takes a time without a zone, and holds it to be UTC
            yield Request("POST", self.url, json={**key, "time": format_utc(sample).rstrip("Z"), **numbers})

    def _numbers(self, sample: Sample) -> dict[str, float]:
        """Return mean power, and the counter of energy so far, both of one direction, as far as they are known."""
        self.check_direction(sample, self.channel.label, self.direction, OTHER_WAY)
        found = flow_one_way(sample, self.channel.label, self.direction, self._context.polarity)
        numbers = {"watts": found.watts, "watthours": found.energy}
        # + 0.0: never -0.0
        return {name: value + 0.0 for name, value in numbers.items() if value is not None}
