# SPDX-License-Identifier: GPL-3.0-or-later
"""Values of TOML as settings: what each type takes, what it says of the rest, and that no secret is ever in that."""

import datetime as dt
import math
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from btcore.decode.brultech import Brultech
from btcore.settings import ChannelRef, Duration, Secret
from btcore.values.channels import known_channels
from btcore.values.convert import check_choice, convert, type_name
from btcore.values.durations import duration_text
from btcore.values.invalid_value import MAX_SHOWN, ConversionContext, InvalidValue, format_value
from btcore.values.references import ESCAPE

LABELS = known_channels([Brultech]).labels
HERE = ConversionContext(Path("/site"), {"399999_ch1": "solar", "399999_x9": "odd"}, LABELS)
KNOWN_TYPES = (
    *(str, int, float, bool, Duration, Secret, Path, ChannelRef, Literal["a", "b"], Literal[1, 2]),
    *(list[str], list[Secret], tuple[Duration, ...], dict[str, int], dict[ChannelRef, str], dict[str, Secret]),
    *(int | None, Secret | None, list[str] | None, dict[str, list[int]], list[dict[str, Secret]]),
)
WHOLE = st.integers(-(2**63), 2**63 - 1)
PLAIN = (
    WHOLE | st.integers() | st.floats() | st.booleans() | st.text(max_size=8) | st.datetimes() | st.dates() | st.times()
)
TOML = st.recursive(
    PLAIN,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["env", "file", "ch1", "solar", "", "a b"]), inner, max_size=2)
    ),
    max_leaves=8,
)


def problems(value: object, annotation: Any, context: ConversionContext = HERE) -> list[str]:  # noqa: ANN401 - types are values here
    """Return what is said of a value that does not fit."""
    with pytest.raises(InvalidValue) as caught:
        convert(value, annotation, context)
    return [fault.message for fault in caught.value.problems]


@given(TOML, st.sampled_from(KNOWN_TYPES))
def test_any_value_for_any_type_is_converted_or_refused(value: object, annotation: Any) -> None:  # noqa: ANN401
    """Whatever TOML holds, the answer is a value or `Mismatch` with at least one fault, and nothing else is raised."""
    try:
        convert(value, annotation, HERE)
        faults = None
    except InvalidValue as error:
        faults = [problem.message for problem in error.problems]
    assert faults is None or (faults and all(faults))


@pytest.mark.parametrize(
    ("value", "annotation", "expected"),
    [
        ("x", str, "x"),
        (12345, str, "12345"),
        (7, int, 7),
        (7, float, 7.0),
        (0.5, float, 0.5),
        (False, bool, False),
        ("a", Literal["a", "b"], "a"),
        (2, Literal[1, 2], 2),
        ("energy.db", Path, Path("/site/energy.db")),
        ("/x/y", Path, Path("/x/y")),
        (["a", 2], list[str], ["a", "2"]),
        (["1s"], tuple[Duration, ...], (1.0,)),
        ({"a": 1}, dict[str, int], {"a": 1}),
        ({"solar": "s"}, dict[ChannelRef, str], {ChannelRef("399999", "ch1"): "s"}),
        (3, int | None, 3),
        ("k", Secret, Secret("k")),
        ("", Secret, Secret("")),
    ],
)
def test_a_value_that_fits_becomes_its_type(value: object, annotation: Any, expected: object) -> None:  # noqa: ANN401
    """Each type takes what a person writes for it; whole numbers stand for text and for numbers."""
    assert convert(value, annotation, HERE) == expected


