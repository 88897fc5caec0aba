# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a failure is the same again: what comes at each attempt, each second, is logged once."""

import attrs


@attrs.define(eq=False)
class Repetition:
    """The last failure, by whatever makes it the same one: its text, or its type."""

    _last: object = attrs.field(default=None, init=False)

    def is_new(self, failure: object) -> bool:
        """Whether a failure is another than the last one, which it is from now on."""
        is_new, self._last = failure != self._last, failure
        return is_new

    def end(self) -> None:
        """Take note of a success: the same failure is a new one then."""
        self._last = None
