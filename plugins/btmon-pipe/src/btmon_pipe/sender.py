# SPDX-License-Identifier: GPL-3.0-or-later
"""Delivery of records to a program that may end in the middle: which lines it has acknowledged is remembered."""

from collections.abc import Sequence

import attrs

from btcore import Reject, Retry
from btmon_pipe.exchange import OK, REJECT, Answer, Exchange
from btmon_pipe.records import Record


@attrs.define
class LineSender:
    """The records of one batch, until all of it is delivered. Parts of it may come again: the core halves a batch."""

    _batch: set[bytes] = attrs.field(init=False, factory=set)
    """The records of the last batch that are not delivered, as far as the core knows."""
    _delivered: set[bytes] = attrs.field(init=False, factory=set)
    _refusal: tuple[type[Retry | Reject], str] | None = attrs.field(init=False, default=None)

    def send(self, records: Sequence[Record], exchange: Exchange, *, acknowledge: bool, who: str) -> None:
        """Send what was not acknowledged before. Raises Retry or Reject, or what an exchange raises."""
        rows = [row for record in records for row in record.rows]
        if not self._batch.issuperset(row.record for row in rows):
            self._batch, self._delivered = {row.record for row in rows}, set()
        left = [row for row in rows if row.record not in self._delivered]
        self._refusal = None

        def answered(number: int, answer: Answer) -> None:
            if answer.verdict == OK:
                self._delivered.add(left[number].record)
            elif self._refusal is None or answer.verdict == REJECT:
                kind = Reject if answer.verdict == REJECT else Retry
                self._refusal = (kind, f"{who} answered {answer.verdict}: {answer.why or 'no reason given'}")

        exchange.send([row.line for row in left], answered if acknowledge else None)
        if self._refusal is not None:
            kind, why = self._refusal
            raise kind(why)
        # what is delivered does not come again, unless a person wants it to: then it is sent
        self._batch.difference_update(row.record for row in rows)
