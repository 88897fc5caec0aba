# SPDX-License-Identifier: GPL-3.0-or-later
"""Read by Python when it starts with a clock of libfaketime (`clock_file.py`): what that breaks is mended.

Where the faked clock is ahead, libfaketime takes the end of `time.sleep` to be long ago, and it fails with EINVAL.
"""

import threading
import time
from typing import SupportsIndex

_never = threading.Event()


def _sleep(seconds: float | SupportsIndex) -> None:
    _never.wait(float(seconds))


time.sleep = _sleep
