"""What people write that is no TOML: each mistake has its own words, at its line, and nothing else is lost by it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from btcore.config.toml import read
from btcore.config.toml_mistakes import MAX_LINE

QUOTES = "typographic quotes stand here"
BACKSLASH = "a \\ within double quotes begins an escape"
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
    ("port\u00a0= 8083", "a no-break space (U+00A0) stands here"),
    ("port =\u00a08083", "a no-break space (U+00A0) stands here"),
    ("\u00a0port = 8083", "a no-break space (U+00A0) stands here"),
    ("[sink.\u00a0roof]", "a no-break space (U+00A0) stands here"),
    ("port = 8083\u200b", "a zero width space (U+200B) stands here"),
    ("\ufeffport = 8083", "a zero width no-break space (U+FEFF) stands here"),
    ("port 8083", "the = is missing: a setting is written port = ..."),
    ('host "meter.local"', "the = is missing: a setting is written host = ..."),
    ("port", "the = is missing: a setting is written name = ..."),
    ("port: 8083", "a setting is written with =, not with a colon: port = ..."),
    ('"399999_ch1": "solar"', "a setting is written with =, not with a colon: name = ..."),
    ("port := 8083", "a setting is written with =, not with a colon: port = ..."),
    ('api_key = { env: "KEY" }', "within { } too, a setting is written with =, not with a colon: { env = ... }"),
    ("port == 8083", "a setting is written with a single =: port = ..."),
    ("port => 8083", "a setting is written with a single =: port = ..."),
    ("= 8083", "the name before the = is missing"),
    ('api key = "x"', "what is before the = is no name: is there an = missing behind api, or a _ where a blank is?"),
    ("größe = 1", "a name that is more than letters, digits, _ and - goes in quotes"),
    ("port =", "a value is missing behind the ="),
    ("port = # which?", "a value is missing behind the ="),
    ("current = True", "write true, in small letters and without quotes"),
    ("current = FALSE", "write false, in small letters and without quotes"),
    ("current = yes", "write true or false, without quotes"),
    ("current = Off # at night", "write true or false, without quotes"),
    ("zone = None", "there is no such value: leave the setting out"),
    ("retention = 30d", 'a duration goes in quotes: "30s", "5m"'),
    ("retention = 5 min", 'a duration goes in quotes: "30s", "5m"'),
    ("serial = 01000777", "a number that starts with 0 goes in quotes, as the serial number of a GEM does"),
    ("max_packets_per_second = 0,5", "there is no comma in a number"),
    ("host = meter.local", 'text goes in quotes: host = "..."'),
    ("host = 192.168.1.20", 'text goes in quotes: host = "..."'),
    ("port = /dev/ttyUSB0", 'text goes in quotes: port = "..."'),
    ('host = "meter.local', "the quote that is opened here is not closed"),
    ('host = "meter" local', "something stands behind the quotes"),
    ('use = "print" current = true', "one setting a line"),
    ("port = 8083;", "nothing stands behind a value: take away the ; at the end"),
    ("port = 8083,", "nothing stands behind a value: take away the , at the end"),
    ('formats = "gem48pbin", "gem48abin"', "several values go in [ ]: formats = [..., ...]"),
    ('formats = ["gem48pbin" "gem48abin"]', "a comma between two values of the list is missing"),
    ('file = "C:\\meter\\db"', BACKSLASH),
    ('file = "C:\\Users\\me"', BACKSLASH),
    ("// the panel", "a comment begins with #"),
    ("; the panel", "a comment begins with #"),
    ("port = 1 \r host = 2", "a carriage return alone ends no line"),
]

HEADERS = [
    ("[sink.roof", "the ] behind the table's name is missing: [sink.roof]"),
    ("[sink.roof # of the house", "the ] behind the table's name is missing: [sink.roof]"),
    ("[[sink.roof]", "the ]] behind the table's name is missing: [[sink.roof]]"),
    ("[sink.roof]]", "there is one ] too many: [sink.roof]"),
    ("[sink roof]", TABLE),
    ("[sink:roof]", TABLE),
    ("[sink/roof]", TABLE),
    ("[sink.my's]", TABLE),
    ('[sink.roof] use = "print"', "what follows the name of a table goes on a line of its own"),
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
