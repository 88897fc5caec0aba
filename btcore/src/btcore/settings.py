# SPDX-License-Identifier: GPL-3.0-or-later
"""What a plugin's settings are made of: the decorator of a plugin class, its fields, and their types.

How a table of the configuration becomes an instance belongs to `config/load.py`.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Literal, NewType, Protocol, TypeVar, cast, dataclass_transform

from btcore.channel_descriptions import ChannelDescription
from btcore.classes import NOTHING, define, field, frozen
from btcore.errors import Problem
from btcore.meter_commands import MeterCommands
from btcore.records import Piece
from btcore.validators import ge, gt

if TYPE_CHECKING:
    from btcore.tariff import Tariff

Duration = NewType("Duration", float)
"""Seconds. Written `"30s"`, `"5m"`, `"1h"`, `"7d"`, `"500ms"` in a configuration; `0` alone needs no unit."""

Serial = Annotated[str, "serial number"]
"""The serial number of a meter, as text. The core compares those of a configuration with the meters it receives."""

Polarity = Literal["brultech", "btmon"]
"""Which direction is positive: `brultech`, consumption, as the vendor shows it; `btmon`, the polarized counter."""

Kind = Literal["source", "decoder", "sink"]

T = TypeVar("T", bound=type)


class Secret:
    """A text that no log, error or screen may show: a key, a token, a password. Only `reveal` returns it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        """Keep a text."""
        self._text = text

    def reveal(self) -> str:
        """Return the text itself, for the request that needs it."""
        return self._text

    def __repr__(self) -> str:
        """Never the text."""
        return "Secret(***)"

    __str__ = __repr__

    def __bool__(self) -> bool:
        """Whether there is any text."""
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        """Equal when the texts are."""
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        """Agree with equality."""
        return hash(self._text)


@frozen
class ChannelRef:
    """One channel or label of one meter, as a configuration names it.

    Written `399999_ch1`, `ch1` (of any meter), or as a name of [channels].

    `serial` is empty where any meter is meant. `label` is the channel (`ch1`, `aux2`) or a whole label (`t1`, `volts`).
    """

    serial: str
    label: str

    def __str__(self) -> str:
        """As it is written: SERIAL_LABEL."""
        return f"{self.serial}_{self.label}" if self.serial else self.label

    def matches(self, serial: str) -> bool:
        """Whether this is a channel of that meter."""
        return not self.serial or self.serial == serial


@frozen
class Claim:
    """Something that only one table of a configuration can use, such as `tcp port 8083`.

    Two claims conflict if their `what` is equal, or if one is a part of the other: `tcp port 8083/127.0.0.1` is a part
    of `tcp port 8083`. `key` is the setting that causes the claim. `per_meter`: sinks can share it if their `meters`
    have no meter in common.
    """

    what: str
    key: str = ""
    per_meter: bool = False


@frozen
class StreamStatus:
    """What the core has found so far in one stream of a source: complete packets, and the bytes since the last one."""

    packets: int = 0
    bytes_since_packet: int = 0


class Splitter(Protocol):
    """Splits one stream into its packets and the bytes between them. The beginning of a packet is held."""

    @property
    def held(self) -> bytes:
        """The last bytes, which may be the beginning of a packet."""

    def feed(self, data: bytes) -> Sequence[Piece]:
        """Take what came in; return the pieces that are known now, in order."""

    def close(self) -> Sequence[Piece]:
        """Return the last pieces, as no more bytes will come."""


class _WithoutDecoders:
    """Finds no packet, where there are no decoders."""

    held = b""

    def feed(self, data: bytes) -> Sequence[Piece]:
        return [Piece(data)] if data else []

    def close(self) -> Sequence[Piece]:
        return []


def _fixed(names: Mapping[str, str]) -> Mapping[str, str]:
    return MappingProxyType(dict(names))


