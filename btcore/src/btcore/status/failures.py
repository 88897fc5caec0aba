"""The last error and the next attempt of a worker, from what its failure reporter knows."""

import math
from collections.abc import Callable
from datetime import UTC, datetime

from btcore.logs.failures import FailureReporter
from btcore.status import ErrorStatus


def error_status(reporter: FailureReporter, redact: Callable[[str], str]) -> ErrorStatus | None:
    """Return the last error of this run: why the worker has stopped, or its last failure; None without one."""
    last = reporter.last_failure
    return ErrorStatus(redact(last.text), datetime.fromtimestamp(last.time, UTC)) if last is not None else None


def next_attempt(reporter: FailureReporter) -> datetime | None:
    """Return when the next attempt is due; None where nothing fails."""
    last = reporter.last_failure
    if last is None or reporter.failing_for is None or last.retry_at == math.inf:
        return None
    return datetime.fromtimestamp(last.retry_at, UTC)
