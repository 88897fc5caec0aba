# SPDX-License-Identifier: GPL-3.0-or-later
"""The installed plugins, found by the entry points of the group `btcore.plugins`, and how one of them is loaded.

Only `Installed.load` imports a plugin. Whatever is wrong with the plugin, it raises one error that names the
distribution. How a table becomes the settings of a plugin belongs to `config/tables.py`.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from btcore import predecessor
from btcore.classes import frozen, has_fields
from btcore.entry_points import EntryPoint, distributions
from btcore.errors import BtcoreError, is_interrupt
from btcore.formats import packet_formats
from btcore.hook_calls import ARGUMENTS, plain_hooks
from btcore.origin import origin_of
from btcore.settings import Delivery, Kind
from btcore.text import describe_error, nearest
from btcore.version import API

if TYPE_CHECKING:
    import pluggy

GROUP = "btcore.plugins"
"""The entry points of plugins; those of a group `btcore.xs` are of kind `x`."""

KIND_HOOKS: Mapping[Kind, str] = {"source": "collect", "sink": "process_batch", "decoder": "decode_packet"}
"""The hook that makes a plugin one of this kind."""

HOOKS = tuple(ARGUMENTS)

_PLUGINS: Mapping[str, tuple[str, ...]] = {
    "btcore": ("brultech",),
    "btmon-ascii": ("ascii",),
    "btmon-dashboard": ("dashboard",),
    "btmon-home-assistant": ("home-assistant",),
    "btmon-http": ("http",),
    "btmon-influxdb": ("influxdb",),
    "btmon-ip": ("tcp-server", "tcp-client"),
    "btmon-mqtt": ("mqtt",),
    "btmon-mysql": ("mysql",),
    "btmon-nats": ("nats", "nats-stream"),
    "btmon-pipe": ("pipe-program", "pipe-file", "pipe-socket", "pipe-webhook"),
    "btmon-print": ("print",),
    "btmon-prometheus": ("prometheus", "prometheus-remote-write"),
    "btmon-pvoutput": ("pvoutput",),
    "btmon-rrd": ("rrd",),
    "btmon-serial": ("serial",),
    "btmon-services": (
        *("wattzon", "plotwatt", "enersave", "bidgely", "peoplepower", "eragy", "smartenergygroups"),
        *("thingspeak", "xively", "emoncms", "wattvision"),
    ),
    "btmon-simulator": ("simulator", "file"),
    "btmon-sql": ("sql",),
    "btmon-sqlite": ("sqlite",),
    "btmon-tee": ("tee", "proxy"),
}

DISTRIBUTIONS: Mapping[str, str] = {name: distribution for distribution, names in _PLUGINS.items() for name in names}
"""The distribution to install for each of the project's own plugins."""

COMMANDS: Mapping[str, str] = {"graph": "btmon-rrd", "nats": "btmon-nats", "watch": "btmon-watch"}
"""The distribution to install for each command that does not come with btcore."""

DECODERS = ("brultech", "ascii")
"""Those of the project's own plugins that are decoders, in the order in which they are asked."""


class PluginError(BtcoreError):
    """A plugin that is not installed, or cannot be used."""


@frozen
class Installed:
    """One plugin, or one of another group of entry points, of an installed distribution; not imported yet."""

    name: str
    distribution: str
    version: str
    entry: EntryPoint

    def __str__(self) -> str:
        """Return how a message names it."""
        return f'{self.kind} "{self.name}" of {self.distribution} {self.version}'

    @property
    def kind(self) -> str:
        """What it is, by the group of its entry point: plugin or journal."""
        return self.entry.group.removeprefix("btcore.").removesuffix("s")

    def load_object(self) -> Any:  # noqa: ANN401 - whatever the entry point names
        """Import what its entry point names. Raises PluginError."""
        advice = f"; its entry point is {self.entry.value}; pip install --force-reinstall {self.distribution} may help"
        return self._guarded(self.entry.load, "cannot be imported", advice)

    def load(self) -> type:
        """Import the plugin's class and check that this core can use it. Raises PluginError."""
        cls: type = self.load_object()
        self._guarded(lambda: self._check_class(cls), "cannot be inspected")
        self._guarded(lambda: packet_formats(cls), "declares invalid packet formats")
        hooks = self._guarded(lambda: plain_hooks(cls), "has a hook with a wrong signature")
        if hooks is None:
            callers = self._guarded(lambda: _callers(cls), "has a hook with a wrong signature")
            for caller in callers:
                self._check_hook(caller)
            hooks = {caller.name: () for caller in callers}
        if KIND_HOOKS["source"] in hooks:
            self._guarded(lambda: origin_of(cls), "declares an invalid origin")
            self._guarded(lambda: needed_decoders(cls), "names its decoders wrongly")
        return cls

    def _guarded(self, look: Callable[[], Any], wrong: str, advice: str = "") -> Any:  # noqa: ANN401 - anything
        """Run code of a plugin. Raises PluginError for whatever it raises, SystemExit included."""
        try:
            return look()
        except PluginError:
            raise
        except BaseException as error:
            if is_interrupt(error):
                raise
            raise PluginError(f"{self} {wrong} ({' '.join(describe_error(error).split())}){advice}") from None

    def _check_class(self, cls: object) -> None:
        api = getattr(cls, "btcore_api", None)
        if not isinstance(cls, type) or api is None or not has_fields(cls):
            raise PluginError(
                f"{self} is not a plugin: {self.entry.value} is not a class decorated with @btcore.plugin"
            )
        if api != API:
            behind = self.distribution if not isinstance(api, int) or api < API else "btcore"
            raise PluginError(
                f"{self} is written for version {api!r:.9} of the plugin interface, and this btcore has version {API}: "
                f"pip install --upgrade {behind}"
            )

        delivery = getattr(cls, "delivery", None)
        if delivery is not None and not isinstance(delivery, Delivery):
            raise PluginError(f"{self} has {delivery!r:.40} as its `delivery`; expected a btcore.Delivery")

    def _check_hook(self, caller: "pluggy.HookCaller") -> None:
        if not caller.has_spec() and not all(impl.optionalhook for impl in caller.get_hookimpls()):
            raise PluginError(
                f'{self} has a hook that btcore does not know: "{caller.name}"{_hook_advice(caller.name)}'
            )