@pytest.mark.parametrize(
    ("value", "annotation", "said"),
    [
        (True, int, "expected a whole number, without quotes, found true"),
        (1.5, int, "expected a whole number, without quotes, found 1.5"),
        ("8083", int, 'expected a whole number, without quotes, found "8083"'),
        (True, float, "expected a number, without quotes, found true"),
        (math.nan, float, "expected a number, without quotes, found nan"),
        (math.inf, float, "expected a number, without quotes, found inf"),
        (1, bool, "expected true or false, without quotes, found 1"),
        ("yes", bool, 'expected true or false, without quotes, found "yes"'),
        (True, str, "expected text, found true"),
        (1.1, str, "expected text, found 1.1"),
        ([], str, "expected text, found a list"),
        (dt.date(2026, 6, 21), str, "expected text, found a date or time"),
        (1, Path, "expected a path, as text, found 1"),
        ("", Path, 'expected a path, as text, found ""'),
        (
            "C:\new\temp",  # as TOML reads "C:\\new\\temp" where the backslashes are not doubled
            Path,
            f"not a path: it contains a tab or a line break; {ESCAPE}",
        ),
        ("x/" + 128 * "ä", Path, "the name of a file has at most 255 bytes, found 256"),
        ("~no-such-user-here/x", Path, 'no such user: "~no-such-user-here/x"'),
        ("bete", Literal["beta", "gamma"], 'expected one of "beta", "gamma", found "bete"; did you mean "beta"?'),
        (True, Literal[1, 2], "expected one of 1, 2, found true"),
        ("a", list[str], 'expected a list of texts, in [ ], found "a"'),
        ("a", list[Secret], "expected a list of secret texts, in [ ], found text"),
        ("a", dict[str, Secret], "expected a table of texts to secret texts, found text"),
        ([1], dict[str, int], "expected a table of texts to whole numbers, found a list"),
        (2**63, str, "the number has more than 64 bits"),
        (7, ChannelRef, "expected a channel, as text, found 7"),
    ],
)
def test_a_value_that_does_not_fit_is_told_with_what_was_expected(value: object, annotation: Any, said: str) -> None:  # noqa: ANN401
    """What is refused says what was expected, and what was found."""
    assert problems(value, annotation) == [said]


def test_all_that_is_wrong_in_a_list_or_table_is_told_with_its_place() -> None:
    """Every item that does not fit is a fault of its own, with the way to it."""
    with pytest.raises(InvalidValue) as caught:
        convert({"a": [1, "x", 2, "y"], "b": 3}, dict[str, list[int]], HERE)
    assert [fault.path for fault in caught.value.problems] == [("a", 1), ("a", 3), ("b",)]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30),
        ("5m", 300),
        ("1h", 3600),
        ("7d", 604_800),
        ("500ms", 0.5),
        ("1.5h", 5400),
        (" 2 s ", 2),
        (0, 0),
        (0.0, 0),
        ("0", 0),
    ],
)
def test_durations_are_seconds(text: str | int, seconds: float) -> None:
    """A duration is a number with a unit; 0 needs none."""
    assert convert(text, Duration, HERE) == seconds


@pytest.mark.parametrize(
    "text", ["5 min", "", "-1s", "1h30m", "s", "1e3s", -1, math.nan, math.inf, True, [], 10**17, "1:30"]
)
def test_what_is_no_duration_is_told_with_an_example(text: object) -> None:
    """An unknown unit, or a negative length, is refused with examples."""
    (said,) = problems(text, Duration)
    assert said.startswith('expected a duration such as "500ms", "30s", "5m", "1h" or "7d", found')


@pytest.mark.parametrize("text", ["200y", "9999999999d", "101y"])
def test_the_longest_duration_is_told(text: str) -> None:
    """A length that no setting means is refused with the longest."""
    assert problems(text, Duration) == [f'a duration is at most "100y", found "{text}"']
    assert convert("100y", Duration, HERE) == 100 * 365 * 86_400


