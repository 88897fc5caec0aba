# SPDX-License-Identifier: GPL-3.0-or-later
"""What all tests share.

pytest names test modules by their folders from here, so `btcore.tests` needs a `btcore`: this imports the package,
before pytest would take the folder of the same name for it.
"""

import gc
import os

from hypothesis import HealthCheck, settings

import btcore  # noqa: F401 - see above

# how long an example takes says nothing: a small or a busy computer is no failure
given = settings.get_profile(settings.get_current_profile_name())
BUSY = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("thorough", given, **BUSY, max_examples=100)
# the same examples each time, so that a change is judged by what it changes; `nox -s thorough` looks for new ones
settings.register_profile("workspace", given, **BUSY, max_examples=30, derandomize=True)
settings.load_profile("workspace")

MANY = 256
"""Open files above which a test is followed by a look for what only circles refer to."""


def pytest_runtest_teardown() -> None:
    """Give back the files of journals that a test let die: `select`, which pyserial uses, takes none above 1023."""
    if os.path.isdir("/proc/self/fd") and len(os.listdir("/proc/self/fd")) > MANY:  # noqa: PTH112, PTH208 - each test
        gc.collect()
