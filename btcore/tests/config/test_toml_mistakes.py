# SPDX-License-Identifier: GPL-3.0-or-later
"""What people write that is no TOML: each mistake has its own words, at its line, and nothing else is lost by it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from btcore.config.toml import read
from btcore.config.toml_mistakes import MAX_LINE

QUOTES = "found typographic quotes"
BACKSLASH = "a \\ inside double quotes starts an escape"
TABLE = "the name of a table is written [sink.NAME], with a dot"

SLIPS = [
    ("host = “meter.local”", QUOTES),
    ("host = \u2018meter.local\u2019", QUOTES),
    ('host = "meter.local”', QUOTES),
    ("host = 'meter.local\u2019", QUOTES),
    ("host = „meter.local“", QUOTES),
    ("host = «meter.local»", QUOTES),
    ("formats = [“gem48pbin”]", QUOTES),
    ("[“sink.roof”]", QUOTES),
    ("port\u00a0= 8083", "the no-break space (U+00A0) here looks like a space"),
    ("port =\u00a08083", "the no-break space (U+00A0) here looks like a space"),
    ("\u00a0port = 8083", "the no-break space (U+00A0) here looks like a space"),
    ("[sink.\u00a0roof]", "the no-break space (U+00A0) here looks like a space"),
    ("port = 8083\u200b", "the zero width space (U+200B) here looks like a space"),
    ("\ufeffport = 8083", "the zero width no-break space (U+FEFF) here looks like a space"),
    ("port 8083", "the = is missing: a setting is written port = ..."),
    ('host "meter.local"', "the = is missing: a setting is written host = ..."),
    ("port", "the = is missing: a setting is written name = ..."),
    ("port: 8083", "a setting is written with =, not with a colon: port = ..."),
    ('"399999_ch1": "solar"', "a setting is written with =, not with a colon: name = ..."),
    ("port := 8083", "a setting is written with =, not with a colon: port = ..."),
    ('api_key = { env: "KEY" }', "inside { }, a setting is written with =, not with a colon: { env = ... }"),
    ("port == 8083", "a setting is written with a single =: port = ..."),
    ("port => 8083", "a setting is written with a single =: port = ..."),
    ("= 8083", "the name before the = is missing"),
    ('api key = "x"', "the name before the = contains a space; write an = after api, or a _ in place of the space"),
    ("größe = 1", "a name with other characters than letters, digits, _ and - must be in quotes"),
    ("port =", "the value after the = is missing"),
    ("port = # which?", "the value after the = is missing"),
    ("current = True", "write true in lower case, without quotes"),
    ("current = FALSE", "write false in lower case, without quotes"),
    ("current = yes", "write true or false, without quotes"),
    ("current = Off # at night", "write true or false, without quotes"),
    ("zone = None", "TOML has no such value; leave the setting out"),
    ("retention = 30d", 'a duration must be in quotes: "30s", "5m"'),
    ("retention = 5 min", 'a duration must be in quotes: "30s", "5m"'),
    ("serial = 01000777", "a number that starts with 0, such as the serial number of a GEM, must be in quotes"),
    ("max_packets_per_second = 0,5", "a number cannot contain a comma"),
    ("host = meter.local", 'text must be in quotes: host = "..."'),
    ("host = 192.168.1.20", 'text must be in quotes: host = "..."'),
    ("port = /dev/ttyUSB0", 'text must be in quotes: port = "..."'),
    ('host = "meter.local', "the closing quote of this text is missing"),
    ('host = "meter" local', "there is more after the closing quote"),
    ('use = "print" current = true', "write each setting on a line of its own"),
    ("port = 8083;", "remove the ; at the end"),
    ("port = 8083,", "remove the , at the end"),
    ('formats = "gem48pbin", "gem48abin"', "a list of values must be in [ ]: formats = [..., ...]"),
    ('formats = ["gem48pbin" "gem48abin"]', "a comma between two values of the list is missing"),
    ('file = "C:\\meter\\db"', BACKSLASH),
    ('file = "C:\\Users\\me"', BACKSLASH),
    ("// the panel", "a comment begins with #"),
    ("; the panel", "a comment begins with #"),
    ("port = 1 \r host = 2", "a lone carriage return does not end a line"),
]

HEADERS = [
    ("[sink.roof", "the ] after the table's name is missing: [sink.roof]"),
    ("[sink.roof # of the house", "the ] after the table's name is missing: [sink.roof]"),
    ("[[sink.roof]", "the ]] after the table's name is missing: [[sink.roof]]"),
    ("[sink.roof]]", "there is a ] too many: [sink.roof]"),
    ("[sink roof]", TABLE),
    ("[sink:roof]", TABLE),
    ("[sink/roof]", TABLE),
    ("[sink.my's]", TABLE),
    ('[sink.roof] use = "print"', "write what follows the table's name on a line of its own"),
]


@pytest.mark.parametrize(("line", "words"), [*SLIPS, *HEADERS, ("sink.roof]", "the [ before the table's name is")])
def test_a_slip_has_its_own_words_and_its_line(line: str, words: str) -> None:
    """Each is one mistake, at its line, in words that say how it is written."""
    (mistake,) = read(f"a = 1\n\n{line}\n").mistakes
    assert (mistake.line, mistake.message.startswith(words)) == (3, True), mistake


@pytest.mark.parametrize("line", [line for line, _ in SLIPS if not line.startswith("[")])
def test_a_slip_costs_nothing_but_its_line(line: str) -> None:
    """What is before and behind it is read."""
    assert read(f"a = 1\n{line}\nb = 2\n").data == {"a": 1, "b": 2}


@pytest.mark.parametrize(
    "text",
    [
        "\tport\t=\t3\t# a tab\n",
        'a = "it\u2019s “so”"\n',
        "# “so”, or\u00a0so; and // this: too\n",
        "a = 'C:\\meter'\n",
        'a = "C:/meter"\n',
        '"a b" = 1\n',
        "a = 1\r\nb = 2\r\n",
        'a = """\n“x”: y = z\n"""\n',
    ],
)
def test_what_only_looks_like_a_slip_is_none(text: str) -> None:
    """Tabs are blanks, and within quotes and comments everything may stand."""
    assert read(text).mistakes == ()


@pytest.mark.parametrize(
    "text",
    [
        "api_key = s3cret",
        "api_key s3cret=",
        "api_key: s3cret",
        "s3cret",
        "s3cret = ",
        "api_key = “s3cret”",
        'api_key = "s3cret',
        'api_key = "s3cret" s3cret',
        'api_key = "s3cret",',
        "tokens = [\n  s3cret: 1,\n]",
        "tokens = [\n  “s3cret”,\n]",
        'tokens = { env: "s3cret" }',
        'api_key = """\ns3cret: s3cret',
    ],
)
def test_no_value_is_repeated(text: str) -> None:
    """A value may be a key: no message shows it, whatever stands around it."""
    mistakes = read(text + "\n").mistakes
    assert mistakes
    assert not any("s3cret" in mistake.message for mistake in mistakes)


@given(st.text("ab_=:[]{}\"'“\u2019#.,;/\\ \u00a01\r", max_size=40))
def test_whatever_the_line_there_are_words(line: str) -> None:
    """Any line is read, or told in words."""
    for mistake in read(line + "\n").mistakes:
        assert mistake.message


def test_a_line_without_end_is_told_in_a_few_words() -> None:
    """However long a line is, what is told of it is short."""
    for line in ("[" + "a" * 100_000, "a" * 100_000 + " “", "[" + "a." * MAX_LINE, "a" * MAX_LINE + "]"):
        assert all(len(mistake.message) < 2 * MAX_LINE for mistake in read(line + "\n").mistakes)
