"""What a dry run shows in place of a delivery, line by line. Who is asked for the lines is `worker.py`'s."""

from collections.abc import Callable, Iterable

from btcore.errors import Stop
from btcore.records import Batch
from btcore.text import plain, plural


def print_line(line: str) -> None:
    """Show a line at once, also where standard output is a pipe; it cannot steer a terminal."""
    # in one piece: the line of another sink does not come in between
    print(f"{plain(line)}\n", end="", flush=True)  # noqa: T201 - what a dry run is for


def describe_batch(batch: Batch, preview: Iterable[str] | None) -> list[str]:
    """Return the lines that tell of a batch: a plugin's own, or, where it has none, how much it holds."""
    if preview is None:
        return [f"{plural(len(batch.readings), 'reading')}, {plural(len(batch.samples), 'sample')}"]
    return list(preview)


def print_lines(lines: Iterable[str], out: Callable[[str], object]) -> None:
    """Show lines. Raises Stop where nobody reads them."""
    try:
        for line in lines:
            out(line)
    except OSError as error:
        raise Stop(f"cannot print what would be sent: {error}") from error
