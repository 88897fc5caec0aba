"""How a sink stands, in a few words: level, behind, failing, stopped."""

from btcore.text import format_duration, plural


def sink_state(*, parked: str, failing: float | None, behind: int, is_level: bool) -> str:
    """Tell how a sink stands. `failing` is for how many seconds nothing has worked, None where all does."""
    if parked:
        return "stopped"
    state = "level" if is_level else f"{plural(behind, 'reading')} behind"
    if failing is None:
        return state
    return f"failing for {format_duration(failing)}" + ("" if is_level else f", {state}")
