"""What a plugin's settings are made of: the decorator of a plugin class, its fields, and the types they may have.

Turning a table of the configuration into an instance is `config/load.py`'s work.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal, NewType, TypeVar, dataclass_transform

import attrs

from btcore.errors import Problem

Duration = NewType("Duration", float)
"""Seconds. Written `"30s"`, `"5m"`, `"1h"`, `"7d"`, `"500ms"` in a configuration; `0` alone needs no unit."""

Serial = Annotated[str, "serial number"]
"""The serial number of a meter, a text. The core compares those that a configuration names with the meters it hears."""

Polarity = Literal["brultech", "btmon"]
"""Which direction is positive: `brultech`, consumption, as the vendor shows it; `btmon`, the polarized counter."""

Kind = Literal["source", "decoder", "sink"]

T = TypeVar("T", bound=type)


class Secret:
    """A text that must never be seen: a key, a token, a password. Only `reveal` shows it."""

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


@attrs.frozen
class ChannelRef:
    """One number of one meter, as a configuration names it.

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


@attrs.frozen
class Claim:
    """What no other table of a configuration can have beside the one that claims it: `tcp port 8083`.

    Two are the same where `what` is, and where one is a part of the other: `tcp port 8083/127.0.0.1` is a part of `tcp
    port 8083`. `key` is the setting that says so. `per_meter`: sinks may share it whose `meters` have none in common.
    """

    what: str
    key: str = ""
    per_meter: bool = False


@attrs.frozen
class StreamStatus:
    """What the core found so far in one stream of a source: whole packets, and the bytes since the last of them."""

    packets: int = 0
    bytes_since_packet: int = 0


def _fixed(names: Mapping[str, str]) -> Mapping[str, str]:
    return MappingProxyType(dict(names))


@attrs.frozen
class Context:
    """What an instance is told when it is opened.

    `name` is its table (`sink.roof`), `log` its own logger. `channels` maps `SERIAL_CHANNEL` to the name that
    [channels] gives it. `polarity` is the sign that its samples have, `interval` the seconds that each covers (0: from
    one reading to the next). `dry_run`: nothing may be sent. `stream_status` tells a source what the core found in what
    it has yielded of a stream so far.
    """

    name: str
    log: logging.Logger
    channels: Mapping[str, str] = attrs.field(factory=dict, converter=_fixed)
    polarity: Polarity = "brultech"
    interval: Duration = Duration(0)
    dry_run: bool = False
    stream_status: Callable[[str], StreamStatus] = attrs.field(default=lambda _stream: StreamStatus(), repr=False)

    def channel_name(self, serial: str, channel: str) -> str:
        """Return the name of a meter's channel: the one of [channels], else `SERIAL_CHANNEL`."""
        key = f"{serial}_{channel}"
        return self.channels.get(key, key)


@attrs.frozen(kw_only=True)
class Delivery:
    """How the core delivers to a sink. All durations are seconds.

    A plugin class may have its own defaults; a table of the configuration may change them.
    """

    interval: Duration = attrs.field(
        default=Duration(0), metadata={"help": "one sample a meter over this interval, exact; 0: one for each reading"}
    )
    flush_interval: Duration = attrs.field(
        default=Duration(0), metadata={"help": "gather readings for this long before a call, when there is no backlog"}
    )
    batch_size: int = attrs.field(
        default=500, validator=attrs.validators.ge(1), metadata={"help": "the most readings (or intervals) in one call"}
    )
    min_call_interval: Duration = attrs.field(
        default=Duration(0), metadata={"help": "the shortest time between two calls"}
    )
    max_calls_per_hour: int = attrs.field(
        default=0, validator=attrs.validators.ge(0), metadata={"help": "the most calls in any hour; 0: no limit"}
    )
    min_backoff: Duration = attrs.field(
        default=Duration(1),
        validator=attrs.validators.gt(Duration(0)),
        metadata={"help": "first wait after a failure; it doubles"},
    )
    max_backoff: Duration = attrs.field(default=Duration(600), metadata={"help": "longest wait after a failure"})
    start_at: Literal["beginning", "end"] = attrs.field(
        default="beginning", metadata={"help": "where a new sink starts in the journal"}
    )
    max_backlog_age: Duration = attrs.field(
        default=Duration(0), metadata={"help": "drop undelivered readings older than this (counted and said); 0: never"}
    )
    max_backlog_bytes: int = attrs.field(
        default=0,
        validator=attrs.validators.ge(0),
        metadata={"help": "drop the oldest undelivered readings beyond this (counted and said); 0: never"},
    )
    meters: tuple[Serial, ...] = attrs.field(
        default=(), metadata={"help": "only these meters, by serial number; empty: all of them"}
    )
    polarity: Polarity | None = attrs.field(
        default=None, metadata={"help": "the sign of directional channels; left out: the site's"}
    )
    only_live: bool | None = attrs.field(
        default=None,
        metadata={
            "help": "take nothing that was recorded (file) or simulated (simulator); left out: so for a hosted service"
        },
    )


def setting(
    *,
    default: Any = attrs.NOTHING,  # noqa: ANN401 - any type that the annotation names
    factory: Callable[[], Any] | None = None,
    help: str,
    choices: Iterable[str] = (),
    validator: Callable[[Any, Any, Any], None] | None = None,
    example: str = "",
) -> Any:  # noqa: ANN401 - the annotation of the class gives the type
    """Declare one setting of a plugin: a field of its class, whose annotation is its type.

    Types: `str`, `int`, `float`, `bool`, `Duration`, `Secret`, `pathlib.Path`, `ChannelRef`, `Serial`, `Literal[...]`,
    `list[X]`, `tuple[X, ...]`, `dict[str, X]`, `dict[ChannelRef, X]`, `dict[Serial, X]`, `X | None`, and an attrs class
    whose fields are settings, for a table within. Without a default it must be given. `help` is one line without a full
    stop; `example` is what `btcore init` writes for a setting that has no default. `validator` raises `ValueError` with
    what was expected.
    """
    metadata = {"help": help, "choices": tuple(choices), "example": example}
    if factory is not None:
        return attrs.field(factory=factory, metadata=metadata, validator=validator)
    return attrs.field(default=default, metadata=metadata, validator=validator)


@dataclass_transform(kw_only_default=True, eq_default=False, field_specifiers=(setting, attrs.field))
def plugin(*, api: int, delivery: Delivery | None = None) -> Callable[[T], T]:
    """Make a class a plugin: an attrs class whose fields are its settings and whose hook methods do the work.

    `api` is the version of the plugin interface that it was written for (`btcore.API`). `delivery` is how a sink wants
    to be delivered to, where it differs from the usual. A method `check(self)` may yield `Problem(message, key=...)`
    for what is wrong between settings, `warning=True` where it is none that must be mended; one of a sink that takes
    `delivery` is given how the core will deliver to it. A method `claims(self)` may yield what no other table may use
    beside it, as text or `Claim`. Both are called before anything is opened, and open nothing. The class of a source
    says by an attribute `origin` where its readings come from ("live", "recorded", "simulated"), the instance of a sink
    by `hosted` whether what it is given goes to an account on the Internet.
    """

    def decorate(cls: T) -> T:
        # kw_only: settings are named; eq=False: two instances with equal settings are still two (pluggy refuses equals)
        made = attrs.define(cls, kw_only=True, eq=False, slots=False)
        made.btcore_api = api  # type: ignore[attr-defined]
        made.delivery = delivery or Delivery()  # type: ignore[attr-defined]
        return made

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
    "StreamStatus",
    "plugin",
    "setting",
]
