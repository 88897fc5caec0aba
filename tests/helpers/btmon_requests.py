# SPDX-License-Identifier: GPL-3.0-or-later
"""btmon's recordings of what it sent to each service, and the same readings for a plugin of ours to send.

`scenario("plotwatt", "ecm1240bin_steady.typical")` has what btmon was told and what it sent; `batches()` are the
readings and samples that it was given, pass by pass, as the core makes them.
"""

import json
import re
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import attrs

from btcore import Batch, Number, Polarity, Reading, Sample
from btcore.testing import Reply, Request
from btcore.testing.kit.hosted_service import request
from helpers.folders import GOLDEN
from helpers.golden_streams import recorded_readings
from helpers.samplers import samples_between

MINUS_ZERO = re.compile(r"(?<![\w.])-(0(?:\.0+)?)(?![\d.])")
"""A zero with a sign, in whatever is sent."""

BTMON_S_CHANNELS = 32
"""QUIRKS B4: of a GEM it knew no more."""


@attrs.frozen(eq=False)
class Scenario:
    """One recording, and the name of the stream of packets that was its input."""

    data: Mapping[str, Any] = attrs.field(repr=False)
    stream: str

    @property
    def options(self) -> dict[str, str]:
        """What btmon was told, by its own names."""
        return dict(self.data["options"])

    @property
    def refusal(self) -> str:
        """What btmon printed when it refused its options."""
        return str(self.data["setup"]["stdout"])

    @property
    def requests(self) -> list[Request]:
        """All that btmon sent, in order, with the answers that it got."""
        return [one for some in self.passes for one in some]

    @property
    def passes(self) -> list[list[Request]]:
        """What btmon sent, pass by pass; where it sent -0.0 (QUIRKS A4), 0.0 is shown: that is the same number."""
        return [
            [_recorded(sent) for batch in each["batches"] for sent in batch["requests"]] for each in self.data["passes"]
        ]

    @cached_property
    def readings(self) -> list[Reading]:
        """The packets of the stream, as readings."""
        return recorded_readings(self.stream)

    def batches(self, polarity: Polarity = "btmon", *, numbers_of_btmon: bool = False) -> list[Batch]:
        """Return what the passes had to deliver, each with its samples.

        `numbers_of_btmon` puts in btmon's numbers where they are not right, so that all else can be compared with what
        it sent: watts of a channel that ran both ways (QUIRKS A1), -0.0 W of an idle one (A4), 0 degrees where there
        is no sensor (B1), and nothing counted by channels 33 to 48 (B4).
        """
        readings = [_with_btmon_s_numbers(r) for r in self.readings] if numbers_of_btmon else self.readings
        samples = {sample.newer.offset: sample for sample in samples_between(readings, polarity)}
        if numbers_of_btmon:
            samples = {seq: _with_btmon_s_watts(sample) for seq, sample in samples.items()}
        return [
            Batch(
                tuple(readings[place] for place in places),
                tuple(samples[place + 1] for place in places if place + 1 in samples),
            )
            for places in map(_inserted, self.data["passes"])
        ]


def scenario(service: str, name: str) -> Scenario:
    """Load a recording by its service (btmon's name) and its own name."""
    data = json.loads((GOLDEN / "services" / service / f"{name}.json").read_text())
    return Scenario(data, data["input"]["stream"])


def scenario_names(service: str) -> list[str]:
    """Return the names of all recordings of a service."""
    return sorted(path.stem for path in (GOLDEN / "services" / service).glob("*.json"))


def toml_map(pairs: str, quote: str = '"') -> str:
    """Write a map of btmon, `a,1,b,2`, as a table of TOML; its values are texts, or numbers with `quote` empty."""
    items = pairs.split(",")
    inside = (f'"{key}" = {quote}{value}{quote}' for key, value in zip(items[::2], items[1::2], strict=True))
    return "{ " + ", ".join(inside) + " }"


def toml_described_map(triples: str) -> str:
    """Write a map of btmon with descriptions and types, `a,kitchen,2,b,,`, as a table of tables of TOML."""
    items = triples.split(",")
    entries = []
    for key, description, number in zip(items[::3], items[1::3], items[2::3], strict=False):
        told = [f"description = {json.dumps(description)}"] if description else []
        told += [f"type = {number}"] if number else []
        entries.append(f'"{key}" = {{ {", ".join(told)} }}')
    return f"{{ {', '.join(entries)} }}"


def _inserted(each: Mapping[str, Any]) -> list[int]:
    """Return the places of a pass's packets; where btmon was called for each reading, of those."""
    return each.get("inserted") or [place for batch in each["batches"] for place in batch["readings"]]


def _recorded(sent: Mapping[str, Any]) -> Request:
    came = sent["response"]
    reply = Reply(came["status"], came["body"], dict(came["headers"]))
    target, body = (MINUS_ZERO.sub(r"\1", text) for text in (sent["target"], sent["body"]))
    return request(sent["method"], target, dict(sent["headers"]), body, reply)


def _with_btmon_s_watts(sample: Sample) -> Sample:
    def calculate() -> dict[str, Number]:
        values = dict(sample.values)
        for channel in (c.name for c in sample.channels if c.directional):
            pw, nw = values[f"{channel}_pw"], values[f"{channel}_nw"]
            if pw is not None and nw is not None:
                values[f"{channel}_w"] = (pw + nw) * (1 if pw else -1)
        return values

    return Sample(sample.older, sample.newer, sample.seconds, sample.reset, calculate)


def _with_btmon_s_numbers(reading: Reading) -> Reading:
    numbers = [
        0 if _is_unknown_to_btmon(label) or (number is None and _is_sensor(label)) else number
        for label, number in zip(reading.format.labels, reading.numbers, strict=True)
    ]
    return attrs.evolve(reading, numbers=tuple(numbers))


def _is_sensor(label: str) -> bool:
    return label[0] == "t" and label[1:].isdigit()


def _is_unknown_to_btmon(label: str) -> bool:
    """Whether this is a counter of a GEM's channel that btmon left out."""
    counter = re.fullmatch(r"ch(\d+)_[ap]ws", label)
    return counter is not None and int(counter[1]) > BTMON_S_CHANNELS
