# SPDX-License-Identifier: GPL-3.0-or-later
"""The last error and the next attempt of a worker, from what its failure reporter knows."""

import math
from collections.abc import Callable
from datetime import UTC, datetime

from btcore.logs.failures import FailureReporter, LastFailure
from btcore.status import ErrorStatus


def error_status(last: LastFailure | None, redact: Callable[[str], str]) -> ErrorStatus | None:
    """Return an error of this run: why the worker has stopped, or its last failure; None without one."""
    return ErrorStatus(redact(last.text), datetime.fromtimestamp(last.time, UTC)) if last is not None else None


def next_attempt(reporter: FailureReporter) -> datetime | None:
    """Return when the next attempt of a worker is due; None where nothing fails."""
    return attempt_at(reporter.last_failure) if reporter.failing_for is not None else None


def attempt_at(last: LastFailure | None) -> datetime | None:
    """Return when the next attempt after a failure is due; None where none is."""
    return None if last is None or last.retry_at == math.inf else datetime.fromtimestamp(last.retry_at, UTC)
