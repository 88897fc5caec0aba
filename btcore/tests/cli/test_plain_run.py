# SPDX-License-Identifier: GPL-3.0-or-later
"""A `btcore run` that is read without argparse means what argparse would have read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from btcore.cli import COMMANDS
from btcore.cli.arguments import make_parser
from btcore.cli.plain_run import FLAGS, read_plain

PLAIN = (*FLAGS, "--config", "--log-format", "text", "json", "a.toml", "b c", "run")
OTHER = ("", "-", "--", "-qv", "-1", "--onc", "--conf", "--config=a.toml", "--log-format=json", "--help", "check")
WORDS = st.sampled_from(PLAIN) | st.sampled_from(OTHER)


@given(st.lists(WORDS, max_size=6).map(lambda words: ["run", *words]))
def test_what_is_plain_is_read_as_argparse_reads_it(words: list[str]) -> None:
    """Whatever words are read without argparse, argparse accepts them too, and reads the same in them."""
    plain = read_plain(words)
    if plain is not None:
        read = vars(make_parser(words, COMMANDS).parse_args(words))
        assert {name: read[name] for name in read.keys() - {"command", "main", "usage"}} == plain


@pytest.mark.parametrize(
    "words",
    [
        ["run"],
        ["run", "site.toml"],
        ["run", "--config", "site.toml", "--log-format", "json", "-v"],
        ["run", "--once", "--dry-run", "--trace", "--quiet", "site.toml"],
    ],
)
def test_the_usual_ways_to_run_are_plain(words: list[str]) -> None:
    """What people, services and containers write needs no argparse."""
    assert read_plain(words) is not None


@pytest.mark.parametrize("words", [[], ["check"], ["run", "--once", "--once"], ["run", "a", "--config", "b"]])
def test_anything_else_is_left_to_argparse(words: list[str]) -> None:
    """Other commands, and what is no plain start of a run, are for argparse."""
    assert read_plain(words) is None
