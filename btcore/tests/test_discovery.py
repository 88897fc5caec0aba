# SPDX-License-Identifier: GPL-3.0-or-later
"""Finding plugins: strangers' distributions in a directory of their own, good ones and every kind of broken one."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.distributions import install_distribution

from btcore import API, predecessor
from btcore.discovery import DISTRIBUTIONS, Installed, PluginError, check_kind, find, installed, kinds_of

Install = Callable[..., str]

SINK = """
    from btcore import hookimpl, plugin

    @plugin(api=1)
    class Pail:
        '''Keeps everything.'''

        @hookimpl
        def process_batch(self, batch):
            pass
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Install distributions for one test."""
    monkeypatch.syspath_prepend(tmp_path)

    def add(name: str, source: str, plugins: dict[str, str], **more: str) -> str:
        return install_distribution(tmp_path, name, source, plugins, **more)

    return add


def why_not(name: str) -> str:
    """Return why a plugin cannot be used."""
    with pytest.raises(PluginError) as caught:
        find(name, installed()).load()
    return str(caught.value)


def test_the_core_s_own_decoder_is_found_as_any_other() -> None:
    """The decoder of Brultech's packets is an entry point, with nothing but its name to find it by."""
    plugin = find("brultech", installed())
    assert (plugin.distribution, kinds_of(plugin.load())) == ("btcore", ("decoder",))


def test_a_stranger_s_plugin_is_found_and_loaded(install: Install) -> None:
    """A distribution that names a plugin is found with its version, and its class loaded."""
    install("stranger-pail", SINK, {"pail": "Pail"}, version="2.5")
    plugin = find("pail", installed())
    assert str(plugin) == 'plugin "pail" of stranger-pail 2.5'
    assert kinds_of(plugin.load()) == ("sink",)


def test_only_a_plugin_that_is_named_is_imported(tmp_path: Path) -> None:
    """Looking for plugins imports none; loading one imports that one only."""
    pail = install_distribution(tmp_path, "stranger-pail", SINK, {"pail": "Pail"})
    bomb = install_distribution(tmp_path, "stranger-bomb", "raise SystemExit(3)", {"bomb": "Bomb"})
    program = (
        "import json, sys; from btcore.discovery import find, installed; found = installed();"
        "before = set(sys.modules); find('pail', found).load();"
        f"print(json.dumps([sorted(found), [name in before for name in {[pail, bomb]}],"
        f" [name in sys.modules for name in {[pail, bomb]}]]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env={"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, check=True
    )
    found, before, after = json.loads(done.stdout)
    assert {"pail", "bomb", "brultech"} <= set(found)
    assert (before, after) == ([False, False], [True, False])


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import no_such_module_here", "ModuleNotFoundError: No module named 'no_such_module_here'"),
        ("raise SystemExit('bye')", "SystemExit: bye"),
        ("import asyncio\nraise asyncio.CancelledError('bye')", "CancelledError: bye"),
        ("raise GeneratorExit", "GeneratorExit"),
        ("def broken(:", "SyntaxError"),
        ("", "AttributeError"),
    ],
)
def test_a_plugin_that_cannot_be_imported_is_told_by_its_distribution(install: Install, source: str, said: str) -> None:
    """Whatever a module does on import, the error names the distribution, what happened, and what may help."""
    install("stranger-bad", source, {"bad": "Bad"})
    told = why_not("bad")
    assert told.startswith('plugin "bad" of stranger-bad 1.0 cannot be imported (')
    assert said in told
    assert told.endswith("pip install --force-reinstall stranger-bad may help")


@pytest.mark.parametrize("source", ["Bad = 3", "def Bad(): pass", "class Bad: pass", "class Bad: btcore_api = 1"])
def test_what_is_no_plugin_class_is_told(install: Install, source: str) -> None:
    """An entry point that names something else than a class made with the decorator is refused."""
    module = install("stranger-bad", source, {"bad": "Bad"})
    expected = (
        f'plugin "bad" of stranger-bad 1.0 is not a plugin: {module}:Bad is not a class decorated with @btcore.plugin'
    )
    assert why_not("bad") == expected


