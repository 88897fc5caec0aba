# SPDX-License-Identifier: GPL-3.0-or-later
"""The state of a sink, in a few words: up to date, behind, failing, stopped."""

from btcore.text import format_duration, plural

UP_TO_DATE = "up to date"


def sink_state(*, stop_reason: str, failing_for: float | None, behind: int, is_up_to_date: bool) -> str:
    """Describe the state. `failing_for`: for how many seconds it has failed; None where it works."""
    if stop_reason:
        return "stopped"
    state = UP_TO_DATE if is_up_to_date else f"{plural(behind, 'reading')} behind"
    if failing_for is None:
        return state
    return f"failing for {format_duration(failing_for)}" + ("" if is_up_to_date else f", {state}")
