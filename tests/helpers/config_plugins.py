# SPDX-License-Identifier: GPL-3.0-or-later
"""Plugins for tests of the configuration: good ones, and one for each way of being bad."""

import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from btcore.config.load import load_site
from btcore.config.site import Site
from btcore.errors import ConfigurationError, Problem
from helpers.distributions import install_distribution

SOURCE = """
    from pathlib import Path
    from typing import Any, Literal
    from asyncio import CancelledError

    import attrs
    from btcore import Channel, ChannelRef, Delivery, Duration, Format, Problem, Secret, hookimpl, plugin, setting

    def even(instance, attribute, value):
        if value % 2:
            raise ValueError(f"expected an even number, found {value}")

    def loud(instance, attribute, value):
        raise ValueError(f"{value.reveal()} is no key")

    def curious(instance, attribute, value):
        if value > instance.low:
            raise ValueError("expected no more than low")

    @plugin(api=1)
    class Tap:
        port: int = setting(help="the port", validator=even)
        host: str = setting(default="", help="the address")
        log: Path = setting(default=Path("tap.log"), help="a file")
        _count: int = attrs.field(default=0, init=False)

        @hookimpl
        def collect(self, stop):
            return iter(())

    @plugin(api=1, delivery=Delivery(interval=Duration(300), batch_size=30))
    class Pail:
        api_key: Secret = setting(default=Secret(""), help="the key")
        url: str = setting(default="", help="where to")
        solar: ChannelRef | None = setting(default=None, help="the roof")
        names: "dict[ChannelRef, str]" = setting(factory=dict, help="other names")
        mode: Literal["fast", "slow"] = setting(default="fast", help="how")
        colour: str = setting(default="red", help="which", choices=("red", "blue"))
        low: int = setting(default=0, help="a bound")
        high: int = setting(default=0, help="a bound", validator=curious)
        extra: Any = attrs.field(default=None)

        def check(self):
            if self.mode == "slow" and not self.api_key:
                yield Problem("slow needs a key", key="api_key")
            if self.url == "leak":
                yield Problem(f"{self.api_key.reveal()} does not fit")

        @hookimpl
        def process_batch(self, batch):
            pass

    @plugin(api=1)
    class Loud(Pail):
        api_key: Secret = setting(help="the key", validator=loud)

    @plugin(api=1)
    class Crash(Pail):
        def __attrs_post_init__(self):
            raise RuntimeError(f"no {self.api_key.reveal()} here")

    @plugin(api=1)
    class Refusing(Pail):
        def __attrs_post_init__(self):
            raise ValueError("this will not do")

    class BadCheck(Pail):
        def check(self):
            yield Problem("first")
            yield "second"

    class NoCheck(Pail):
        check = None

    class Silent(Pail):
        def check(self):
            return None

    class Exit(Pail):
        def check(self):
            raise SystemExit

    @plugin(api=1)
    class Grabbing(Pail):
        interval: int = setting(default=1, help="mine")
        use: int = setting(default=1, help="mine")

    @plugin(api=1)
    class Strange(Pail):
        size: bytes = setting(default=b"", help="mine")

    SUN = Format("sun", ("secs", "pv1_ws"), (Channel("pv1", "pv1_ws"),), unpack=tuple)
    TIDE = Format("tide", ("secs", "turbine_ws"), (Channel("turbine", "turbine_ws"),), unpack=tuple)

    @plugin(api=1)
    class Sun:
        packet_formats = (SUN,)

        @hookimpl
        def decode_packet(self, buffer):
            return None

    @plugin(api=1)
    class Tide(Tap):
        packet_formats = (TIDE,)

    @plugin(api=1)
    class Dish(Tap):
        decoders = ("sun",)

    @plugin(api=1)
    class Vague(Tap):
        decoders = "sun"

    @plugin(api=1)
    class Canceled(Pail):
        def __attrs_post_init__(self):
            raise CancelledError("no time")

    class Interrupting(Pail):
        def check(self):
            raise GeneratorExit

    class Wordless(BaseException):
        def __str__(self):
            raise Wordless

    class Mute(Pail):
        def check(self):
            raise Wordless(Wordless())

    @plugin(api=1, delivery=3)
    class Undelivered(Pail):
        pass

    @plugin(api=1)
    class Split:
        keys: dict[str, str] = setting(factory=dict, help="what each part has")
        wrong: str = setting(default="", help="what to answer in place of parts")

        @hookimpl
        def split(self):
            if self.wrong == "raise":
                raise CancelledError("no time")
            if self.wrong == "twice":
                return {"a": self, "b": self}
            if self.wrong == "stranger":
                return {"a": 3}
            if self.wrong == "number":
                return {7: self}
            if self.wrong == "none":
                return None
            return {name: Split(keys={name: key}) for name, key in self.keys.items()}

        @hookimpl
        def process_batch(self, batch):
            pass

    @plugin(api=1)
    class Ears:
        @hookimpl
        def decode_packet(self, buffer):
            return None
"""
PLUGINS = {
    name.lower(): name
    for name in (
        *("Tap", "Pail", "Loud", "Crash", "Refusing", "BadCheck", "NoCheck", "Silent"),
        *("Exit", "Grabbing", "Strange", "Ears", "Sun", "Tide", "Canceled", "Interrupting"),
        *("Mute", "Undelivered", "Split", "Dish", "Vague"),
    )
}
MINIMAL_SITE = "[source.tap]\nport = 8\n[sink.pail]\n"

Load = Callable[[str], Site]


def site_loader(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Install the plugins in a folder; return a function that loads a configuration there."""
    monkeypatch.syspath_prepend(folder)
    install_distribution(folder, "wares", SOURCE, PLUGINS)

    def load(text: str) -> Site:
        (folder / "site.toml").write_text(textwrap.dedent(text))
        return load_site(folder / "site.toml")

    return load


def problems_of(load: Load, text: str) -> tuple[Problem, ...]:
    """Return the problems of a configuration."""
    with pytest.raises(ConfigurationError) as caught:
        load(text)
    return caught.value.problems


def problem_places(found: tuple[Problem, ...]) -> list[tuple[int | None, str, str]]:
    """Return where problems are."""
    return [(problem.line, problem.table, problem.key) for problem in found]
