# SPDX-License-Identifier: GPL-3.0-or-later
"""Each mistake that a site.toml can have, alone: where it is told to be, and what is said of it."""

import sys
from pathlib import Path

import pytest
from helpers.config_plugins import MINIMAL_SITE, Load, problem_places, problems_of
from helpers.distributions import install_distribution

from btcore.config.load import load_site
from btcore.errors import ConfigurationError


@pytest.mark.parametrize(
    ("table", "key", "said"),
    [
        ("[source.tap]\nprt = 3\nport = 2", "prt", 'unknown setting; did you mean "port"?'),
        ("[source.tap]\nzzz = 3\nport = 2", "zzz", "unknown setting; the settings are port, host, log, use, formats,"),
        ('[source.tap]\nstate = "x"\nport = 2', "state", "it belongs at the top of the file, before the first [table]"),
        ("[source.tap]", "port", "a required setting is missing: the port (whole number)"),
        ("[source.tap]\nport = 3", "port", "expected an even number, found 3"),
        ("[source.tap]\nport = true", "port", "expected a whole number, without quotes, found true"),
        ("[source.tap]\nport = 2\nmin_backoff = 0", "min_backoff", "expected a duration above 0s, found 0s"),
        ('[source.tap]\nport = 2\nformats = ["ecm1240"]', "formats item 1", 'did you mean "ecm1240bin"?'),
        ('[source.tap]\nport = 2\nclock = "utc"', "clock", 'expected one of "arrival", "device-utc", "device-local"'),
        ('[source.tap]\nport = 2\n"a b" = 1', '"a b"', "unknown setting"),
        ("[source.x]\nuse = 3", "use", "expected the name of a plugin, as text, found 3"),
        ('[source.x]\nuse = "serial-line"', "use", 'no plugin "serial-line" is installed'),
        ("[source.my-panel]", "", 'if "my-panel" is a name of your own, set the plugin: use = ...'),
        ("[source.pail]", "", "is not a source: it has no hook collect; it is a sink: [sink.pail]"),
        ("[sink.pail]\nbatch_size = 0", "batch_size", "expected a whole number of at least 1, found 0"),
        ('[sink.pail]\ncolour = "bleu"', "colour", 'expected one of "red", "blue", found "bleu"; did you mean "blue"?'),
        ('[sink.pail]\nsolar = "ch99"', "solar", 'no such channel: "ch99"; there are ch1 to ch48'),
        ('[sink.pail]\nmode = "slow"', "api_key", "slow needs a key"),
        ("[sink.pail]\nhigh = 1", "", "does not accept these settings: expected no more than low"),
        ("[sink.crash]", "", "failed when it was created (RuntimeError: no  here); this is a mistake in the plugin"),
        ("[sink.refusing]", "", 'the plugin "refusing" of wares 1.0 does not accept these settings: this will not do'),
        ("[sink.exit]", "", "failed while it checked its settings (SystemExit: SystemExit)"),
        ("[sink.canceled]", "", "failed when it was created (CancelledError: no time)"),
        ("[sink.interrupting]", "", "failed while it checked its settings (GeneratorExit: GeneratorExit)"),
        ('[sink.split]\nwrong = "raise"', "", "failed while it was split (CancelledError: no time); this is a mistake"),
        ('[sink.split]\nwrong = "none"', "", "returned invalid parts: expected an instance for each name"),
        ('[sink.split]\nwrong = "twice"', "", "two parts are the same instance"),
        ('[sink.split]\nwrong = "stranger"', "", "expected an instance of the same class for part a, found an int"),
        ('[sink.split]\nwrong = "number"', "", "expected text for the name of a part, found an int"),
        (
            '[sink."split/a"]\nuse = "pail"\n[sink.split]\nkeys = { a = "K" }',
            "",
            "is also the name of a part of [sink.split]",
        ),
        (
            "[sink.split]",
            "",
            'plugin "split" of wares 1.0 returned invalid parts: expected from 1 to 100 parts',
        ),
        ('[sink.split]\nkeys = { "a/b" = "K" }', "", "expected a short name without a / for each part, found 'a/b'"),
        ("[sink.mute]", "", "failed while it checked its settings (Wordless: Wordless)"),
        ("[sink.undelivered]", "", "has 3 as its `delivery`; expected a btcore.Delivery"),
        ("[sink.grabbing]", "", "declares settings that belong to the core: interval, use; it must rename them"),
        ("[sink.strange]", "", "declares settings that cannot be read (TypeError"),
        ("[decoder.tap]", "", "is not a decoder: it has no hook decode_packet; it is a source: [source.tap]"),
        ('[channels]\n399999_hc1 = "sun"', "399999_hc1", 'no meter has such a channel; did you mean "399999_ch1"?'),
        ('[channels]\nch1 = "sun"', "ch1", "expected SERIAL_CHANNEL before the =, such as 399999_ch1"),
        ('[channels]\n399999_ch1 = ""', "399999_ch1", "expected a name, as text in quotes"),
        ("[channels]\n399999_ch1 = 3", "399999_ch1", "expected a name, as text in quotes"),
        ('[channels]\n399999_ch1 = "ch2"', "399999_ch1", '"ch2" is the notation of a channel'),
        ('[channels]\n399999_ch1 = "399999_ch2"', "399999_ch1", '"399999_ch2" is the notation of a channel'),
        ('[channels]\n399999_ch1 = { area = "roof" }', "399999_ch1", "expected a name, as text in quotes"),
        ('[channels]\n399999_ch1 = { name = "a", are = "b" }', "399999_ch1.are", 'did you mean "area"?'),
        ('[channels]\n399999_ch1 = { name = "a", unit = "L" }', "399999_ch1", "ch1 is no pulse counter"),
        ('[channels]\n399999_ch1 = { name = "a", per_pulse = 2 }', "399999_ch1", "ch1 is no pulse counter"),
        ('[channels]\n01000777_p1 = { name = "a", per_pulse = 0 }', "01000777_p1.per_pulse", "above 0, found 0"),
        ('[channels]\n01000777_p1 = { name = "a", class = "gas" }', "01000777_p1", "needs a unit: one of m³, ft³"),
        ('[channels]\n01000777_p1 = { name = "a", class = "oil" }', "01000777_p1.class", 'one of "water", "gas"'),
    ],
)
def test_a_mistake_in_a_table_is_told_in_its_place(load: Load, table: str, key: str, said: str) -> None:
    """Each kind of mistake is told alone, with its table, its key, and words that say what to do."""
    header = table.splitlines()[0].strip("[]")
    rest = "".join(
        f"[{part}\n" for part in MINIMAL_SITE.split("[") if part and not table.startswith(f"[{part.split('.')[0]}.")
    )
    (problem,) = problems_of(load, f"{table}\n{rest}")
    assert (problem.table, problem.key, said in problem.message) == (header, key, True), problem