@pytest.mark.parametrize(
    ("api", "behind"), [(API + 1, "btcore"), (API - 1, "stranger-pail"), ("'next'", "stranger-pail")]
)
def test_another_version_of_the_interface_is_told_with_what_to_upgrade(
    install: Install, api: object, behind: str
) -> None:
    """A plugin for a newer interface wants a newer btcore; one for an older interface wants to be upgraded itself."""
    install("stranger-pail", SINK.replace("api=1", f"api={api}"), {"pail": "Pail"})
    assert why_not("pail").endswith(f"pip install --upgrade {behind}")


def test_a_misspelt_hook_is_told_with_the_nearest(install: Install) -> None:
    """A hook that the interface has not is refused, with the one that is meant."""
    install("stranger-pail", SINK.replace("process_batch", "proces_batch"), {"pail": "Pail"})
    assert why_not("pail").endswith('a hook that btcore does not know: "proces_batch"; did you mean "process_batch"?')


def test_a_hook_like_none_is_told_with_all_there_are(install: Install) -> None:
    """A hook that is like no other is refused, with the list of those there are."""
    install("stranger-pail", SINK.replace("process_batch", "xyz"), {"pail": "Pail"})
    assert "; the hooks are open, close, collect" in why_not("pail")


@pytest.mark.parametrize(
    ("formats", "said"),
    [
        ("3", "TypeError: packet_formats: expected a tuple, found an int"),
        ("('acme',)", "TypeError: packet_formats: expected Formats, found a str"),
        ("(ACME, ACME)", 'ValueError: packet_formats: "acme" is there twice'),
        ("property(lambda self: ())", "TypeError: packet_formats: expected a tuple, found a property"),
    ],
)
def test_formats_that_are_none_are_told(install: Install, formats: str, said: str) -> None:
    """What a plugin class says of its formats is looked at when it is loaded."""
    acme = "from btcore import Format\n    ACME = Format('acme', ('secs',), (), unpack=tuple)\n    "
    source = SINK.replace("@plugin", f"{acme}@plugin", 1).replace(
        "@hookimpl", f"packet_formats = {formats}\n\n        @hookimpl", 1
    )
    install("stranger-pail", source, {"pail": "Pail"})
    assert why_not("pail") == f'plugin "pail" of stranger-pail 1.0 declares invalid packet formats ({said})'


def test_an_argument_that_a_hook_has_not_is_told(install: Install) -> None:
    """A hook with an argument that the interface does not pass is refused."""
    install("stranger-pail", SINK.replace("(self, batch)", "(self, packets)"), {"pail": "Pail"})
    told = why_not("pail")
    assert "has a hook with a wrong signature" in told
    assert "packets" in told


def test_an_optional_hook_of_another_version_is_no_mistake(install: Install) -> None:
    """A hook that is marked as optional may be unknown."""
    source = SINK + "\n        @hookimpl(optionalhook=True)\n        def later(self):\n            pass\n"
    install("stranger-pail", source, {"pail": "Pail"})
    assert kinds_of(find("pail", installed()).load()) == ("sink",)


def test_two_distributions_with_one_name_are_both_told(install: Install) -> None:
    """A name that two distributions claim is nobody's: both are named."""
    install("stranger-one", SINK, {"pail": "Pail"})
    install("stranger-two", SINK, {"pail": "Pail"}, version="3.0")
    told = why_not("pail")
    assert 'the plugin "pail" is provided by' in told
    assert "stranger-one 1.0" in told
    assert "stranger-two 3.0" in told


