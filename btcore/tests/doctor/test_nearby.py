# SPDX-License-Identifier: GPL-3.0-or-later
"""What plugins find on this computer: each is asked, and one that fails holds nobody up."""

from pathlib import Path
from typing import Any

import pytest
from helpers.distributions import install_distribution

from btcore import Discovered
from btcore.discovery import DISTRIBUTIONS, find, installed
from btcore.doctor.nearby import Nearby, discover
from btcore.doctor.trial import TableText, examine_sink, examine_source, hear
from btcore.errors import ConfigurationError
from btcore.values.describe import settings_of

ODD = """
    import threading
    from btcore import Discovered, hookimpl, plugin

    class Sink:
        @hookimpl
        def process_batch(self, batch):
            pass

    @plugin(api=1)
    class Good(Sink):
        @classmethod
        def discover(cls, timeout):
            yield Discovered(kind="sink", text=f"{timeout:g} s")

    @plugin(api=1)
    class Failing(Sink):
        @classmethod
        def discover(cls, timeout):
            yield Discovered(kind="sink", text="first")
            raise RuntimeError("the light is out")

    @plugin(api=1)
    class Junk(Sink):
        @classmethod
        def discover(cls, timeout):
            return ["junk"]

    @plugin(api=1)
    class Hanging(Sink):
        @classmethod
        def discover(cls, timeout):
            threading.Event().wait()

    @plugin(api=1)
    class Endless(Sink):
        @classmethod
        def discover(cls, timeout):
            while True:
                yield Discovered(kind="sink", text="more")
"""


@pytest.fixture
def found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Nearby]:
    """Ask plugins of all kinds, installed beside the project's own."""
    monkeypatch.syspath_prepend(tmp_path)
    names = ("Good", "Failing", "Junk", "Hanging", "Endless")
    install_distribution(tmp_path, "odd", ODD, {f"odd-{name.lower()}": name for name in names})
    among = {name: rivals for name, rivals in installed().items() if name.startswith("odd-")}
    return {one.plugin: one for one in discover(among, patience=2.0)}


def test_each_plugin_is_asked_and_none_holds_the_others_up(found: dict[str, Nearby]) -> None:
    """What is found is there; who fails, hangs, or yields junk is named with the reason; who yields too much is cut."""
    assert [(one.text, one.is_present) for one in found["odd-good"].found] == [("2 s", True)]
    assert ([one.text for one in found["odd-failing"].found], found["odd-failing"].failure) == (
        ["first"],
        "RuntimeError: the light is out",
    )
    assert "expected a Discovered" in found["odd-junk"].failure
    assert "does not return" in found["odd-hanging"].failure
    assert len(found["odd-endless"].found) == 50


def test_the_default_set_offers_each_way_to_a_meter() -> None:
    """A network, a serial line and a house for those without a meter are offered, and a file to store into."""
    among = {name: rivals for name, rivals in installed().items() if name in DISTRIBUTIONS}
    found = {one.plugin: one for one in discover(among, patience=60)}
    assert {"tcp-server", "tcp-client", "serial", "simulator", "sqlite"} <= found.keys()
    assert [one.failure for one in found.values() if one.failure] == []
    for name, one in found.items():
        known = {entry.name for entry in settings_of(find(name, among).load())}
        assert {key for offer in one.found for key in (*offer.ask, *offer.settings)} <= known


@pytest.mark.parametrize(
    "wrong",
    [{"kind": "decoder"}, {"text": 1}, {"settings": []}, {"ask": "port"}, {"is_present": 1}],
    ids=lambda wrong: next(iter(wrong)),
)
def test_what_is_offered_is_checked(wrong: dict[str, Any]) -> None:
    """An offer that is none is refused where it is made."""
    with pytest.raises((TypeError, ValueError), match=next(iter(wrong))):
        Discovered(**{"kind": "sink", "text": "a sink", **wrong})


def test_a_table_is_written_as_a_configuration_has_it() -> None:
    """The plugin is named where the table is not; values are TOML's."""
    assert str(TableText("sink", "mqtt-2", "mqtt", {"tls": True, "port": 1883, "map": {"a b": "x"}})) == (
        '[sink.mqtt-2]\nuse = "mqtt"\ntls = true\nport = 1883\nmap = { "a b" = "x" }\n'
    )


def test_a_wrong_setting_of_a_trial_is_told() -> None:
    """A table with a mistake is not tried: the mistake is told, with its key."""
    table = TableText("source", "serial", "serial", {"port": "x", "baud": "fast"})
    for attempt in (lambda: hear([table], 0.1), lambda: examine_source(table, 0.1)):
        with pytest.raises(ConfigurationError) as raised:
            attempt()
        assert [problem.key for problem in raised.value.problems] == ["baud"]


def test_a_sink_is_asked_what_is_wrong() -> None:
    """A finding of the sink's plugin comes back, without its secrets."""
    table = TableText("sink", "sqlite", "sqlite", {"file": "/nowhere/at/all/energy.db"})
    assert [finding.code for finding in examine_sink(table, 0.1)] == ["sink-directory"]
