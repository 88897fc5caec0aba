# SPDX-License-Identifier: GPL-3.0-or-later
"""A whole site.toml: what a good one becomes, and that all mistakes of a bad one are told together, in their places."""

from pathlib import Path
from typing import Any

import pytest
from helpers.config_plugins import MINIMAL_SITE, Load, problem_places, problems_of

from btcore.channel_descriptions import ChannelDescription
from btcore.config.load import load_site
from btcore.config.site import Site, Source, context_of
from btcore.errors import ConfigurationError
from btcore.settings import ChannelRef, Delivery, Duration, Secret


def top(site: Site) -> list[object]:
    """Return what the top level set."""
    return [site.state, site.polarity, site.retention, site.channels]


def intake(source: Source) -> list[object]:
    """Return what the core's settings of a source are."""
    return [source.formats, source.clock, source.min_backoff, source.max_backoff]


def test_the_least_configuration_has_every_default(load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One source and one sink are enough: the rest has defaults, the decoder of Brultech's packets among them."""
    monkeypatch.setenv("STATE_DIRECTORY", f"{tmp_path}/state:/other")
    site = load(MINIMAL_SITE)
    (source,), (sink,), (*_, decoder) = site.sources, site.sinks, site.decoders
    assert top(site) == [tmp_path / "state", "brultech", 2_592_000, {}]
    assert (source.name, source.table, source.plugin) == ("tap", "source.tap", "tap")
    assert intake(source) == [(), "arrival", 1, 60]
    assert (sink.table, sink.delivery) == ("sink.pail", Delivery(interval=Duration(300), batch_size=30))
    assert (decoder.table, decoder.plugin) == ("decoder.brultech", "brultech")


def test_without_a_service_manager_the_state_is_the_user_s(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no STATE_DIRECTORY is given, the state is in the platform's place for the user."""
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", "/var/me")
    assert load(MINIMAL_SITE).state == Path("/var/me/btcore")


def test_every_setting_reaches_what_it_is_for(load: Load, tmp_path: Path) -> None:
    """Settings of the top level, of the core and of a plugin are converted and set; paths start beside the file."""
    site = load(
        """
        state = "here"
        polarity = "btmon"
        retention = "7d"
        [source.panel]
        use = "tap"
        port = 8084
        host = 12
        formats = ["ecm1240bin"]
        clock = "device-utc"
        min_backoff = "2s"
        max_backoff = "5s"
        [sink.roof]
        use = "pail"
        api_key = "hush"
        solar = "sun"
        names = { sun = "s", ch2 = "t" }
        interval = "1m"
        meters = [399999]
        polarity = "brultech"
        [decoder.ears]
        [channels]
        399999_ch1 = "sun"
        """
    )
    (source,), (sink,), (*_, decoder) = site.sources, site.sinks, site.decoders
    tap, pail = vars(source.instance), vars(sink.instance)
    assert top(site) == [tmp_path / "here", "btmon", 604_800, {"399999_ch1": "sun"}]
    assert intake(source) == [("ecm1240bin",), "device-utc", 2, 5]
    assert (tap["port"], tap["host"], tap["log"]) == (8084, "12", tmp_path / "tap.log")
    assert (pail["api_key"], pail["solar"]) == (Secret("hush"), ChannelRef("399999", "ch1"))
    assert pail["names"] == {ChannelRef("399999", "ch1"): "s", ChannelRef("", "ch2"): "t"}
    expected = Delivery(interval=Duration(60), batch_size=30, meters=("399999",), polarity="brultech")
    assert (sink.name, sink.plugin, sink.delivery) == ("roof", "pail", expected)
    assert decoder.plugin == "ears"


def test_two_tables_of_one_plugin_are_two_instances(load: Load) -> None:
    """Each table has an instance of its own, though its settings are the same."""
    site = load(MINIMAL_SITE + '[sink.other]\nuse = "pail"\n')
    one, other = (sink.instance for sink in site.sinks)
    assert one is not other


def test_all_mistakes_are_told_in_one_run_in_the_order_of_the_file(load: Load, tmp_path: Path) -> None:
    """Mistakes of syntax, names, types, secrets and between settings are told together, with line, table and key."""
    found = problems_of(
        load,
        """\
        polarty = "btmon"
        retention = "soon"

        [source.panel]
        use = "tap"
        prot = 8083

        [source.door]
        use = "tcp-servr"

        [sink.pail]
        mode = "slow"
        interval = "5 minutes"

        [sink.other]
        use = "pail"
        host = meter.local
        names."399999_ch9" = 4.5
        api_key = { env = "BTCORE_TEST_UNSET" }
        colour = "green"

        [sinks.third]
        use = "pail"

        [channels]
        399999_ch1 = "sun"
        399999_ch2 = "sun"
        """,
    )
    assert problem_places(found) == [
        (1, "", "polarty"),
        (2, "", "retention"),
        (4, "source.panel", "port"),
        (6, "source.panel", "prot"),
        (9, "source.door", "use"),
        (11, "sink.pail", "api_key"),
        (13, "sink.pail", "interval"),
        (17, "", ""),
        (18, "sink.other", "names.399999_ch9"),
        (19, "sink.other", "api_key"),
        (20, "sink.other", "colour"),
        (22, "sinks.third", ""),
        (27, "channels", "399999_ch2"),
    ]
    assert {problem.file for problem in found} == {str(tmp_path / "site.toml")}


def test_a_byte_order_mark_is_no_mistake(load: Load, tmp_path: Path) -> None:
    """A file as an editor of Windows writes it is read."""
    (tmp_path / "site.toml").write_bytes(b"\xef\xbb\xbf" + MINIMAL_SITE.replace("\n", "\r\n").encode())
    assert len(load_site(tmp_path / "site.toml").sinks) == 1


def test_secrets_are_collected_and_nowhere_shown(load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every text of a secret, and every text from elsewhere, is among the site's secrets and not in its repr."""
    monkeypatch.setenv("BTCORE_TEST_KEY", "hush-env")
    (tmp_path / "url").write_text("hush-file\n")
    site = load(
        MINIMAL_SITE
        + '[sink.a]\nuse = "pail"\napi_key = { env = "BTCORE_TEST_KEY" }\nurl = { file = "url" }\n'
        + '[sink.b]\nuse = "pail"\napi_key = "hush-plain"\n'
    )
    assert set(site.secrets) == {"hush-env", "hush-file", "hush-plain"}
    assert "hush" not in repr(site)


@pytest.mark.parametrize(
    "table",
    [
        '[sink.loud]\napi_key = "hush"',
        '[sink.crash]\napi_key = "hush"',
        '[sink.pail]\napi_key = "hush"\nurl = "leak"',
        '[sink.pail]\napi_key = ["hush"]',
        '[sink.pail]\napi_key = { hush = "hush" }',
        "[sink.pail]\napi_key = hush",
    ],
)
def test_no_message_holds_a_secret(load: Load, table: str) -> None:
    """Neither the core's words nor those of a careless plugin repeat a secret."""
    with pytest.raises(ConfigurationError) as caught:
        load(f"[source.tap]\nport = 2\n{table}\n")
    assert "hush" not in f"{caught.value} {caught.value!r} {caught.value.problems!r}"


# --- decoders of other meters


def test_a_decoder_that_does_not_say_its_labels_is_not_checked_against(load: Load) -> None:
    """Where a decoder of another kind of meter has no `packet_formats`, any channel and format may be meant."""
    site = load(
        '[source.tap]\nport = 8\nformats = ["phases", "gem48pbin"]\n'
        '[sink.pail]\nsolar = "mains"\nnames = { A17_phase2 = "b", phase3 = "c" }\n'
        '[decoder.ears]\n[channels]\nA17_phase1 = "mains"\n'
    )
    assert site.channels == {"A17_phase1": "mains"}
    assert site.sources[0].formats == ("phases", "gem48pbin")
    pail: Any = site.sinks[0].instance
    assert (pail.solar, list(pail.names)) == (
        ChannelRef("A17", "phase1"),
        [ChannelRef("A17", "phase2"), ChannelRef("", "phase3")],
    )


def test_a_decoder_that_says_its_formats_is_checked_against(load: Load) -> None:
    """Its labels and formats are known beside Brultech's, and what is none of either is told with the nearest."""
    good = load(
        '[source.tap]\nport = 8\nformats = ["sun", "gem48pbin"]\n'
        '[sink.pail]\nnames = { 4242_pv1 = "a", pv1_ws = "b" }\n'
        '[decoder.sun]\n[channels]\n4242_pv1 = "roof"\n399999_ch1 = "mains"\n'
    )
    assert good.channels == {"4242_pv1": "roof", "399999_ch1": "mains"}
    assert [decoder.plugin for decoder in good.decoders] == ["brultech", "sun"]
    found = problems_of(
        load,
        '[source.tap]\nport = 8\nformats = ["sun", "snu"]\n[sink.pail]\nsolar = "4242_pvv1"\n'
        '[decoder.sun]\n[channels]\n4242_pv11 = "roof"\n',
    )
    assert [(problem.key, problem.message.rpartition("; ")[2]) for problem in found] == [
        ("formats item 2", 'did you mean "sun"?'),
        ("solar", 'did you mean "4242_pv1"?'),
        ("4242_pv11", "there is pv1"),
    ]


def test_a_source_of_whole_readings_may_say_its_formats_too(load: Load) -> None:
    """What a source that needs no decoder says of its formats is known like a decoder's."""
    site = load('[source.tide]\nport = 8\nformats = ["tide"]\n[sink.pail]\n[channels]\n7_turbine = "sea"\n')
    assert site.channels == {"7_turbine": "sea"}


def test_a_serial_number_may_have_a_line_in_it(load: Load) -> None:
    """SERIAL_LABEL is parted where a label follows."""
    site = load(MINIMAL_SITE + 'solar = "a_1_pv1"\n[decoder.sun]\n[channels]\n"my_meter_pv1" = "roof"\n')
    pail: Any = site.sinks[0].instance
    assert (pail.solar, site.channels) == (ChannelRef("a_1", "pv1"), {"my_meter_pv1": "roof"})


def test_the_decoder_of_brultech_is_always_there(load: Load) -> None:
    """A table of another decoder adds to it; a table of its own, under whatever name, is that decoder."""
    tables = {
        "": ["brultech"],
        "[decoder.ears]": ["brultech", "ears"],
        "[decoder.ears]\n[decoder.brultech]": ["ears", "brultech"],
        '[decoder.mine]\nuse = "brultech"\nformats = ["gem48pbin"]': ["brultech"],
        "[decoder]": ["brultech"],
    }
    found = {text: [decoder.plugin for decoder in load(f"{MINIMAL_SITE}{text}\n").decoders] for text in tables}
    assert found == tables


def test_a_source_brings_the_decoder_that_it_names(load: Load) -> None:
    """The decoder that a source's class names is there once, with its formats: that of the file, if it has one."""
    dish = '[source.dish]\nport = 8\nformats = ["sun"]\n[source.tap]\nport = 10\n[sink.pail]\nsolar = "7_pv1"\n'
    tables = {
        "": [("decoder.brultech", "brultech"), ("decoder.sun", "sun")],
        "[decoder.sun]": [("decoder.brultech", "brultech"), ("decoder.sun", "sun")],
        '[decoder.mine]\nuse = "sun"': [("decoder.brultech", "brultech"), ("decoder.mine", "sun")],
    }
    found = {text: [(one.table, one.plugin) for one in load(f"{dish}{text}\n").decoders] for text in tables}
    assert found == tables


def test_a_source_that_names_its_decoders_wrongly(load: Load) -> None:
    """A text in place of a tuple is reported with the plugin that has it."""
    (problem,) = problems_of(load, "[source.vague]\nport = 8\n[sink.pail]\n")
    assert "names its decoders wrongly" in problem.message
    assert "expected a tuple of names, such as (\"ascii\",), found 'sun'" in problem.message


def test_another_decoder_cannot_be_called_brultech(load: Load) -> None:
    """Its name would be that of the decoder that is there in any case."""
    (problem,) = problems_of(load, MINIMAL_SITE + '[decoder.brultech]\nuse = "ears"\n')
    assert (problem.table, "choose another" in problem.message) == ("decoder.brultech", True)


def test_a_decoder_that_is_missing_is_the_only_mistake_told(load: Load) -> None:
    """What it would have known is not told to be unknown."""
    (problem,) = problems_of(load, MINIMAL_SITE + '[decoder.sum]\n[channels]\n4242_pv1 = "roof"\n')
    assert (problem.table, 'did you mean "sun"?' in problem.message) == ("decoder.sum", True)


# --- secrets in files


@pytest.mark.parametrize(
    ("mode", "said"),
    [
        (0o600, []),
        (0o640, []),
        (0o604, ["read"]),
        (0o602, ["changed"]),
        (0o666, ["read and changed"]),
    ],
)
def test_a_secret_file_that_is_open_to_everybody_is_remarked(
    load: Load, tmp_path: Path, mode: int, said: list[str]
) -> None:
    """A warning names file, line, key, and what to do; it is no mistake, and no word of the secret is in it."""
    tmp_path.chmod(0o755)
    secret = tmp_path / "the key"
    secret.write_text("hush")
    secret.chmod(mode)
    site = load(MINIMAL_SITE + 'api_key = { file = "the key" }\n')
    place = f"{tmp_path / 'site.toml'}:4: [sink.pail] api_key"
    assert [str(warning) for warning in site.warnings] == [
        f"{place}: the file {secret} can be {what} by every user of this computer: chmod 600 '{secret}'"
        for what in said
    ]


def test_a_secret_file_that_everybody_may_replace_is_remarked(load: Load, tmp_path: Path) -> None:
    """So is one whose folder everybody may write to, unless only the owner of a file may remove it there."""
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "key").write_text("hush")
    (folder / "key").chmod(0o600)
    told = []
    for mode in (0o755, 0o1777, 0o777):
        folder.chmod(mode)
        told.append([warning.message for warning in load(MINIMAL_SITE + 'api_key = { file = "run/key" }\n').warnings])
    replaced = f"the file {folder / 'key'} can be replaced by every user of this computer: chmod o-w {folder}"
    assert told == [[], [], [replaced]]


def test_a_channel_may_be_described_by_a_table(load: Load) -> None:
    """An entry of [channels] is a name or a table; either way its name is one that settings may use."""
    site = load(
        MINIMAL_SITE
        + 'solar = "roof"\n[channels]\n"01000777_ch1" = { name = "roof", area = "Garden" }\n399999_ch1 = "mains"\n'
        + '"01000777_p1" = { name = "water", unit = "m3", per_pulse = 0.5, class = "water" }\n'
    )
    assert site.channels == {"01000777_ch1": "roof", "399999_ch1": "mains", "01000777_p1": "water"}
    assert site.channel_descriptions == {
        "01000777_ch1": ChannelDescription(name="roof", area="Garden"),
        "399999_ch1": ChannelDescription(name="mains"),
        "01000777_p1": ChannelDescription(name="water", unit="m³", per_pulse=0.5, class_="water"),
    }
    assert site.sinks[0].instance.solar == ChannelRef("01000777", "ch1")  # type: ignore[attr-defined]


def test_a_virtual_channel_tells_of_which_it_is(load: Load) -> None:
    """Down to the channels of meters, so that a sink counts none of them twice."""
    site = load(
        MINIMAL_SITE
        + '[channels]\n"01000777_ch1" = "a"\n"01000777_ch2" = "b"\nmains = { expression = "a + b" }\n'
        + 'rest = { expression = "mains - 2 * 01000777_ch3" }\n'
    )
    parts = {name: one.parts for name, one in site.channel_descriptions.items() if one.parts}
    both = ("01000777_ch1", "01000777_ch2")
    assert parts == {"mains_ch1": both, "rest_ch1": (*both, "01000777_ch3")}


def test_what_is_said_of_a_channel_reaches_the_sink(load: Load) -> None:
    """The context describes a channel as [channels] does, and one that is not there by SERIAL_CHANNEL."""
    site = load(MINIMAL_SITE + '[channels]\n"01000777_ch1" = { name = "roof", area = "Garden" }\n')
    context = context_of(site, site.sinks[0])
    assert context.describe_channel("01000777", "ch1") == ChannelDescription(name="roof", area="Garden")
    assert context.describe_channel("01000777", "ch2") == ChannelDescription(name="01000777_ch2")
    assert context.delivery == site.sinks[0].delivery
