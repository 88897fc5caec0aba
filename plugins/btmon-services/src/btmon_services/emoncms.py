# SPDX-License-Identifier: GPL-3.0-or-later
"""emoncms (OpenEnergyMonitor), at emoncms.org or one's own: power, energy, volts and sensors as inputs of a node.

Facts: https://emoncms.org/site/api, and what a server of our own answered.
"""

import json
import re
import time
from collections.abc import Iterable, Iterator

from btcore import Batch, Delivery, DiagnosisContext, Duration, Finding, Problem, Sample, Secret, plugin, setting
from btcore.web import AnswerRule, Verdict
from btmon_services.meters import ServiceOfMeters
from btmon_services.selection import default_channels, epoch_seconds, finite_number, sensor_labels
from btmon_services.service import Request, ServiceState

MAX_NODE_LENGTH = 16
"""Characters of a node's name that emoncms.org keeps; of an input's name it keeps 64, which none of ours reaches."""

NODE = r"\bnode ?(id|name)?\b.{0,80}\b(must|numeric|range|invalid|not (valid|allowed|found))\b|\binvalid node"
"""What an older emoncms says of a node that is no number, and others of a name that they do not take."""

NUMBERS = "check `node`: an older emoncms takes only numbers, from 0 to 30"


@plugin(api=1, delivery=Delivery(flush_interval=Duration(60), batch_size=100))
class Emoncms(ServiceOfMeters):
    """Sends all that the meters measure to emoncms."""

    title = "emoncms"
    state = ServiceState.OPERATING
    account = "`token`, which must be the write key, and `node`"
    replies = (
        AnswerRule(200, r'^"?ok"?$|"success": ?true', Verdict.DELIVERED),
        AnswerRule(200, "^$", Verdict.STOP, "check `token`: it must be the write key"),
        AnswerRule(200, "api ?key", Verdict.STOP, "check `token`: it must be the write key"),
        AnswerRule(200, NODE, Verdict.STOP, NUMBERS),
        AnswerRule(400, NODE, Verdict.STOP, NUMBERS),
        AnswerRule(406, "", Verdict.STOP, "check `url`: emoncms has no such page"),
        AnswerRule(200, '"success": ?false|^"?(format )?error', Verdict.REJECT),
        AnswerRule(200, "", Verdict.RETRY, "this is no answer of emoncms; is `url` right?"),
    )

    url: str = setting(default="https://emoncms.org", help="address of emoncms, such as http://emonpi.local/emoncms")
    token: Secret = setting(help="the write key, from My Account")
    node: str = setting(default="1", help="the node that the inputs belong to")
    include_current: bool = setting(default=False, help="also send the current of each channel, in amperes")
    include_directions: bool = setting(
        default=False,
        help="also send the energy of each channel in each direction (pwh, nwh), as counters that never fall",
    )

    def check(self) -> Iterator[Problem]:
        """Yield the problems between the settings."""
        yield from super().check()
        if not re.fullmatch(rf"[\w .-]{{1,{MAX_NODE_LENGTH}}}", self.node):
            yield Problem(f"expected at most {MAX_NODE_LENGTH} letters, digits, blanks or any of _ . -", "node")

    def diagnose(self, _context: DiagnosisContext) -> Iterable[Finding]:
        """Find out whether emoncms takes the key: the list of feeds is asked for, and no data is sent."""
        return self.diagnose_account(Request("GET", f"{self._root}/feed/list.json", headers=self._headers))

    @property
    def _root(self) -> str:
        return re.sub(r"(/input/(post|bulk)(\.json)?)?/?$", "", self.url, count=1)

    @property
    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token.reveal()}"}

    def requests(self, batch: Batch) -> Iterator[Request]:
        """Make one request of all samples, oldest first: emoncms.org takes nothing behind what it has."""
        inputs = {sample: list(self._inputs(sample)) for sample in batch.samples}
        rows = {sample: [epoch_seconds(sample), self.node, *found] for sample, found in inputs.items() if found}
        if rows:
            yield Request(
                "POST",
                f"{self._root}/input/bulk",
                # sentat: emoncms allows for the difference of its clock and ours
                data={"data": json.dumps([*rows.values()], separators=(",", ":")), "sentat": str(int(time.time()))},
                headers=self._headers,
                of=rows,
            )

    def _inputs(self, sample: Sample) -> Iterator[dict[str, float]]:
        """Yield one table for each input: of a larger one emoncms reads only the first."""
        for label in self._labels(sample):
            # the net energy goes on where the meter's own begins anew, under the name that feeds know it by
            value = finite_number(sample, f"{label}_total" if label.endswith("wh") else label)
            if value is not None:  # emoncms would keep a null as 0
                yield {f"{self.meter_name(sample.serial)}_{label}": round(value, 2) + 0.0}  # never -0.0

    def _labels(self, sample: Sample) -> Iterator[str]:
        names = default_channels(sample)
        yield "volts"
        if self.include_current:
            yield from (f"{name}_a" for name in names)
        kinds = ("w", "wh", "pwh", "nwh") if self.include_directions else ("w", "wh")
        yield from (f"{name}_{kind}" for kind in kinds for name in names)
        yield from (*sensor_labels(sample.format, "p"), *sensor_labels(sample.format, "t"))
