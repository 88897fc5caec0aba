"""How a meter and a channel are written in a configuration.

A meter by its serial number; a channel as a label, as SERIAL_LABEL, or by its name in [channels].
What labels there are is said by the decoders of the configuration. One that does not say is not checked against.
"""

from collections.abc import Collection, Iterable, Iterator

import attrs

from btcore.formats import CALCULATED, Format, packet_formats
from btcore.settings import ChannelRef
from btcore.values.channel_hints import hint
from btcore.values.mismatch import Fault, Mismatch, Scope, mismatch, shown


@attrs.frozen
class Known:
    """What the plugins of a configuration know: names of formats, and what a setting can mean by a channel.

    `labels` are the channels themselves, and every measured or calculated label. `complete`: there are no others.
    """

    formats: tuple[str, ...] = ()
    labels: frozenset[str] = frozenset()
    complete: bool = True


def known(decoders: Iterable[object], sources: Iterable[object] = (), *, complete: bool = True) -> Known:
    """Gather what plugin classes say of their formats: decoders, and sources of whole readings.

    A source that says nothing has nothing of its own; a decoder that says nothing may have anything.
    """
    said = [packet_formats(cls) for cls in decoders]
    formats = [form for each in (*said, *map(packet_formats, sources)) for form in each or ()]
    names = tuple(dict.fromkeys(form.name for form in formats))
    return Known(
        names, frozenset(label for form in formats for label in labels_of(form)), complete and None not in said
    )


def labels_of(form: Format) -> Iterator[str]:
    """Yield what may be meant by a channel of a format."""
    yield from form.labels
    for channel in form.channels:
        yield channel.name
        yield from (f"{channel.name}_{unit}" for unit in CALCULATED)


def serial_of(text: str, scope: Scope) -> str:
    """Return the serial number of what a setting calls a meter, alone or in a channel. Raises Mismatch."""
    if not text or not text.isprintable() or any(letter.isspace() for letter in text):
        raise mismatch("a meter's serial number, as text", text)
    return scope.serial(text)


def channel_of(value: object, scope: Scope) -> ChannelRef:
    """Read what a setting means by a channel. Raises Mismatch."""
    if not isinstance(value, str):
        raise mismatch("a channel, as text", value)
    named = {name: key for key, name in scope.channels.items()}
    text = named.get(value, value)
    if text in scope.labels:
        return ChannelRef("", text)
    serial, label = parted(text, scope.labels)
    if serial and (label in scope.labels or text in scope.channels):
        return ChannelRef(serial_of(serial, scope), label)
    if not scope.complete and text.strip() and text.isprintable():
        return ChannelRef(serial and serial_of(serial, scope), label or text)
    expected = "SERIAL_CHANNEL (399999_ch1, 01000777_ch1), a channel of any meter (ch1), or a name of [channels]"
    near = hint(value, named, scope.labels) or f"; expected {expected}"
    raise Mismatch(Fault(f"no such channel: {shown(value)}{near}"))


def parted(text: str, labels: Collection[str]) -> tuple[str, str]:
    """Part SERIAL_LABEL: where a label follows, else at the first line below; nothing where there are no two parts."""
    places = [place for place, letter in enumerate(text) if letter == "_" and 0 < place < len(text) - 1]
    place = next((place for place in places if text[place + 1 :] in labels), places[0] if places else 0)
    return (text[:place], text[place + 1 :]) if place else ("", "")
