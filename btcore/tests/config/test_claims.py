# SPDX-License-Identifier: GPL-3.0-or-later
"""What two tables of a configuration cannot both have is told before anything is opened, of whoever's plugins."""

from pathlib import Path

import pytest
from helpers.config_plugins import Load, problem_places, problems_of, site_loader
from helpers.distributions import install_distribution

from btcore import Claim, Problem

PLUGINS = """
    import attrs
    from btcore import Claim, Problem, Secret, hookimpl, plugin, setting

    @plugin(api=1)
    class Wire:
        pins: list[str] = setting(factory=list, help="what it claims")
        wrong: str = setting(default="", help="what to do in place of claiming")
        key: Secret = setting(default=Secret(""), help="a key")

        def claims(self):
            if self.wrong == "raise":
                raise RuntimeError(self.key.reveal())
            if self.wrong == "number":
                return [7]
            if self.wrong == "nothing":
                return None
            return self.pins

        @hookimpl
        def collect(self, stop):
            return iter(())

    @plugin(api=1)
    class Sheet(Wire):
        shared: list[str] = setting(factory=list, help="what it claims for its meters")
        note: str = setting(default="", help="what it warns of")

        def claims(self):
            yield from self.pins
            yield from (Claim(what, key="shared", per_meter=True) for what in self.shared)

        def check(self, delivery):
            if delivery.interval > 3600:
                yield Problem(f"{delivery.interval:g} s are too long", key="interval")
            if self.note:
                yield Problem(f"{self.note} {self.key.reveal()}", key="note", warning=True)

        @hookimpl
        def process_batch(self, batch):
            pass

        @hookimpl
        def split(self):
            return {"a": attrs.evolve(self), "b": attrs.evolve(self)}
"""
REST = "[source.tap]\nport = 2\n[sink.pail]\n"


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Load configurations beside which the wares, and plugins that claim, are installed."""
    install_distribution(tmp_path, "claiming", PLUGINS, {"wire": "Wire", "sheet": "Sheet"})
    return site_loader(tmp_path, monkeypatch)


def wires(*pins: str) -> str:
    """Return a source for each list of pins."""
    return "".join(f'[source.w{n}]\nuse = "wire"\npins = {some}\n' for n, some in enumerate(pins))


def test_what_two_tables_claim_is_told_with_the_first(load: Load) -> None:
    """The second is told, once, with the first, its line, and what both claim; who claims something else is not."""
    (found,) = problems_of(load, wires('["pin 7", "pin 8"]', '["pin 9"]', '["pin 8", "pin 7"]') + REST)
    assert problem_places((found,)) == [(7, "source.w2", "")]
    assert found.message == "pin 8 is already used by [source.w0] (line 1); only one table can use it"


def test_a_part_of_what_is_claimed_is_claimed(load: Load) -> None:
    """A claim with more behind a / is a part, whichever of the two comes first; another part is not."""
    for first, second in (('["port 7"]', '["port 7/eth0"]'), ('["port 7/eth0"]', '["port 7"]')):
        (found,) = problems_of(load, wires(first, second) + REST)
        assert found.table == "source.w1"
    load(wires('["port 7/eth0"]', '["port 7/eth1"]', '["port 70"]') + REST)


def test_a_source_and_a_sink_cannot_share_either(load: Load) -> None:
    """Kinds make no difference, and a claim may come from any plugin."""
    (found,) = problems_of(load, wires('["port 7"]') + '[sink.sheet]\npins = ["port 7"]\n' + REST)
    assert (found.table, "[source.w0]" in found.message) == ("sink.sheet", True)


@pytest.mark.parametrize(
    ("one", "other", "shared"),
    [("[1]", "[2, 3]", True), ("[1, 2]", "[2, 3]", False), ("[]", "[2]", False), ("[]", "[]", False)],
)
def test_what_is_claimed_per_meter_may_be_shared_by_meters(load: Load, one: str, other: str, shared: bool) -> None:
    """Two sinks with no meter in common may write to one place; the key that says which is told."""
    sinks = "".join(
        f'[sink.s{n}]\nuse = "sheet"\nshared = ["table x"]\nmeters = {m}\n' for n, m in enumerate((one, other))
    )
    if shared:
        assert len(load(sinks + REST).sinks) == 5
        return
    (found,) = problems_of(load, sinks + REST)
    assert (found.key, found.line) == ("shared", 7)
    assert found.message.endswith("only one table can use it, unless each lists different `meters`")


def test_the_parts_of_a_sink_share_what_it_claims(load: Load) -> None:
    """A sink that is split claims once, and not from itself."""
    assert len(load('[sink.sheet]\npins = ["a", "a", "a/b"]\n' + REST).sinks) == 3


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("raise", "failed while listing its claims (RuntimeError: ***); this is a mistake in the plugin"),
        ("number", "claims an int; expected text or a Claim; this is a mistake in the plugin"),
    ],
)
def test_a_plugin_that_cannot_say_is_told(load: Load, wrong: str, said: str) -> None:
    """Whatever a stranger's `claims` does is told as its fault, without a secret; the rest is checked."""
    (found,) = problems_of(load, f'[source.wire]\nwrong = "{wrong}"\nkey = "hush"\n{REST}')
    assert (found.table, said in found.message, "hush" in found.message) == ("source.wire", True, False)


def test_a_plugin_may_claim_nothing(load: Load) -> None:
    """No `claims` at all, or one that answers nothing, is no claim."""
    assert load('[source.wire]\nwrong = "nothing"\n' + REST).sources[0].plugin == "wire"


def test_a_check_may_ask_how_the_core_will_deliver(load: Load) -> None:
    """What a service allows of `interval` is known before it runs; other plugins' checks take nothing, as ever."""
    (found,) = problems_of(load, '[sink.sheet]\ninterval = "2h"\n' + REST)
    assert (found.key, found.line, found.message) == ("interval", 2, "7200 s are too long")


def test_a_check_may_warn(load: Load) -> None:
    """A warning is none of the mistakes: the file loads, and its line and key are told, without a secret."""
    site = load('[sink.sheet]\nnote = "beware of"\nkey = "hush"\n' + REST)
    (warning,) = site.warnings
    assert (warning.line, warning.key, warning.message, warning.warning) == (2, "note", "beware of ***", True)


def test_warnings_are_told_beside_mistakes(load: Load) -> None:
    """Where there are mistakes too, the warnings go with them."""
    from btcore.errors import ConfigurationError  # noqa: PLC0415 - of this test alone

    with pytest.raises(ConfigurationError) as caught:
        load('[sink.sheet]\nnote = "beware"\ninterval = "2h"\n' + REST)
    assert ([one.key for one in caught.value.problems], [one.key for one in caught.value.warnings]) == (
        ["interval"],
        ["note"],
    )


def test_both_are_public() -> None:
    """A stranger makes them of `btcore`'s names."""
    assert Claim("tcp port 1") == Claim("tcp port 1", key="", per_meter=False)
    assert not Problem("x").warning
