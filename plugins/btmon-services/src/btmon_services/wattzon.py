# SPDX-License-Identifier: GPL-3.0-or-later
"""WattzOn: power of one channel a request; each channel is delivered by itself."""

from collections.abc import Iterator, Mapping
from http import HTTPStatus
from urllib.parse import quote

import attrs

from btcore import ChannelRef, Delivery, Duration, Problem, Sample, Secret, hookimpl, plugin, setting
from btcore.web import Answer, AnswerRule, Verdict
from btmon_services.selection import circuit_faults, format_utc, mapped_channels, power
from btmon_services.service import Request, ServiceOfEntries, ServiceState


@plugin(api=1, delivery=Delivery(interval=Duration(300), batch_size=1))
class WattzOn(ServiceOfEntries):
    """Sends power to something that speaks the protocol of WattzOn."""

    title = "WattzOn"
    state = ServiceState.GONE
    ended = "ended in 2011"
    account = "`api_key`, `user` and the names in `map`"
    replies = (
        AnswerRule(200, '"status": ?"ok"', Verdict.DELIVERED),
        AnswerRule(200, "", Verdict.RETRY),
    )

    url: str = setting(
        default="",
        help="address of a service that speaks its protocol, such as http://archive.example/api/2009-01-27/3",
    )
    api_key: Secret = setting(help="the key of the API")
    user: str = setting(help="the account's name", example="someone")
    password: Secret = setting(help="the account's password")
    map: dict[ChannelRef, str] = setting(
        help="each channel, and the name of its meter at WattzOn", example='{ "399999_ch1" = "kitchen" }'
    )

    def check(self) -> Iterator[Problem]:
        """Yield the problems between the settings."""
        yield from super().check()
        yield from (Problem(fault, "map") for fault in circuit_faults(self.map))

    @hookimpl
    def split(self) -> Mapping[str, object]:
        """Deliver each channel by itself: what one is refused, or has to wait for, does not concern the others."""
        return {str(channel): attrs.evolve(self, map={channel: meter}) for channel, meter in self.map.items()}

    def entries(self, sample: Sample) -> Iterator[Request]:
        """Make one request for each channel."""
        for channel, meter in mapped_channels(sample, self.map):
            watts = power(sample, channel)
            if watts is not None:
                yield self._update(sample, meter, round(watts))

    def ask(self, request: Request) -> Answer:
        """Send one request, and again with name and password when the service asks for them."""
        answer = super().ask(request)
        challenge = answer.headers.get("www-authenticate", "")
        if answer.code == HTTPStatus.UNAUTHORIZED and challenge.lower() == 'basic realm="wattzon"':
            return super().ask(attrs.evolve(request, auth=(self.user, self.password.reveal())))
        return answer

    def _update(self, sample: Sample, meter: str, watts: int) -> Request:
        path = f"user/{quote(self.user, safe='')}/powermeter/{quote(meter, safe='')}/upload.json"
        return Request(
            "POST",
            f"{self.url.rstrip('/')}/{path}",
            params={"key": self.api_key.reveal()},
            json={"updates": [{"timestamp": format_utc(sample), "power": {"magnitude": watts, "unit": "W"}}]},
        )
