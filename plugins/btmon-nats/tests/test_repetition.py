# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a failure is the same again."""

from btmon_nats.repetition import Repetition


def test_the_same_failure_is_new_once() -> None:
    """A failure that comes again and again is new the first time, and again after another one."""
    failure = Repetition()
    assert [failure.is_new(text) for text in ("down", "down", "full", "full", "down")] == [
        True,
        False,
        True,
        False,
        True,
    ]


def test_after_a_success_the_same_failure_is_new() -> None:
    """What went well between is the end of a failure."""
    failure = Repetition()
    failure.is_new("down")
    failure.end()
    assert failure.is_new("down")
