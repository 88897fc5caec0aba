"""Eragy: cumulative energy of every channel, in the form in which a TED 5000 posts to third parties.

Facts: TED 5000 Third Party Posting API, gateway firmware R452. An MTU is what measures a circuit there.
"""

from collections.abc import Iterator

from btcore import Batch, Delivery, Duration, Sample, Secret, plugin, setting
from btcore.web import Meaning, Verdict
from btmon_services.markup import document, element
from btmon_services.meters import ServiceOfMeters
from btmon_services.service import Request, State
from btmon_services.streams import channels, epoch, number, series


@plugin(api=1, delivery=Delivery(period=Duration(60), batch_size=100))
class Eragy(ServiceOfMeters):
    """Sends cumulative energy to Eragy, as a TED 5000 does."""

    title = "Eragy"
    state = State.UNKNOWN
    replies = (
        Meaning(200, r"<xml>\s*0\s*</xml>|^$", Verdict.DELIVERED),  # other receivers of these posts answer nothing
        Meaning(200, "", Verdict.LATER),
    )

    url: str = setting(
        default="http://d.myeragy.com/energyremote.aspx",
        help="where the service is, or something that answers as it does",
    )
    gateway_id: str = setting(help="the gateway's number, as it was registered", example="399999")
    token: Secret = setting(help="the token that activation gave")

    def requests(self, batch: Batch) -> Iterator[Request]:
        """Make one request: of each channel its net energy in Wh, oldest first; the format calls them watts."""
        root = element(None, "ted5000", GWID=self.gateway_id, auth=self.token.reveal())
        for (serial, channel), (_, samples) in series(batch, _all).items():
            unit = element(root, "MTU", ID=f"{self.shown(serial)}_{channel}", type=0)
            for sample in samples:
                energy = number(sample, f"{channel}_wh")
                if energy is not None:
                    element(unit, "cumulative", timestamp=epoch(sample), watts=f"{energy:z.4f}")
        if len(root):
            yield Request("POST", self.address, data=document(root), headers={"Content-Type": "text/xml"})


def _all(sample: Sample) -> Iterator[tuple[str, None]]:
    return ((channel, None) for channel in channels(sample))