@pytest.mark.parametrize(
    ("text", "key", "said"),
    [
        ("stat = 1\n", "stat", 'unknown setting; did you mean "state"?'),
        (
            "zzz = 1\n",
            "zzz",
            "unknown setting; expected one of source, sink, decoder, channels, meters, metrics, journal, tariff, state",
        ),
        ("state = 1\n", "state", "expected a path, as text, found 1"),
        ("channels = 1\n", "channels", "expected a table: [channels]"),
        ("decoder = 1\n", "decoder", "expected a table [decoder.NAME]"),
        ("[[decoder]]\nx = 1\n", "decoder", "expected a table [decoder.NAME]"),
        (
            "[zzz]\nx = 1\n",
            "zzz",
            "unknown table; expected one of [source.NAME], [sink.NAME], [decoder.NAME], [channels]",
        ),
        ("[chanels]\n399999_ch1 = 'x'\n", "chanels", "unknown table; did you mean [channels]?"),
    ],
)
def test_a_mistake_at_the_top_is_told(load: Load, text: str, key: str, said: str) -> None:
    """What is wrong outside the tables of plugins is told with what may stand there."""
    (problem,) = problems_of(load, text + MINIMAL_SITE)
    assert (problem.table or problem.key, said in problem.message) == (key, True), problem


