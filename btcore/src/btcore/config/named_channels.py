# SPDX-License-Identifier: GPL-3.0-or-later
"""The meters and channels that a configuration names, each with its table and key."""

import types
from collections.abc import Iterator
from typing import Any, Union, get_args, get_origin

from btcore.classes import frozen, has_fields
from btcore.config.site import Sink, Site, Source
from btcore.formats import packet_formats
from btcore.settings import ChannelRef, Serial
from btcore.values.channels import labels_of, split_channel
from btcore.values.describe import settings_of
from btcore.values.nested import is_table

Found = tuple[str, str]
"""A serial number, and a label or ""."""


@frozen
class NamedChannel:
    """A meter and perhaps a label that a setting names; `serial` is empty for any meter."""

    serial: str
    label: str
    table: str
    key: str


def named_channels(site: Site) -> list[NamedChannel]:
    """Return the meters and channels that a configuration names, without duplicates."""
    tables = [*_of_instances(site.sources), *_of_instances(site.sinks), *_of_meters(site)]
    meters = [NamedChannel(meter.serial, "", "meters", meter.name) for meter in site.meters]
    labels = frozenset().union(*labels_by_format(site).values()) if site.channels else frozenset()
    channels = [NamedChannel(*split_channel(key, labels), "channels", key) for key in site.channels]
    return list(dict.fromkeys([*tables, *meters, *channels, *_of_virtual_channels(site)]))


def _of_virtual_channels(site: Site) -> Iterator[NamedChannel]:
    for channel in site.virtual_channels:
        yield from (NamedChannel(*part, "channels", channel.name) for part in channel.terms.factors)


def labels_by_format(site: Site) -> dict[str, frozenset[str]]:
    """Return the labels of each packet format that the plugins of a site declare."""
    tellers = [*(decoder.instance for decoder in site.decoders), *(source.instance for source in site.sources)]
    formats = [form for teller in tellers for form in packet_formats(teller) or ()]
    return {form.name: frozenset(labels_of(form)) for form in formats}


def _of_instances(parts: tuple[Source, ...] | tuple[Sink, ...]) -> Iterator[NamedChannel]:
    for part in parts:
        table = (part.split_from if isinstance(part, Sink) else "") or part.table
        for entry in settings_of(type(part.instance)) if has_fields(type(part.instance)) else ():
            for found in _within(getattr(part.instance, entry.field.name), entry.annotation):
                yield NamedChannel(*found, table, entry.name)


def _of_meters(site: Site) -> Iterator[NamedChannel]:
    for source in site.sources:
        yield from (NamedChannel(serial, "", source.table, "meters") for serial in source.meters)
    for sink in site.sinks:
        yield from (
            NamedChannel(serial, "", sink.split_from or sink.table, "meters") for serial in sink.delivery.meters
        )


def _within(value: object, annotation: Any) -> Iterator[Found]:  # noqa: ANN401 - types are values here
    """Yield the meters and channels in the value of a setting, by its type."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if isinstance(value, ChannelRef):
        yield value.serial, value.label
    elif annotation == Serial and isinstance(value, str):
        yield value, ""
    elif origin in (Union, types.UnionType):
        yield from (found for inner in arguments for found in _within(value, inner))
    elif isinstance(value, list | tuple) and arguments:
        yield from (found for item in value for found in _within(item, arguments[0]))
    elif isinstance(value, dict) and arguments:
        for key, item in value.items():
            yield from _within(key, arguments[0])
            yield from _within(item, arguments[1])
    elif is_table(annotation) and isinstance(value, annotation):
        for entry in settings_of(annotation):
            yield from _within(getattr(value, entry.field.name), entry.annotation)
