# SPDX-License-Identifier: GPL-3.0-or-later
"""A site as its configuration describes it: sources, sinks and decoders, and the settings that the core adds to them.

Reading a site.toml is `load.py`'s. Nothing here is opened.
"""

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from btcore.channel_descriptions import ChannelDescription
from btcore.classes import evolve, field, fields, frozen, has_fields
from btcore.config.meters import Meters
from btcore.config.metrics import MetricsSettings
from btcore.decode.brultech import FORMATS
from btcore.errors import Problem
from btcore.formats import MAX_NAME
from btcore.journal.opening import DEFAULT, Sync, check_journal, describe_url
from btcore.origin import DERIVED, origin_of
from btcore.settings import Context, Delivery, Duration, Kind, Polarity, Serial
from btcore.validators import ge, gt
from btcore.values.describe import Setting, configured_settings, delivery_settings, settings_of

if TYPE_CHECKING:  # most sites have neither
    from btcore.tariff import Tariff
    from btcore.virtual.counting import VirtualChannel


def _check_serial(_source: object, _field: object, value: str) -> None:
    if not value.isprintable() or len(value) > MAX_NAME:
        raise ValueError(f"expected a serial number of at most {MAX_NAME} characters")


@frozen
class Source:
    """One source: a plugin's instance, and how the core takes in what it yields.

    `is_derived`: its readings are calculated from those of the other sources.
    """

    name: str
    table: str
    plugin: str
    instance: object = field(repr=False)
    formats: tuple[str, ...] = field(default=(), metadata={"help": "accept only these packet formats; empty: all"})
    clock: Literal["arrival", "device-utc", "device-local"] = field(
        default="arrival",
        metadata={"help": "what sets the time of a reading: its arrival, or the meter's clock in UTC or local time"},
    )
    meters: tuple[Serial, ...] = field(
        default=(),
        metadata={"help": "accept only these meters, by serial number; empty: all, up to max_new_meters_per_day"},
    )
    serial: str = field(
        default="",
        validator=_check_serial,
        metadata={
            "help": "the serial number that its one meter goes by, whatever it sends (an ECM-1240 may send 000000)"
        },
    )
    max_new_meters_per_day: int = field(
        default=256,
        validator=ge(0),
        metadata={"help": "maximum number of new meters in a day when meters is empty; 0: no limit"},
    )
    max_packets_per_second: float = field(
        default=2.0,
        validator=ge(0),
        metadata={"help": "maximum rate of packets from each meter, after a burst of up to 20,000; 0: no limit"},
    )
    sync_clock: bool = field(
        default=False,
        metadata={
            "help": "set the clock of each GEM that is wrong, in UTC with clock = device-utc, else in local time"
        },
    )
    min_backoff: Duration = field(
        default=Duration(1),
        validator=gt(Duration(0)),
        metadata={"help": "wait after the first failure; it doubles with each further failure"},
    )
    max_backoff: Duration = field(default=Duration(60), metadata={"help": "longest wait after a failure"})
    settings: Mapping[str, object] = field(repr=False)
    is_derived: bool = False

    @settings.default
    def _as_configured(self) -> Mapping[str, object]:
        return configured_settings(self.instance)  # noted before the plugin can change them

    @property
    def origin(self) -> str:
        """The origin of its readings, as a reading has it."""
        return origin_of(type(self.instance))


@frozen
class Sink:
    """One sink: a plugin's instance, and how the core delivers to it.

    `split_from` is the table of a sink that its plugin has split, and of which this is one part; else "". A part that
    has no checkpoint starts from the checkpoint of that table. `hosted`: it delivers to a service on the Internet.
    """

    name: str
    table: str
    plugin: str
    instance: object = field(repr=False)
    delivery: Delivery
    split_from: str = ""
    hosted: bool = False
    settings: Mapping[str, object] = field(repr=False)

    @settings.default
    def _as_configured(self) -> Mapping[str, object]:
        return configured_settings(self.instance)  # noted before the plugin can change them

    @property
    def only_live(self) -> bool:
        """Whether it gets live readings only: as its table says, else if it is a hosted service."""
        return self.hosted if self.delivery.only_live is None else self.delivery.only_live


@frozen
class Decoder:
    """One decoder: a plugin's instance."""

    name: str
    table: str
    plugin: str
    instance: object = field(repr=False)
    settings: Mapping[str, object] = field(repr=False)

    @settings.default
    def _as_configured(self) -> Mapping[str, object]:
        return configured_settings(self.instance)  # noted before the plugin can change them


@frozen
class JournalSettings:
    """The settings of the table [journal]; a `journal` that is a text is short for one with `use` alone."""

    use: str = field(
        default=DEFAULT,
        repr=describe_url,
        validator=check_journal,
        metadata={"help": "where readings are kept: the name of a journal, or its URL (sqlite:////DIRECTORY/FILE)"},
    )
    sync: Sync = field(
        default="normal",
        metadata={
            "help": "normal: a power cut costs the readings of about the last half minute; always: each reading is on"
            " the disk before anything is done with it, which wears out an SD card"
        },
    )