def test_a_setting_directly_under_source_is_told(load: Load) -> None:
    """A setting in [source], where only tables may be, is told with the table that is wanted."""
    found = problems_of(load, "[source]\nuse = 'tap'\n[sink.pail]\n")
    assert problem_places(found) == [(2, "source.use", "")]
    assert found[0].message == "expected a table [source.NAME], and the setting in it"


def test_a_table_in_double_brackets_is_told(load: Load) -> None:
    """In TOML, double brackets begin an item of a list, which a source is not."""
    found = problems_of(load, "[[source.tap]]\n[sink.pail]\n")
    assert problem_places(found) == [(1, "source.tap", "")]
    assert found[0].message == "expected a table [source.tap], in single brackets"


def test_a_name_that_cannot_be_printed_is_told(load: Load) -> None:
    """The name of a table goes into logs, so it has to be one that can be read."""
    (problem,) = problems_of(load, MINIMAL_SITE + '[sink."a\\nb"]\nuse = "pail"\n')
    assert (problem.table, problem.message) == ('sink."a\\nb"', "expected a name of printable characters")


def test_an_empty_file_has_neither_source_nor_sink(load: Load) -> None:
    """A file that says nothing would do nothing: both are told."""
    told = [problem.message.split(",")[0] for problem in problems_of(load, "# nothing\n")]
    assert told == ["there is no source", "there is no sink"]


def test_what_is_unreadable_is_not_called_missing(load: Load) -> None:
    """A table that lost a line to a mistake of syntax is not said to lack what may stand in that line."""
    found = problems_of(load, "[source.tap]\nport = eight\n[sink.pail]\n")
    assert problem_places(found) == [(2, "", "")]


@pytest.mark.parametrize(
    ("raw", "said", "line"),
    [
        (b"\xef\xbb\xbf" + MINIMAL_SITE.encode() + b"x = \xff\n", "the file is not text in UTF-8", 4),
        (b"#" * (2 << 20), "is larger than", None),
        (MINIMAL_SITE.encode("utf-16"), 'the file is in UTF-16, which Windows calls "Unicode"; save it as UTF-8', None),
        (MINIMAL_SITE.encode("utf-16-le"), "the file is in UTF-16", None),
        (MINIMAL_SITE.encode("utf-16-be"), "the file is in UTF-16", None),
        (MINIMAL_SITE.encode() + "# größe\n".encode("latin-1"), "the file is not text in UTF-8", 4),
    ],
)
def test_a_file_that_is_no_text_is_told(load: Load, tmp_path: Path, raw: bytes, said: str, line: int | None) -> None:
    """A file that is no UTF-8, or far too large, is told as such."""
    (tmp_path / "bad.toml").write_bytes(raw)
    with pytest.raises(ConfigurationError) as caught:
        load_site(tmp_path / "bad.toml")
    (problem,) = caught.value.problems
    assert (said in problem.message, problem.line) == (True, line)


@pytest.mark.parametrize(
    "text",
    [
        "[source]\ndevice_type = gem\nip_read = true\nip_port = 8083\n[pvo]\npvo_out = true\n",
        "# btmon\nserial_read=true\nserial_port=/dev/ttyUSB0\nmqtt_out = true\n",
    ],
)
def test_a_configuration_of_btmon_is_told_as_such(load: Load, text: str) -> None:
    """In one line, in place of a mistake for each of its lines."""
    (problem,) = problems_of(load, text)
    assert problem.message.startswith("this is a configuration of btmon, not of btcore; btcore migrate")


