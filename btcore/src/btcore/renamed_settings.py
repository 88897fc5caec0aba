# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings that were renamed, so that an old name in a site.toml is reported with the new one.

Old names only. Misspelt names belong to `text.nearest`, names of btmon to `predecessor`.
"""

from collections.abc import Collection, Mapping

RENAMED: Mapping[str, str] = {
    "backlog_age": "max_backlog_age",
    "backlog_bytes": "max_backlog_bytes",
    "calls_per_hour": "max_calls_per_hour",
    "every": "interval",
    "full_serials": "serials",
    "idle": "idle_timeout",
    "journal_bytes": "max_journal_bytes",
    "keep": "retention",
    "max_meters": "max_new_meters_per_day",
    "max_rate": "max_packets_per_second",
    "pause": "min_call_interval",
    "period": "flush_interval",
    "poll": "poll_interval",
    "retry": "min_backoff",
    "retry_max": "max_backoff",
    "start": "start_at",
}
"""The present name of each old one. It is suggested only where a table can have the present name."""

RENAMED_VALUES: Mapping[tuple[str, object], str] = {("start_at", "now"): "end"}
"""The present text of a setting's old value, by the present name and the old value."""


def renamed(name: str, table: Mapping[str, object], known: Collection[str]) -> str:
    """Return what to write in place of an old name in a table, to stand behind "unknown setting", or ""."""
    new = RENAMED.get(name, "")
    if new not in known:
        return ""
    if new in table:
        return f"; it is called {new} now, which is set as well: remove this line"
    value = table[name]
    if isinstance(value, str) and (text := RENAMED_VALUES.get((new, value))):
        return f'; it is called {new} now, with another value: {new} = "{text}"'
    return f"; it is called {new} now"


def renamed_value(name: str, value: object) -> str:
    """Return what to write in place of an old value of a setting, to stand behind a message, or ""."""
    text = RENAMED_VALUES.get((name, value)) if isinstance(value, str) else None
    return f'; it is called "{text}" now' if text else ""
