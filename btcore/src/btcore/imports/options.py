# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person says of a file to be imported that the file itself does not say."""

from collections.abc import Mapping
from datetime import tzinfo

from btcore.classes import field, frozen
from btcore.settings import Polarity


@frozen
class ImportOptions:
    """What is not in the files.

    `zone` is that of times without one (None: the computer's). `serial` is the meter of a table without serial numbers,
    `columns` are labels by the names of columns, `time_format` is that of `strptime`. `polarity` is the sign of energy
    in the files, `names` are the channels by the names that a log may have instead, `SERIAL_CHANNEL` by meter and name.
    """

    zone: tzinfo | None = None
    serial: str = ""
    columns: Mapping[str, str] = field(factory=dict)
    time_format: str = ""
    polarity: Polarity = "brultech"
    names: Mapping[tuple[str, str], str] = field(factory=dict)
