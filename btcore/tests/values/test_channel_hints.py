# SPDX-License-Identifier: GPL-3.0-or-later
"""Hints never change the meaning: they keep the meter and the number, and name a channel that there is, or none."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from btcore.decode.brultech import Brultech
from btcore.text import closest, likely, nearest
from btcore.values.channel_hints import channel_hint
from btcore.values.channels import known_channels

LABELS = known_channels([Brultech]).labels
NAMES = ("solar", "heat pump")
SERIALS = st.sampled_from(["399999", "01000777", "000000"])


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("399999_chan1", 'did you mean "399999_ch1"?'),
        ("01000777_channel12", 'did you mean "01000777_ch12"?'),
        ("399999_hc1", 'did you mean "399999_ch1"?'),
        ("399999-ch1", 'did you mean "399999_ch1"?'),
        ("399999.ch1", 'did you mean "399999_ch1"?'),
        ("399999ch1", 'did you mean "399999_ch1"?'),
        ("399999_ch_1", 'did you mean "399999_ch1"?'),
        ("399999_temp1", 'did you mean "399999_t1"?'),
        ("399999_volt", 'did you mean "399999_volts"?'),
        ("A17_chan2", 'did you mean "A17_ch2"?'),
        ("Channel 3", 'did you mean "ch3"?'),
        ("CH1", 'did you mean "ch1"?'),
        ("ch01", 'did you mean "ch1"?'),
        ("ch1_watts", 'did you mean "ch1_w"?'),
        ("ch0", "there are ch1 to ch48"),
        ("ch49", "there are ch1 to ch48"),
        ("ch", "there are ch1 to ch48"),
        ("399999_ch0", "there are ch1 to ch48"),
        ("01000777_ch49", "there are ch1 to ch48"),
        ("399999_aux6", "there are aux1 to aux5"),
        ("399999_ch1_kw", "there are ch1_a, ch1_aws,"),
        ("chan1_kw", "there are ch1_a, ch1_aws,"),
        ("solr", 'did you mean "solar"?'),
        ("Heat Pump", 'did you mean "heat pump"?'),
    ],
)
def test_a_hint_names_what_is_most_like_it(written: str, said: str) -> None:
    """A slip is told with what was meant, of the same meter and with the same number, or with the numbers there are."""
    assert channel_hint(written, NAMES, LABELS).startswith(f"; {said}")


@pytest.mark.parametrize(
    "written",
    ["", "_ch1", "?", "the roof", "399999_", "399999_mains", "1", "12345", "_" * 1_000_000, "ch1_" * 250_000],
    ids=lambda text: text[:12],
)
def test_what_is_like_nothing_has_no_hint(written: str) -> None:
    """Where nothing is like it, nothing is guessed."""
    assert channel_hint(written, NAMES, LABELS) == ""


@given(SERIALS, st.text("chanuxtpvols_w0123456789 ", min_size=1, max_size=9))
def test_a_hint_keeps_the_meter(serial: str, rest: str) -> None:
    """Whatever follows a serial number, what is suggested is of that meter, and a meter has it."""
    for said in re.findall(r'"([^"]*)"', channel_hint(f"{serial}_{rest}", (), LABELS)):
        meter, _, label = said.partition("_")
        assert (meter, label in LABELS) == (serial, True)


@given(st.sampled_from(sorted(LABELS)), st.integers(0, 8), st.sampled_from("acx"))
def test_a_hint_keeps_the_number(label: str, place: int, letter: str) -> None:
    """With a letter too many anywhere, what is suggested has the number that was written."""
    written = label[:place] + letter + label[place:]
    for said in re.findall(r'"([^"]*)"', channel_hint(written, (), LABELS)):
        assert re.findall(r"\d+", said) == re.findall(r"\d+", written)


def test_a_channel_of_another_make_is_told_by_its_decoder_s_labels() -> None:
    """Which channels there are is what the decoders say, and a single one is told as such."""
    labels = {"pv1", "phase1", "phase2", "phase3"}
    assert [channel_hint(text, (), labels) for text in ("4242_pv2", "phase4", "4242_pvv1", "ch1")] == [
        "; there is pv1",
        "; there are phase1 to phase3",
        '; did you mean "4242_pv1"?',
        "",
    ]


@pytest.mark.parametrize(
    ("word", "known_words", "found"),
    [
        ("prot", ("port", "host"), ["port"]),
        ("Port", ("port", "host"), ["port"]),
        ("apikey", ("api_key", "api_id"), ["api_key"]),
        ("api_id", ("api_key", "system_id"), []),
        ("retry_min", ("max_backoff",), []),
        ("gem36pbin", ("gem32pbin", "gem48pbin"), []),
        ("ecm1420bin", ("ecm1240bin", "ecm1220bin"), ["ecm1240bin"]),
        ("gem48bin", ("gem48pbin", "gem48abin", "gem48ptbin"), ["gem48pbin", "gem48abin"]),
        ("tcp-server2", ("tcp-server", "tcp-client"), ["tcp-server"]),
        ("mysql", ("sqlite", "print"), []),
    ],
)
def test_a_word_that_says_something_else_is_no_slip(word: str, known_words: tuple[str, ...], found: list[str]) -> None:
    """A slip of the fingers has a hint; a word that differs in a number or in a whole part of it has none."""
    assert likely(word, known_words) == found


def test_a_number_may_be_compared_with_numbers() -> None:
    """Of serial numbers, the one that is most like another is found by its digits."""
    assert (closest("399998", ["399999", "01000777"]), closest("7", ["399999"])) == ("399999", "")


def test_of_several_that_are_equally_like_all_are_told_or_none() -> None:
    """Two are both told; where more than three are equally like, any of them would be a guess."""
    assert nearest("gem48bin", ("gem48pbin", "gem48abin")) == '; did you mean "gem48pbin" or "gem48abin"?'
    assert nearest("sensor", ("sensora", "sensorb", "sensorc", "sensord")) == ""
