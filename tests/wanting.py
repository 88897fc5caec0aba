"""A sink whose settings say what it wants, as a service's map of channels does; for tests of mistakes in them."""

import attrs
from made import Noting

from btcore import Batch, Reject, Sample, Secret, Serial, hookimpl, plugin, setting


@plugin(api=1)
class Wanting(Noting):
    """Sends the samples of one meter, and tells of how many readings that was.

    The service refuses all others than the node that it knows.
    """

    meter: Serial = setting(default="", help="the meter whose samples are sent; empty: all")
    node: str = setting(default="house", help="what the service knows")
    key: Secret = setting(factory=lambda: Secret("s3cret"), help="the service's key")
    known: str = attrs.field(default="house")
    calls: list[Batch] = attrs.field(factory=list)
    taken: list[Sample] = attrs.field(factory=list)

    @hookimpl
    def process_batch(self, batch: Batch) -> int:
        """Send what is wanted."""
        self.calls.append(batch)
        wanted = [sample for sample in batch.samples if self.meter in ("", sample.serial)]
        if wanted and self.node != self.known:
            raise Reject(f"400: no such node: {self.node}")
        self.taken += wanted
        return len(wanted)

    @property
    def spans(self) -> list[tuple[int, int]]:
        """Between which places the samples were that were sent."""
        return [(sample.older.offset, sample.newer.offset) for sample in self.taken]