@pytest.mark.parametrize(("value", "bare"), [(30, "30"), (300, "300"), ("30", "30"), (0.5, "0.5"), (" 1.5 ", "1.5")])
def test_a_number_alone_is_no_duration(value: object, bare: str) -> None:
    """Whether `retention = 30` is seconds or days is for the one who wrote it to say."""
    assert problems(value, Duration) == [f'a duration needs a unit: "{bare}s", "{bare}m" or "{bare}d"?']


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("7 days", "7d"),
        ("5 min", "5m"),
        ("1 hour", "1h"),
        ("90 seconds", "90s"),
        ("250 msec", "250ms"),
        ("2 weeks", "14d"),
        ("1h30m", "90m"),
        ("1 h, 30 min", "90m"),
        ("5M", "5m"),
        ("1 month", ""),
        ("5 min ago", ""),
        ("every 5m", ""),
        ("99999 weeks", ""),
    ],
)
def test_a_duration_in_other_words_has_a_hint(text: str, meant: str) -> None:
    """What people write for a length of time elsewhere is told as it is written here, of the same length."""
    (said,) = problems(text, Duration)
    assert said.partition("; ")[2] == (f'did you mean "{meant}"?' if meant else "")


@given(st.integers(0, 10**9))
def test_a_written_duration_reads_as_itself(milliseconds: int) -> None:
    """A duration that is written as a configuration does has the same length when it is read."""
    seconds = milliseconds / 1000
    assert convert(duration_text(seconds), Duration, HERE) == pytest.approx(seconds, abs=1e-9)


@pytest.mark.parametrize(
    ("text", "serial", "label"),
    [
        ("solar", "399999", "ch1"),
        ("399999_ch2", "399999", "ch2"),
        ("ch2", "", "ch2"),
        ("01021234_t1", "01021234", "t1"),
        ("volts", "", "volts"),
        ("ch1_aws", "", "ch1_aws"),
        ("399999_ch1_dwh", "399999", "ch1_dwh"),
        ("odd", "399999", "x9"),
    ],
)
def test_a_channel_is_written_in_three_ways(text: str, serial: str, label: str) -> None:
    """A channel is SERIAL_LABEL, a label of any meter, or a name of [channels]."""
    assert convert(text, ChannelRef, HERE) == ChannelRef(serial, label)


@pytest.mark.parametrize(
    ("text", "near"), [("solr", "solar"), ("399999_chan1", "399999_ch1"), ("355555_hc2", "355555_ch2"), ("chn1", "ch1")]
)
def test_an_unknown_channel_is_told_with_the_nearest_known_one(text: str, near: str) -> None:
    """A channel that no meter and no name has is refused, with what is most like it, of the same meter."""
    assert problems(text, ChannelRef) == [f'no such channel: "{text}"; did you mean "{near}"?']


@pytest.mark.parametrize("text", ["", "_ch1", "?", "the roof"])
def test_a_channel_like_no_other_is_told_with_how_one_is_written(text: str) -> None:
    """Where nothing is like it, the three ways of writing a channel are told."""
    (said,) = problems(text, ChannelRef, ConversionContext(Path("/site"), labels=LABELS))
    assert said.endswith(("or a name of [channels]", "?"))


def test_two_names_of_one_channel_in_a_table_are_told() -> None:
    """A table that names one channel twice, in two ways, is refused."""
    value = {"solar": "a", "399999_ch1": "b"}
    assert problems(value, dict[ChannelRef, str]) == ["the same channel appears twice"]


def test_a_text_comes_from_the_environment_or_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A text or secret may be in a variable or a file, without its last line end; no log may show either."""
    monkeypatch.setenv("BTCORE_TEST_KEY", "from the air")
    (tmp_path / "key").write_text("from the file\n")
    context = ConversionContext(tmp_path, labels=LABELS)
    assert convert({"env": "BTCORE_TEST_KEY"}, Secret, context) == Secret("from the air")
    assert convert({"file": "key"}, str, context) == "from the file"
    assert context.secrets[0::2] == ["from the air", "from the file"]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"env": "BTCORE_TEST_UNSET"}, "the environment variable BTCORE_TEST_UNSET is not set"),
        ({"env": "BTCORE_TEST_EMPTY"}, "the environment variable BTCORE_TEST_EMPTY is empty"),
        ({"file": "missing"}, "there is no file"),
        ({"file": "."}, "is no regular file"),
        ({"file": "empty"}, "is empty"),
        ({"file": "large"}, "is larger than"),
        ({"file": "binary"}, "is not text in UTF-8"),
        ({"file": "/dev/zero"}, "is no regular file"),
        ({"file": "/proc/self/mem"}, "cannot be read"),
        ({"file": "a\0b"}, "expected a path"),
        ({"env": "A", "file": "B"}, "found another table"),
        ({"evn": "A"}, "found another table"),
        ({"env": 1}, "found another table"),
        ({}, "found another table"),
    ],
)
@pytest.mark.parametrize("annotation", [Secret, str])
def test_a_text_that_is_not_where_it_should_be_is_told(
    annotation: type, value: object, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A variable that is unset or empty, and a file that is missing, empty, huge or no text, are each told as such."""
    monkeypatch.setenv("BTCORE_TEST_EMPTY", "")
    monkeypatch.delenv("BTCORE_TEST_UNSET", raising=False)
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "large").write_bytes(b"x" * 70_000)
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    (told,) = problems(value, annotation, ConversionContext(tmp_path, labels=LABELS))
    assert said in told


