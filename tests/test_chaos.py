# SPDX-License-Identifier: GPL-3.0-or-later
"""A short chaos trial: what `nox -s chaos` does for ten minutes, in some seconds, with the same faults each time."""

import pytest
from chaos.schedule import Fault
from chaos.trial import Options, run_trial

pytestmark = pytest.mark.servers

SCHEDULE = (
    Fault(0.6, "lost-answers", 1.0, whose="influxdb"),
    Fault(0.6, "locked", 1.0, whose="samples"),
    Fault(0.8, "kill"),
    Fault(0.9, "errors", 1.0, whose="pvoutput"),
    Fault(1.0, "restart-meter", what="1"),
    Fault(1.1, "down", 0.5, whose="emoncms"),
    Fault(1.2, "clock", what="-3600"),
    Fault(1.3, "kill"),
)


def test_every_packet_and_every_watt_second_is_accounted_for() -> None:
    """Kills, a lost answer, a locked file, a clock set back and a meter's restart: nothing lost, twice or invented."""
    said: list[str] = []
    options = Options(seed=11, seconds=2.0, meters=3, rate=10.0, with_mariadb=False, with_small_disk=False)
    account = run_trial(options, SCHEDULE, said.append)
    assert account.wrong == [], "\n".join(account.lines)
    assert len(said) == 4  # what is done to a sink is not said