@frozen
class Site:
    """Everything that a configuration defines.

    `state` is the directory of the journal. `meters` are the meters of [meters]; `channels` maps `SERIAL_CHANNEL` to a
    name, `channel_descriptions` to all that [channels] says. `sync` says when a reading is on the disk. `secrets` are
    texts that no log may show. `warnings` are findings that do not prevent a run.
    """

    file: Path
    state: Path = field(metadata={"help": "directory of the journal, which also keeps the checkpoint of each sink"})
    polarity: Polarity = field(
        default="brultech",
        metadata={"help": "sign of a channel's power; brultech: consumption is positive; btmon: as btmon had it"},
    )
    retention: Duration = field(
        default=Duration(30 * 86_400),
        metadata={"help": "how long the journal keeps a reading after every sink has delivered it"},
    )
    journal: str = field(
        default=DEFAULT,
        repr=describe_url,
        validator=check_journal,
        metadata={"help": "where readings are kept: the name of a journal, or its URL (sqlite:////DIRECTORY/FILE)"},
    )
    sync: Sync = "normal"
    max_journal_bytes: int = field(
        default=8_000_000_000,
        validator=ge(0),
        metadata={"help": "maximum size of the journal; a full journal accepts no new readings; 0: no limit"},
    )
    meters: Meters = field(factory=Meters)
    channels: Mapping[str, str] = field(factory=dict)
    channel_descriptions: Mapping[str, ChannelDescription] = field(factory=dict)
    virtual_channels: "tuple[VirtualChannel, ...]" = ()
    metrics: MetricsSettings = field(factory=MetricsSettings)
    tariff: "Tariff | None" = None
    sources: tuple[Source, ...] = ()
    sinks: tuple[Sink, ...] = ()
    decoders: tuple[Decoder, ...] = ()
    secrets: tuple[str, ...] = field(default=(), repr=False)
    warnings: tuple[Problem, ...] = ()

    @property
    def running_sources(self) -> tuple[Source, ...]:
        """The sources, and that of the virtual channels, if there are any: its instance is what defines them."""
        if not self.virtual_channels:
            return self.sources
        derived = Source(
            name=DERIVED,
            table="channels",
            plugin=DERIVED,
            instance=self.virtual_channels,
            max_new_meters_per_day=0,
            max_packets_per_second=0,
            settings={one.name: one.terms for one in self.virtual_channels},
            is_derived=True,
        )
        return (*self.sources, derived)


def context_of(site: Site, part: Source | Sink | Decoder, *, dry_run: bool = False) -> Context:
    """Return the context with which the instance of a source, a sink or a decoder of a site is opened."""
    polarity = part.delivery.polarity if isinstance(part, Sink) else None
    return Context(
        name=part.table,
        log=logging.getLogger(part.table),
        channels=site.channels,
        channel_descriptions=site.channel_descriptions,
        polarity=polarity or site.polarity,
        interval=part.delivery.interval if isinstance(part, Sink) else Duration(0),
        dry_run=dry_run,
        delivery=part.delivery if isinstance(part, Sink) else Delivery(),
        tariff=site.tariff,
    )


def site_settings() -> tuple[Setting, ...]:
    """Return the settings of the top level."""
    return tuple(
        evolve(entry, default=default_state()) if entry.name == "state" else entry for entry in settings_of(Site)
    )


YIELDING = {"serial"}
"""Settings that a plugin may have of its own: `serial` of the simulator is what its meter sends."""


def core_settings(kind: Kind, cls: type, formats: tuple[str, ...] = tuple(FORMATS)) -> tuple[Setting, ...]:
    """Return the settings that the core adds to every table of a kind, with the plugin's own defaults.

    `formats` are the names that a source's `formats` may have.
    """
    if kind == "sink":
        return delivery_settings(getattr(cls, "delivery", Delivery()))
    choices = {"formats": formats}
    if kind != "source":
        return ()
    own = {field.name for field in fields(cls) if "help" in field.metadata} if has_fields(cls) else set()
    entries = (entry for entry in settings_of(Source) if entry.name not in own & YIELDING)
    return tuple(_with_choices(entry, choices) for entry in entries)


def _with_choices(entry: Setting, choices: Mapping[str, tuple[str, ...]]) -> Setting:
    return evolve(entry, choices=choices.get(entry.name, entry.choices))


def default_state() -> Path:
    """Return the state directory of a configuration that names none: the service manager's choice, or the user's."""
    # a service manager may give several, separated by colons: the first is the service's own
    given = os.environ.get("STATE_DIRECTORY", "").split(":")[0]
    if given:
        return Path(given)
    import platformdirs  # noqa: PLC0415 - where no state directory is named

    return Path(platformdirs.user_state_dir("btcore"))
