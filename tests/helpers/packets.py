# SPDX-License-Identifier: GPL-3.0-or-later
"""Packets of ECM-1220s, and the serial numbers of the meters that send them."""

from btcore import pack
from btcore.decode.brultech import Brultech
from btcore.decode.decoders import Decoders

METER = "312345"
DECODERS = Decoders([Brultech()])


def packet(serial: str = METER, secs: int = 0, energy: int = 0, *, flag: int = 0, used: int = 0) -> bytes:
    """Make the packet of an ECM-1220 whose first channel has counted so many Ws, and its second so many."""
    return pack("ecm1220bin", serial, {"secs": secs, "ch1_aws": energy, "ch2_aws": used, "flag": flag})


OTHER_METER = "420467"
