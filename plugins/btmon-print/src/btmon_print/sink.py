# SPDX-License-Identifier: GPL-3.0-or-later
"""The sink: prints each sample to standard output. How it looks is in `layout.py`."""

import os
import sys
from collections.abc import Iterable, Iterator, Mapping

from btcore import Batch, Context, Discovered, Retry, Stop, hookimpl, plugin
from btcore.light import field, setting
from btmon_print.layout import describe


@plugin(api=1)
class Print:
    """Prints what each meter measured, line by line, as btmon did."""

    current: bool = setting(
        default=False,
        help="also print the current of each channel of a GEM, in amperes; the GEM must be set to send it",
    )
    _names: Mapping[str, str] = field(init=False, factory=dict, repr=False)

    @classmethod
    def discover(cls, _timeout: float) -> Iterable[Discovered]:
        """Offer the terminal."""
        yield Discovered(kind="sink", text="this terminal, while btcore runs in it")

    @hookimpl
    def open(self, context: Context) -> None:
        """Take the names of the site's channels."""
        self._names = context.channels

    @hookimpl
    def process_batch(self, batch: Batch) -> int:
        """Print a batch; return of how many readings. Raises Stop where nobody reads any more."""
        if batch.samples:
            write("".join(f"{line}\n" for line in self.preview_batch(batch)))
        return batch.sampled

    @hookimpl
    def preview_batch(self, batch: Batch) -> Iterator[str]:
        """Tell the lines that would be printed."""
        for sample in batch.samples:
            time = sample.end.astimezone().strftime("%Y/%m/%d %H:%M:%S")
            yield ""
            for line in describe(sample, self._names, current=self.current):
                yield f"{time}: {line}"


def write(text: str) -> None:
    """Write to standard output, in the characters it has. Raises Stop once it is closed, Retry on other trouble."""
    out = sys.stdout
    if out is None or out.closed:
        raise Stop("there is no standard output to print to")
    encoding = out.encoding or "utf-8"
    try:
        out.write(text.encode(encoding, "backslashreplace").decode(encoding))
        out.flush()
    except BrokenPipeError:
        # what is left in the buffer would fail once more, with a traceback, when the program ends
        with open(os.devnull, "wb") as nowhere:  # noqa: PTH123 - a device, not a path
            os.dup2(nowhere.fileno(), out.fileno())
        raise Stop("standard output was closed: who read it has ended") from None
    except OSError as error:
        raise Retry(f"standard output cannot be written: {error.strerror}") from error
