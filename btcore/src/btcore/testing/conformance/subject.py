# SPDX-License-Identifier: GPL-3.0-or-later
"""The plugin that is looked at: its class, and instances of it with settings that work here, given or invented.

An invented address is that of a hosted service of this machine, an invented path is in a folder of the test.
"""

import logging
from collections.abc import Iterator, Mapping
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any, get_args, get_origin

import attrs
import tomli

from btcore.decode.brultech import Brultech
from btcore.discovery import GROUP, Installed, find, hooks_of, installed
from btcore.journal.opening import secrets_in
from btcore.settings import ChannelRef, Context, Delivery, Duration, Kind, Secret
from btcore.testing.kit.batches import ECM
from btcore.testing.kit.hosted_service import HostedService
from btcore.testing.kit.process import free_port
from btcore.values.channels import known_channels
from btcore.values.convert import convert
from btcore.values.declarations import default_fault
from btcore.values.describe import Setting, configured_settings, settings_of
from btcore.values.invalid_value import ConversionContext
from btcore.values.template import example_value

SECRET = "s3cr3t-of-the-tests-0123456789"  # noqa: S105 - it opens nothing
"""What an invented secret is."""

MIN_SECRET = 6
"""The fewest characters of a secret that is looked for: a shorter one may stand anywhere by chance."""


class _Entry:
    """Stands for an entry point, of a class that is given and need not be installed."""

    group = GROUP

    def __init__(self, cls: type) -> None:
        self.cls = cls
        self.value = f"{cls.__module__}:{cls.__qualname__}"

    def load(self) -> type:
        return self.cls


def installed_plugin(plugin: object) -> Installed:
    """Return a plugin as discovery finds it: of its name, its class, or an instance. Raises PluginError for a name."""
    if isinstance(plugin, str):
        return find(plugin, installed())
    cls = plugin if isinstance(plugin, type) else type(plugin)
    entry: Any = _Entry(cls)
    return Installed(cls.__name__, cls.__module__.partition(".")[0], _version(cls), entry)


def _version(cls: type) -> str:
    with suppress(metadata.PackageNotFoundError):
        return metadata.version(cls.__module__.partition(".")[0].replace("_", "-"))
    return "0"


@attrs.define(kw_only=True)
class Subject:
    """A plugin class, and what instances of it are made with. `given` are settings as a table of a site.toml has them.

    `own` are those of an instance, converted already. `is_hosted`: a setting is the address of `service`. `secrets` are
    the texts that must be seen nowhere.
    """

    cls: type
    name: str
    given: Mapping[str, object]
    own: Mapping[str, object]
    folder: Path
    service: HostedService
    is_hosted: bool = attrs.field(init=False, default=False)
    values: dict[str, Any] = attrs.field(factory=dict)
    secrets: set[str] = attrs.field(factory=set)

    def __attrs_post_init__(self) -> None:
        """Read the settings that are given, and invent those that are missing. Raises BtcoreError or TypeError."""
        known = settings_of(self.cls)
        if unknown := set(self.given) - {entry.name for entry in known}:
            raise TypeError(f"it has no setting {', '.join(sorted(unknown))}")
        for entry in known:
            if entry.name in self.given:
                self.values[entry.name] = self._read(entry, self.given[entry.name])
            elif entry.name in self.own:
                self.values[entry.name] = self.own[entry.name]
            elif entry.required or _is_address(entry) or default_fault(entry):
                self.values[entry.name] = self._read(entry, self._invent(entry))
            elif isinstance(entry.default, Path):
                self.values[entry.name] = self.folder / entry.default  # the core puts it beside the configuration
        self.secrets |= {secret for value in self.values.values() for secret in _secrets(value)}
        self.is_hosted = any(self.service.url in str(_revealed(value)) for value in self.values.values())
        self.secrets = {one for one in self.secrets if len(one) >= MIN_SECRET and one != self.service.url}

    def make(self, **changes: object) -> Any:  # noqa: ANN401 - a plugin's instance
        """Make an instance."""
        known = {entry.name for entry in settings_of(self.cls)}
        return self.cls(**{**self.values, **{name: value for name, value in changes.items() if name in known}})

    def impatient(self) -> dict[str, object]:
        """Return the changes with which an instance does not wait for long."""
        return {"timeout": Duration(1)}

    @property
    def hooks(self) -> frozenset[str]:
        """The hooks that it has."""
        return hooks_of(self.cls)

    def context(self, kind: Kind, *, dry_run: bool = False) -> Context:
        """Return what its `open` is given as a plugin of this kind."""
        delivery: Delivery = getattr(self.cls, "delivery", Delivery())
        polarity = delivery.polarity or "brultech"
        table = f"{kind}.{self.name}"
        return Context(
            table,
            logging.getLogger(table),
            polarity=polarity,
            interval=delivery.interval,
            dry_run=dry_run,
            delivery=delivery,
        )

    def _read(self, entry: Setting, value: object) -> object:
        """Return a value as it is if it has its type already, else converted as one of a configuration."""
        if isinstance(value, Secret | ChannelRef | Path) or attrs.has(type(value)):
            return value
        secrets: list[str] = []
        labels = known_channels([Brultech]).labels
        context = ConversionContext(self.folder, labels=labels, complete=False, secrets=secrets)
        found = convert(value, entry.annotation, context)
        self.secrets |= set(secrets)
        return found

    def _invent(self, entry: Setting) -> object:
        kind = (entry.annotation, *get_args(entry.annotation))
        if _is_address(entry):
            return self.service.url
        if Path in kind:
            return str(self.folder / entry.name)
        if entry.name in ("host", "listen", "address"):
            return "127.0.0.1" if entry.name == "host" else f"127.0.0.1:{free_port()}"
        if entry.name == "port" and int in kind:
            return free_port()
        found = tomli.loads(f"x = {example_value(entry, self.name)}")["x"]
        is_channel = get_origin(entry.annotation) not in (dict, list, tuple) and ChannelRef in kind
        return f"{ECM}_ch1" if is_channel else _with_secrets(found)


def _is_address(entry: Setting) -> bool:
    """Whether a setting is the address of a service: a text called `url`, whatever its default is."""
    return entry.name.rpartition("_")[2] == "url" and {"text", "secret text"} >= {entry.type}


EXAMPLE = "399999"
"""The serial number in the examples of settings: no meter can have it."""


def _with_secrets(value: object) -> object:
    """Put a secret in place of each reference to a variable or a file, and our meter in place of that of examples."""
    match value:
        case dict() if set(value) in ({"env"}, {"file"}):
            return SECRET
        case dict():
            return {_with_secrets(key): _with_secrets(item) for key, item in value.items()}
        case str():
            return value.replace(EXAMPLE, ECM)
        case list():
            return [_with_secrets(item) for item in value]
    return value


def _secrets(value: object) -> Iterator[str]:
    """Yield the texts of the secrets in a value."""
    match value:
        case Secret():
            yield value.reveal()
        case str() if "://" in value:
            yield from secrets_in(value)
        case dict():
            for item in value.values():
                yield from _secrets(item)
        case list() | tuple():
            for item in value:
                yield from _secrets(item)
        case _ if attrs.has(type(value)):
            yield from _secrets(configured_settings(value))


def _revealed(value: object) -> object:
    return value.reveal() if isinstance(value, Secret) else value


def own_settings(plugin: object) -> dict[str, object]:
    """Return the settings of an instance by name, converted already; of a class or a name, none."""
    if isinstance(plugin, type | str):
        return {}
    return {entry.name: getattr(plugin, entry.field.name) for entry in settings_of(type(plugin))}
