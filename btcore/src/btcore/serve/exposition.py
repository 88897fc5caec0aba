# SPDX-License-Identifier: GPL-3.0-or-later
"""Prometheus's text format: https://prometheus.io/docs/instrumenting/exposition_formats/. Pure."""

import math
from collections.abc import Iterable
from datetime import datetime
from typing import Literal

from btcore.classes import frozen

EXPOSITION = "text/plain; version=0.0.4; charset=utf-8"
"""The type of a page in this format."""

Labels = tuple[tuple[str, str], ...]
"""Names of labels with their values."""

LARGEST_EXACT = 1 << 53
"""Below this a float has every whole number."""


@frozen
class Family:
    """One metric with its samples; a value of None is not known, and has no sample."""

    name: str
    kind: Literal["counter", "gauge"]
    help: str
    samples: tuple[tuple[Labels, float | datetime | None], ...]


def format_families(families: Iterable[Family]) -> str:
    """Return metrics in the text format; those of which no value is known are left out."""
    return "".join(map(_text, families))


def _text(family: Family) -> str:
    known = [(labels, value) for labels, value in family.samples if value is not None]
    if not known:
        return ""
    help_text = family.help.replace("\\", r"\\").replace("\n", r"\n")
    lines = [f"# HELP {family.name} {help_text}", f"# TYPE {family.name} {family.kind}"]
    lines += [f"{family.name}{_labels(labels)} {_number(value)}" for labels, value in known]
    return "\n".join(lines) + "\n"


def _labels(labels: Labels) -> str:
    return "{" + ",".join(f'{name}="{_escape(value)}"' for name, value in labels) + "}" if labels else ""


def _escape(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _number(value: float | datetime) -> str:
    number = value.timestamp() if isinstance(value, datetime) else value
    if not math.isfinite(number):
        return "NaN" if math.isnan(number) else f"{number:+}".replace("i", "I")
    return str(int(number)) if number == int(number) and abs(number) < LARGEST_EXACT else repr(float(number))
