# SPDX-License-Identifier: GPL-3.0-or-later
"""What all tests share.

pytest names test modules by their folders from here, so `btcore.tests` needs a `btcore`: this imports the package,
before pytest would take the folder of the same name for it.
"""

from hypothesis import HealthCheck, settings

import btcore  # noqa: F401 - see above

# how long an example takes says nothing: a small or a busy computer is no failure
given = settings.get_profile(settings.get_current_profile_name())
BUSY = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("thorough", given, **BUSY, max_examples=100)
# the same examples each time, so that a change is judged by what it changes; `nox -s thorough` looks for new ones
settings.register_profile("workspace", given, **BUSY, max_examples=30, derandomize=True)
settings.load_profile("workspace")
