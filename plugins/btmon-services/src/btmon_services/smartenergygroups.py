# SPDX-License-Identifier: GPL-3.0-or-later
"""Smart Energy Groups: power, energy, pulses and temperatures, several readings in one request."""

import re
from collections.abc import Iterator

from btcore import Batch, ChannelRef, Delivery, Duration, Problem, Sample, Secret, plugin, setting
from btcore.web import AnswerRule, Verdict
from btmon_services.meters import ServiceOfMeters
from btmon_services.selection import (
    default_channels,
    finite_number,
    format_utc,
    is_circuit,
    mapped_channels,
    sensor_labels,
)
from btmon_services.service import Request, ServiceState


@plugin(api=1, delivery=Delivery(flush_interval=Duration(60), batch_size=100))
class SmartEnergyGroups(ServiceOfMeters):
    """Sends what the meters measure to something that speaks the protocol of Smart Energy Groups."""

    title = "Smart Energy Groups"
    state = ServiceState.GONE
    ended = "ended in 2020"
    account = "`token`"
    replies = (
        AnswerRule(200, r"\(status ok\)", Verdict.DELIVERED),
        AnswerRule(200, "", Verdict.RETRY, "are `token` and `url` right?"),
    )

    url: str = setting(
        default="",
        help="address of a service that speaks its protocol, such as http://archive.example/api_sites/stream",
    )
    token: Secret = setting(help="the site's token")
    map: dict[ChannelRef, str] = setting(
        factory=dict,
        help='each channel, and the name of its stream ("": the label of the channel); empty: all channels',
    )

    def check(self) -> Iterator[Problem]:
        """Yield the problems between the settings."""
        yield from super().check()
        for channel, name in self.map.items():
            if not (is_circuit(channel.label) or re.fullmatch(r"[pt]\d+", channel.label)):
                yield Problem(f"{channel}: expected a channel, a pulse counter (p1) or a temperature (t1)", "map")
            if not re.fullmatch(r"[^()\"\s]+( [^()\"\s]+)*|", name):
                yield Problem(f"{name!r}: expected a name without brackets, quotes and blanks around it", "map")

    def requests(self, batch: Batch) -> Iterator[Request]:
        """Make one request: a site, and in it a node for each sample."""
        nodes = {sample: node for sample in batch.samples if (node := self._node(sample))}
        if nodes:
            site = expression(f"site {self.token.reveal()}", *nodes.values(), after=" ")
            yield Request("PUT", self.url, data={"data_post": site}, of=nodes)

    def _node(self, sample: Sample) -> str:
        streams = [expression(name, value, after=" ") for name, value in self._streams(sample)]
        return (
            expression(f"node {self.meter_name(sample.serial)} {format_utc(sample)}", *streams, after=" ")
            if streams
            else ""
        )

    def _streams(self, sample: Sample) -> Iterator[tuple[str, str]]:
        """Yield each stream's name and value: mean W, Wh of the interval, pulses so far, degrees."""
        for label, name in mapped_channels(sample, self.map) if self.map else self._all(sample):
            for kind, source, form in kinds(label):
                value = finite_number(sample, source)
                if value is not None:
                    yield f"{kind}_{name.lower() or label}", f"{value:{form}}"

    def _all(self, sample: Sample) -> Iterator[tuple[str, str]]:
        names = (*default_channels(sample), *sensor_labels(sample.format, "p"), *sensor_labels(sample.format, "t"))
        return ((name, "") for name in names)


def kinds(label: str) -> list[tuple[str, str, str]]:
    """Return what is sent of a channel or sensor: the kind of stream, the label of its number, and the form of that."""
    if re.fullmatch(r"p\d+", label):
        return [("n", label, ".0f")]
    if re.fullmatch(r"t\d+", label):
        return [("temperature", label, "z.2f")]
    return [("p", f"{label}_w", "z.2f"), ("e", f"{label}_dwh", "z.5f")]


def expression(head: str, *parts: str, after: str) -> str:
    """Make an expression in brackets."""
    return f"({head}{after}{''.join(parts)})"
