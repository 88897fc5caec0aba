# SPDX-License-Identifier: GPL-3.0-or-later
"""How many examples a property test tries: few by default, all of them with `--hypothesis-profile=thorough`.

So the tests that start nothing take less than a minute; `nox -s thorough` is for a change of the algebra.
"""

from hypothesis import settings

SHARE = 0.3
LEAST = 10


def examples(thorough: int) -> int:
    """Return how many are tried now, of a test that tries so many when it is thorough."""
    is_thorough = settings.get_current_profile_name() == "thorough"
    return thorough if is_thorough else max(LEAST, round(SHARE * thorough))


hundred_examples = settings(max_examples=examples(100), deadline=None)