def test_one_distribution_found_twice_on_the_path_counts_once(
    install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second copy of a distribution further down the path is hidden by the first, as on import."""
    below = tmp_path / "below"
    below.mkdir()
    install_distribution(below, "stranger-pail", SINK, {"pail": "Pail"}, version="0.9")
    monkeypatch.setattr(sys, "path", [*sys.path, str(below)])
    install("stranger-pail", SINK, {"pail": "Pail"})
    assert find("pail", installed()).version == "1.0"


def test_broken_metadata_hides_no_other_plugin(install: Install, tmp_path: Path) -> None:
    """A distribution whose entry points are no entry points is passed over; the others are found."""
    install("stranger-pail", SINK, {"pail": "Pail"})
    broken = tmp_path / "broken-1.dist-info"
    broken.mkdir()
    (broken / "entry_points.txt").write_text("[btcore.plugins]\nno equals sign\n")
    assert "pail" in installed()


@pytest.mark.parametrize(("name", "distribution"), sorted(DISTRIBUTIONS.items()))
def test_a_missing_plugin_of_the_project_names_what_to_install(name: str, distribution: str) -> None:
    """A plugin of the project that is not installed is told with the command that installs it."""
    with pytest.raises(PluginError) as caught:
        find(name, {})
    assert str(caught.value) == f'no plugin "{name}" is installed; install it with: pip install {distribution}'


@pytest.mark.parametrize(
    ("name", "does"),
    [
        *(("pachube", "xively"), ("cosm", "xively"), ("oem", "emoncms"), ("oem_out", "emoncms")),
        *(("OpenEnergyMonitor", "emoncms"), ("seg", "smartenergygroups"), ("pps", "peoplepower"), ("ted", "eragy")),
        *(("pvo", "pvoutput"), ("myenersave", "enersave"), ("wv", "wattvision"), ("influx", "influxdb")),
    ],
)
def test_a_name_of_btmon_s_is_told_with_the_plugin_that_does_it(name: str, does: str) -> None:
    """What btmon called otherwise is told with its name here, and with what to install where that is missing."""
    told = f'no plugin "{name}" is installed; what btmon called "{name}" is "{does}" in btcore'
    assert why_not(name) == told
    with pytest.raises(PluginError) as caught:
        find(name, {})
    assert str(caught.value) == f"{told}; install it with: pip install {DISTRIBUTIONS[does]}"


def test_every_plugin_that_btmon_s_names_lead_to_is_there() -> None:
    """What is told to do what btmon did is a plugin of the project."""
    assert {plugin for does in predecessor.PLUGINS.values() for plugin in does} <= set(DISTRIBUTIONS)


def test_a_misspelt_plugin_is_told_with_the_nearest(install: Install) -> None:
    """A name like that of an installed or a known plugin is told with it; one like none, with what is installed."""
    install("stranger-pail", SINK, {"pail": "Pail"})
    assert why_not("pial") == 'no plugin "pial" is installed; did you mean "pail"?'
    assert why_not("pvoutptu") == 'no plugin "pvoutptu" is installed; did you mean "pvoutput"?'
    assert "; the installed plugins are " in why_not("zzz")
    assert " pail," in why_not("zzz")


def _loaded(name: str) -> tuple[Installed, type]:
    plugin = find(name, installed())
    return plugin, plugin.load()


def test_a_plugin_in_a_table_of_the_wrong_kind_is_told_with_the_right_one(install: Install) -> None:
    """A sink that is named as a source is refused, with the table that it belongs in."""
    install("stranger-pail", SINK, {"pail": "Pail"})
    with pytest.raises(PluginError, match=r"is not a source: it has no hook collect; it is a sink: \[sink.pail\]"):
        check_kind(*_loaded("pail"), "source")


def test_a_method_without_its_mark_is_told(install: Install) -> None:
    """A method with a hook's name that is not marked is no hook, and is told as just that."""
    install("stranger-pail", SINK.replace("@hookimpl", ""), {"pail": "Pail"})
    with pytest.raises(PluginError, match="process_batch is not decorated with @hookimpl"):
        check_kind(*_loaded("pail"), "sink")


def test_a_name_twice_in_one_distribution_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where one distribution has two entry points of one name, nobody is told to uninstall one of two."""
    monkeypatch.syspath_prepend(str(tmp_path))
    module = install_distribution(tmp_path, "twins", "", {"twin": "One"})
    points = tmp_path / "twins-1.0.dist-info" / "entry_points.txt"
    points.write_text(points.read_text() + f"twin = {module}:Two\n")
    with pytest.raises(PluginError, match="its entry points need two names"):
        find("twin", installed())
