# SPDX-License-Identifier: GPL-3.0-or-later
"""How a configuration names a meter and a channel.

A meter by its serial number; a channel by a label, by SERIAL_LABEL, or by its name in [channels]. The decoders of the
configuration declare which labels exist; if one of them does not, labels are not checked.
"""

from collections.abc import Collection, Iterable, Iterator

from btcore.classes import frozen
from btcore.formats import CALCULATED, Format, packet_formats
from btcore.settings import ChannelRef
from btcore.values.invalid_value import ConversionContext, InvalidValue, ValueProblem, format_value, invalid

EXPRESSION = "expression"
"""The key by which an entry of [channels] is a virtual channel."""


@frozen
class KnownChannels:
    """The packet formats and labels that the plugins of a configuration declare.

    `labels` are the channels, and every measured or calculated label, `pulses` those of pulse counters. `complete`:
    there are no others.
    """

    formats: tuple[str, ...] = ()
    labels: frozenset[str] = frozenset()
    complete: bool = True
    pulses: frozenset[str] = frozenset()


def known_channels(
    decoders: Iterable[object], sources: Iterable[object] = (), *, complete: bool = True
) -> KnownChannels:
    """Return what plugin classes declare: decoders, and sources of readings without packets.

    A source that declares no formats has none of its own; a decoder that declares none may have any.
    """
    declared = [packet_formats(cls) for cls in decoders]
    formats = [form for each in (*declared, *map(packet_formats, sources)) for form in each or ()]
    names = tuple(dict.fromkeys(form.name for form in formats))
    return KnownChannels(
        names,
        frozenset(label for form in formats for label in labels_of(form)),
        complete and None not in declared,
        frozenset(label for form in formats for label in form.pulses),
    )


def is_virtual(value: object) -> bool:
    """Whether an entry of [channels] is a virtual channel."""
    return isinstance(value, dict) and EXPRESSION in value


def labels_of(form: Format) -> Iterator[str]:
    """Yield every label that a setting can name of a format."""
    yield from form.labels
    for channel in form.channels:
        yield channel.name
        yield from (f"{channel.name}_{unit}" for unit in CALCULATED)
    yield from (f"{label}_total" for label in form.pulses)


def parse_serial(text: str, context: ConversionContext) -> str:
    """Return the serial number of a meter that a setting names, alone or in a channel. Raises InvalidValue."""
    if not text or not text.isprintable() or any(letter.isspace() for letter in text):
        raise invalid("a meter's serial number, as text", text)
    return context.serial(text)


def parse_channel(value: object, context: ConversionContext) -> ChannelRef:
    """Return the channel that a setting names. Raises InvalidValue."""
    if not isinstance(value, str):
        raise invalid("a channel, as text", value)
    named = {name: key for key, name in context.channels.items()}
    text = named.get(value, value)
    if text in context.labels:
        return ChannelRef("", text)
    serial, label = split_channel(text, context.labels)
    if serial and (label in context.labels or text in context.channels):
        return ChannelRef(parse_serial(serial, context), label)
    if not context.complete and text.strip() and text.isprintable():
        return ChannelRef(serial and parse_serial(serial, context), label or text)
    from btcore.values.channel_hints import channel_hint  # noqa: PLC0415 - only a mistake needs it

    expected = "SERIAL_CHANNEL (399999_ch1, 01000777_ch1), a channel of any meter (ch1), or a name of [channels]"
    near = channel_hint(value, named, context.labels) or f"; expected {expected}"
    raise InvalidValue(ValueProblem(f"no such channel: {format_value(value)}{near}"))


def split_channel(text: str, labels: Collection[str]) -> tuple[str, str]:
    """Split SERIAL_LABEL where a known label follows, else at the first _; ("", "") if there are no two parts."""
    indexes = [index for index, letter in enumerate(text) if letter == "_" and 0 < index < len(text) - 1]
    index = next((index for index in indexes if text[index + 1 :] in labels), indexes[0] if indexes else 0)
    return (text[:index], text[index + 1 :]) if index else ("", "")
