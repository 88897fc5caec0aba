"""How a sink stands, in a few words: up to date, behind, failing, stopped."""

from btcore.text import format_duration, plural

UP_TO_DATE = "up to date"


def sink_state(*, stop_reason: str, failing_for: float | None, behind: int, is_up_to_date: bool) -> str:
    """Tell how a sink stands. `failing` is for how many seconds nothing has worked, None where all does."""
    if stop_reason:
        return "stopped"
    state = UP_TO_DATE if is_up_to_date else f"{plural(behind, 'reading')} behind"
    if failing_for is None:
        return state
    return f"failing for {format_duration(failing_for)}" + ("" if is_up_to_date else f", {state}")