@frozen(kw_only=True)
class Delivery:
    """How the core delivers to a sink. All durations are seconds.

    A plugin class may have its own defaults; a table of the configuration may change them.
    """

    interval: Duration = field(
        default=Duration(0),
        metadata={"help": "length of each sample of a meter, such as 5m; 0: one sample for each reading"},
    )
    flush_interval: Duration = field(
        default=Duration(0),
        metadata={"help": "gather readings for this long before each call, unless there is a backlog"},
    )
    batch_size: int = field(
        default=500,
        validator=ge(1),
        metadata={"help": "maximum number of readings (or intervals) in one call"},
    )
    min_call_interval: Duration = field(default=Duration(0), metadata={"help": "minimum time between two calls"})
    max_calls_per_hour: int = field(
        default=0,
        validator=ge(0),
        metadata={"help": "maximum number of calls in any hour; 0: no limit"},
    )
    min_backoff: Duration = field(
        default=Duration(1),
        validator=gt(Duration(0)),
        metadata={"help": "wait after the first failure; it doubles with each further failure"},
    )
    max_backoff: Duration = field(default=Duration(600), metadata={"help": "longest wait after a failure"})
    start_at: Literal["beginning", "end"] = field(
        default="beginning", metadata={"help": "where a new sink starts in the journal"}
    )
    max_backlog_age: Duration = field(
        default=Duration(0), metadata={"help": "drop undelivered readings older than this, and log how many; 0: never"}
    )
    max_backlog_bytes: int = field(
        default=0,
        validator=ge(0),
        metadata={
            "help": "maximum size of undelivered readings; above it, drop the oldest and log how many; 0: no limit"
        },
    )
    meters: tuple[Serial, ...] = field(
        default=(), metadata={"help": "deliver only these meters, by serial number; empty: all"}
    )
    polarity: Polarity | None = field(
        default=None, metadata={"help": "sign of a channel's power; default: the polarity of the site"}
    )
    only_live: bool | None = field(
        default=None,
        metadata={"help": "deliver no readings of a recording or simulator; default: true for a hosted service"},
    )


@frozen
class Context:
    """What an instance is given when it is opened.

    `name` is its table (`sink.roof`), `log` its own logger. `channels` maps `SERIAL_CHANNEL` to the name in [channels].
    `polarity` is the sign of its samples, `interval` the seconds that each sample covers (0: from one reading to the
    next). `dry_run`: nothing may be sent. `stream_status` returns what the core has found so far in a source's stream.
    `splitter` makes a `Splitter` for a stream, which asks the site's decoders; it is for the source's own thread.
    `commands` has what a source that can send to its meters is to send. `channel_descriptions` maps `SERIAL_CHANNEL` to
    all that [channels] says of it. `delivery` are a sink's delivery settings.
    `checkpoint` is what a source yielded last as `SourceCheckpoint`, "" at first; it raises BtcoreError where the
    journal cannot be read, and a source that leaves it at that is opened again later. `once`: the run ends when all
    sources have ended, so a source that waits for more returns instead. `is_replaced` says, while a source stops,
    whether a reload has another instance of its class ready for its table, to which it may leave a port or a line.
    `site_status` returns what `btcore status --json` shows, `problems`, the lines that a person should see to, and
    `warnings`, the last ones of the log; empty where there is no run. `dead_letters` does what `btcore dead-letters`
    does: it is given the `action` ("list", "retry", "drop"), and with it a `sink`, `meters` or `ids`, and returns
    `letters`. Both may be called from any thread, and raise BtcoreError where the journal cannot be read. `tariff` is
    [tariff], what energy costs; None where the configuration has none. `replay` returns whether what the journal holds
    is being delivered to this sink again, or will be, when nothing newer waits; with `ask=True` it asks for that if it
    has had anything.
    """

    name: str
    log: logging.Logger
    channels: Mapping[str, str] = field(factory=dict, converter=_fixed)
    polarity: Polarity = "brultech"
    interval: Duration = Duration(0)
    dry_run: bool = False
    stream_status: Callable[[str], StreamStatus] = field(default=lambda _stream: StreamStatus(), repr=False)
    splitter: Callable[[], Splitter] = field(default=_WithoutDecoders, repr=False)
    commands: MeterCommands = field(factory=MeterCommands, repr=False)
    _checkpoint: str | Callable[[], str] = ""
    once: bool = False
    channel_descriptions: Mapping[str, ChannelDescription] = field(factory=dict, repr=False)
    delivery: Delivery = field(factory=Delivery, repr=False)
    is_replaced: Callable[[], bool] = field(default=lambda: False, repr=False)
    site_status: Callable[[], Mapping[str, Any]] = field(default=dict, repr=False)
    dead_letters: Callable[[Mapping[str, Any]], Mapping[str, Any]] = field(
        default=lambda _request: {"letters": []}, repr=False
    )
    tariff: "Tariff | None" = field(default=None, repr=False)
    replay: Callable[..., bool] = field(default=lambda **_ask: False, repr=False)

    @property
    def checkpoint(self) -> str:
        """What a source yielded last. Raises BtcoreError where the journal cannot be read."""
        return self._checkpoint if isinstance(self._checkpoint, str) else self._checkpoint()

    def channel_name(self, serial: str, channel: str) -> str:
        """Return the name of a meter's channel: the one of [channels], else `SERIAL_CHANNEL`."""
        key = f"{serial}_{channel}"
        return self.channels.get(key, key)

    def describe_channel(self, serial: str, channel: str) -> ChannelDescription:
        """Return what [channels] says of a meter's channel; of one that is not there only the name, as above."""
        found = self.channel_descriptions.get(f"{serial}_{channel}")
        return found or ChannelDescription(name=self.channel_name(serial, channel))


