# SPDX-License-Identifier: GPL-3.0-or-later
"""Short secrets: a key of a letter or two must not make every message unreadable."""

import pytest

from btcore.redaction import MIN_SECRET_LENGTH, REDACTED, redact

MESSAGE = "the sink sink.roof is behind: 12 readings, 3 s"


@pytest.mark.parametrize("secret", ["", "s", "3", "is", "sin"])
def test_a_secret_of_a_few_letters_leaves_messages_as_they_are(secret: str) -> None:
    """A text that is shorter than a secret can usefully be is in every other word, and is not replaced."""
    assert redact(MESSAGE, [secret]) == MESSAGE


@pytest.mark.parametrize("secret", ["roof", "sink.roof"])
def test_a_secret_that_is_long_enough_is_redacted(secret: str) -> None:
    """From `MIN_SECRET_LENGTH` characters on, no message shows a secret."""
    assert len(secret) >= MIN_SECRET_LENGTH
    assert redact(MESSAGE, [secret]) == MESSAGE.replace(secret, REDACTED)


def test_a_short_secret_beside_a_long_one_costs_nothing() -> None:
    """The long one is redacted, and the rest of the message stays."""
    assert redact("key s3cret is wrong", ["s", "s3cret"]) == "key *** is wrong"