@given(TOML, st.sampled_from([Secret, Secret | None, list[Secret], dict[str, Secret], list[dict[str, Secret]]]))
def test_no_message_repeats_a_value_where_a_secret_belongs(value: object, annotation: Any) -> None:  # noqa: ANN401
    """Whatever is written in a secret's place, no text of it is in what is said of it, nor in the scope's repr."""
    marked = _marked(value)
    context = ConversionContext(Path("/site"), labels=LABELS)
    try:
        made = repr(convert(marked, annotation, context))
    except InvalidValue as error:
        made = f"{error} {error!r}"
    assert "hush" not in made + repr(context)


def _marked(value: object) -> object:
    """Put a mark into each text that is not the name of a variable or a file."""
    match value:
        case str():
            return f"hush{value}"
        case list():
            return [_marked(item) for item in value]
        case dict():
            return {key: item if key in ("env", "file") else _marked(item) for key, item in value.items()}
    return value


@pytest.mark.parametrize(
    "annotation", [bytes, list, dict, tuple[int, int], int | str, dict[int, str], Any, object, None]
)
def test_a_type_that_no_setting_may_have_has_no_name(annotation: Any) -> None:  # noqa: ANN401
    """What is not among the types of the interface is refused when it is declared, not when it is given."""
    with pytest.raises(TypeError):
        type_name(annotation)


def test_a_value_for_such_a_type_is_refused_as_a_mistake_of_the_program() -> None:
    """Converting to a type that no setting may have is no mistake of the configuration's writer."""
    with pytest.raises(TypeError):
        convert("x", bytes, HERE)


@pytest.mark.parametrize(
    ("annotation", "name"),
    [
        (str, "text"),
        (Duration | None, "duration"),
        (Literal["a"], "choice"),
        (list[Literal["a"]], "list of choices"),
        (tuple[int, ...], "list of whole numbers"),
        (dict[ChannelRef, float], "table of channels to numbers"),
    ],
)
def test_a_type_has_a_name_that_a_person_reads(annotation: Any, name: str) -> None:  # noqa: ANN401
    """Types are told in plain words."""
    assert type_name(annotation) == name


def test_choices_hold_for_a_text_and_for_each_item_of_a_list() -> None:
    """A declared choice is checked on a single value and within a list; none declared means any value."""
    check_choice("x", ())
    check_choice(["a", "b"], ("a", "b"))
    with pytest.raises(InvalidValue, match='expected one of "a", "b", found "c"'):
        check_choice(["a", "c"], ("a", "b"))


def test_a_long_value_is_shown_short() -> None:
    """A message shows no more of a value than a line holds, and no line end of it."""
    assert len(format_value("x" * 1000)) == MAX_SHOWN + 3
    assert "\n" not in format_value("a\nb")


def test_a_choice_may_be_a_number() -> None:
    """A setting of `Literal[0, 1, 2]` takes 1, although choices are written as texts; 3 is refused."""
    check_choice(convert(1, Literal[0, 1, 2], HERE), ("0", "1", "2"))
    with pytest.raises(InvalidValue, match="found 3"):
        check_choice(3, ("0", "1", "2"))