def light_setting(
    *,
    default: Any = NOTHING,  # noqa: ANN401 - any type that the annotation names
    factory: Callable[[], Any] | None = None,
    help: str,
    choices: Iterable[str] = (),
    validator: Callable[[Any, Any, Any], None] | None = None,
    example: str = "",
) -> Any:  # noqa: ANN401 - the annotation of the class gives the type
    """Declare one setting, as `setting` does, of a class that `btcore.classes` makes: without attrs.

    attrs would take what this returns for a default.
    """
    made: Any = field
    return made(**_options(default, factory, validator, help=help, choices=tuple(choices), example=example))


def _options(default: Any, factory: Any, validator: Any, **metadata: object) -> dict[str, Any]:  # noqa: ANN401 - as above
    """Return what a field is told of a setting."""
    given: dict[str, Any] = {} if default is NOTHING else {"default": default}
    if factory is not None:
        given = {"factory": factory}
    return {**given, "metadata": metadata, "validator": validator}


def setting(
    *,
    default: Any = NOTHING,  # noqa: ANN401 - any type that the annotation names
    factory: Callable[[], Any] | None = None,
    help: str,
    choices: Iterable[str] = (),
    validator: Callable[[Any, Any, Any], None] | None = None,
    example: str = "",
) -> Any:  # noqa: ANN401 - the annotation of the class gives the type
    """Declare one setting of a plugin: a field of its class, whose annotation is the type of the setting.

    Types: `str`, `int`, `float`, `bool`, `Duration`, `Secret`, `pathlib.Path`, `ChannelRef`, `Serial`, `Literal[...]`,
    `list[X]`, `tuple[X, ...]`, `dict[str, X]`, `dict[ChannelRef, X]`, `dict[Serial, X]`, `X | None`, and an attrs class
    whose fields are settings, for a nested table. A setting without a default is required. `help` is one line without a
    full stop; `example` is what `btcore init` writes for a setting that has no default. `validator` raises `ValueError`
    with what was expected.
    """
    import attrs  # noqa: PLC0415 - a plugin without attrs has the `setting` of `btcore.light`

    made: Any = attrs.field
    return made(**_options(default, factory, validator, help=help, choices=tuple(choices), example=example))


@dataclass_transform(kw_only_default=True, eq_default=False, field_specifiers=(setting, light_setting, field))
def plugin(*, api: int, delivery: Delivery | None = None) -> Callable[[T], T]:
    """Make a class a plugin: an attrs class whose fields are its settings and whose hook methods do the work.

    `api` is the version of the plugin interface that the class is written for (`btcore.API`). `delivery` has the
    defaults of a sink's delivery settings, if they differ from the core's. A method `check(self)` may yield a
    `Problem(message, key=...)` for settings that do not fit together, with `warning=True` if the plugin can run all the
    same; it may take the argument `state`, the site's state directory, which btcore makes, and that of a sink
    `delivery`. A method `claims(self)` may yield what only one table
    can use, as text or `Claim`. A method `notes(self)` may yield lines that `btcore check` shows below its table,
    such as the space that it will take. These methods are called before anything is opened, and must open nothing. A
    source's class attribute `origin` declares where its readings come from ("live", "recorded", "simulated"). A sink's
    attribute `hosted` declares whether it delivers to an account on the Internet.
    """

    def decorate(cls: T) -> T:
        # kw_only: settings are named; eq=False: two instances with equal settings are still two (pluggy refuses equals)
        # own_first: the settings of a class come before those of its base, which it shares with others
        make: Any = define
        made: Any = make(cls, kw_only=True, eq=False, slots=False, own_first=True)
        made.btcore_api = api
        made.delivery = delivery or Delivery()
        return cast("T", made)

    return decorate


__all__ = [
    "ChannelRef",
    "Claim",
    "Context",
    "Delivery",
    "Duration",
    "Kind",
    "Polarity",
    "Problem",
    "Secret",
    "Serial",
    "Splitter",
    "StreamStatus",
    "plugin",
    "setting",
]