def test_an_option_of_btmon_s_in_a_site_is_a_mistake_of_its_own(load: Load) -> None:
    """A site.toml with options of btmon in it is read as one, and each is told with what it may be."""
    found = problems_of(load, '[source.tap]\nport = 2\nip_port = 3\nip_host = "x"\n[sink.pail]\npvo_api_key = "x"\n')
    assert [problem.key for problem in found] == ["ip_port", "ip_host", "pvo_api_key"]


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    """A missing file is told with the command that writes one; a directory with the system's words."""
    for path, said in (
        (tmp_path / "no.toml", "run btcore init to write one"),
        (tmp_path, "cannot be read: Is a directory"),
    ):
        with pytest.raises(ConfigurationError, match=said):
            load_site(path)


@pytest.mark.parametrize("plugin", ["nocheck", "silent"])
def test_a_plugin_without_a_check_has_none(load: Load, plugin: str) -> None:
    """The check is the plugin's choice; one that answers nothing finds nothing."""
    assert load(f"{MINIMAL_SITE}[sink.{plugin}]\n").sinks[1].plugin == plugin


def test_a_check_that_gives_no_problems_is_told_as_the_plugin_s_fault(load: Load) -> None:
    """What was found before is kept, and what is no Problem is told as a mistake in the plugin."""
    first, second = problems_of(load, MINIMAL_SITE + "[sink.badcheck]\n")
    assert first.message == "first"
    assert "(TypeError: check() yielded a str, not a Problem); this is a mistake in the plugin" in second.message


def test_a_broken_plugin_that_is_not_named_disturbs_nobody(load: Load, tmp_path: Path) -> None:
    """A plugin that cannot be imported is not even tried where the file does not name it."""
    module = install_distribution(tmp_path, "bomb", "raise SystemExit(3)", {"bomb": "Bomb"})
    load(MINIMAL_SITE)
    assert module not in sys.modules


def test_a_broken_plugin_is_one_problem_among_others(load: Load, tmp_path: Path) -> None:
    """A plugin that cannot be imported is told in its table, and the others are checked all the same."""
    install_distribution(tmp_path, "bomb", "raise SystemExit(3)", {"bomb": "Bomb"})
    found = problems_of(load, MINIMAL_SITE + "[sink.bomb]\n[sink.refusing]\n")
    assert problem_places(found) == [(4, "sink.bomb", ""), (5, "sink.refusing", "")]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[sink.pail]\ninterval = 0\nevery = 0", "it is called interval now, which is set as well: remove this line"),
        ('[sink.pail]\nstart = "now"', 'it is called start_at now, with another value: start_at = "end"'),
        ('[sink.pail]\nstart_at = "now"', 'found "now"; it is called "end" now'),
        ('[sink.pail]\nkeep = "1d"', "it is called retention now; it belongs at the top of the file"),
        ('[sink.pail]\nidle = "1d"', "unknown setting; the settings are"),
    ],
)
def test_an_old_name_is_reported_with_the_present_one(load: Load, text: str, said: str) -> None:
    """Also where the present name is set as well, the value was renamed, or the table is a wrong one."""
    (problem,) = problems_of(load, f"[source.tap]\nport = 2\n{text}")
    assert said in problem.message


@pytest.mark.parametrize(
    ("text", "table"),
    [
        ('[source.tap]\nport = 2\nmin_backoff = "2m"\n[sink.pail]', "source.tap"),
        ('[source.tap]\nport = 2\n[sink.pail]\nmax_backoff = "500ms"', "sink.pail"),
    ],
)
def test_a_longest_wait_below_the_first_is_a_warning(load: Load, text: str, table: str) -> None:
    """Also where one of the two is a default; the run goes on with the first wait."""
    (warning,) = load(text).warnings
    assert (warning.table, warning.key) == (table, "min_backoff")
    assert "is longer than max_backoff" in warning.message


def test_a_name_with_a_dot_is_reported_with_its_quotes(load: Load) -> None:
    """TOML reads [source.my.panel] as a table in the table [source.my]."""
    (problem,) = problems_of(load, "[source.my.panel]\nport = 2\n[sink.pail]")
    assert problem.message.endswith('; a name with a dot is in quotes: [source."my.panel"]')