def installed(group: str = GROUP) -> dict[str, tuple[Installed, ...]]:
    """Return the installed plugins, or what else a group of entry points has, by name. Imports nothing.

    There may be several of one name.
    """
    found: dict[str, tuple[Installed, ...]] = {}
    for entry in _entries(group):
        found[entry.name] = (*found.get(entry.name, ()), entry)
    return dict(sorted(found.items()))


def find(
    name: str,
    among: Mapping[str, tuple[Installed, ...]],
    describe_missing: Callable[[str, Mapping[str, object]], str] | None = None,
) -> Installed:
    """Return the plugin of a name. Raises PluginError if there is none, or more than one."""
    rivals = among.get(name, ())
    if not rivals:
        raise PluginError((describe_missing or _advice)(name, among))
    if len(rivals) > 1:
        claims = " and ".join(f"{rival.distribution} {rival.version}" for rival in rivals)
        alone = len({rival.distribution for rival in rivals}) == 1
        advice = "its entry points need two names" if alone else "uninstall one of them with pip"
        raise PluginError(f'the {rivals[0].kind} "{name}" is provided by {claims}; {advice}')
    return rivals[0]


def hooks_of(cls: type) -> frozenset[str]:
    """Return the names of the hooks that a loaded plugin class implements."""
    plain = plain_hooks(cls)
    return frozenset(plain if plain is not None else (caller.name for caller in _callers(cls)))


def kinds_of(cls: type) -> tuple[Kind, ...]:
    """Return the kinds that a loaded plugin class can be."""
    hooks = hooks_of(cls)
    return tuple(kind for kind, hook in KIND_HOOKS.items() if hook in hooks)


def needed_decoders(cls: type) -> tuple[str, ...]:
    """Return the decoders that a source's class names in `decoders`. Raises TypeError for anything but names."""
    found = getattr(cls, "decoders", ())
    if not isinstance(found, tuple) or not all(isinstance(name, str) for name in found):
        raise TypeError(f'decoders: expected a tuple of names, such as ("ascii",), found {found!r:.80}')
    return found


def check_kind(plugin: Installed, cls: type, kind: Kind) -> None:
    """Raise PluginError if a plugin is not of the kind of its table."""
    kinds = kinds_of(cls)
    if kind in kinds:
        return
    if hasattr(cls, KIND_HOOKS[kind]):
        raise PluginError(f"{plugin}: {KIND_HOOKS[kind]} is not decorated with @hookimpl, so it is not a hook")
    rather = f"; it is a {kinds[0]}: [{kinds[0]}.{plugin.name}]" if kinds else ""
    raise PluginError(f"{plugin} is not a {kind}: it has no hook {KIND_HOOKS[kind]}{rather}")


def _entries(group: str) -> Iterator[Installed]:
    seen: set[str] = set()
    for one in distributions(group):
        if one.name not in seen:  # the first on the path hides its namesakes, as on import
            seen.add(one.name)
            yield from (Installed(entry.name, one.name, one.version, entry) for entry in one.entries)


def _callers(cls: type) -> "list[pluggy.HookCaller]":
    from btcore.hook_manager import HookManager  # noqa: PLC0415 - pluggy: most plugins do without

    manager = HookManager()
    manager.register(cls)
    return manager.get_hookcallers(cls) or []


def _hook_advice(name: str) -> str:
    return nearest(name, HOOKS) or f"; the hooks are {', '.join(HOOKS)}"


def _advice(name: str, among: Mapping[str, object]) -> str:
    if name in DISTRIBUTIONS:
        return f'no plugin "{name}" is installed{_install_advice(name, among)}'
    if does := predecessor.plugins(name):
        names = " or ".join(f'"{plugin}"' for plugin in does)
        advice = _install_advice(does[0], among)
        return f'no plugin "{name}" is installed; what btmon called "{name}" is {names} in btcore{advice}'
    near = nearest(name, {*among, *DISTRIBUTIONS})
    known = f"; the installed plugins are {', '.join(among)}" if among else ""
    return f'no plugin "{name}" is installed{near or known}'


def _install_advice(name: str, among: Mapping[str, object]) -> str:
    return "" if name in among else f"; install it with: pip install {DISTRIBUTIONS[name]}"
