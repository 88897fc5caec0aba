# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests of a plugin are written with: `conforms`, and packets, a clock, a hosted service, runs of btcore.

    from btcore.testing import conforms

    def test_it_conforms() -> None:
        conforms(Webhook, {"token": "a-secret-of-the-test"})

This is the public interface; `kit/` and `conformance/` are private. Nothing here needs pytest. The fixtures of the same
names, in `_btcore_pytest`, do; so do `journal.py` and `journal_machine.py`, the contract of a journal as tests, which
need hypothesis too: `pip install btcore[testing]` brings both. Nothing else of btcore imports this wing.
"""

from btcore.decode.brultech import pack
from btcore.testing.conformance.faults import DoesNotConform, Fault
from btcore.testing.conformance.look import conforms, find_faults
from btcore.testing.kit.batches import (
    batch_of_restart,
    batch_without_numbers,
    make_batch,
    make_packet,
    make_readings,
)
from btcore.testing.kit.clocks import Clock
from btcore.testing.kit.hosted_service import HostedService, Reply, Request
from btcore.testing.kit.meter import MeterServer
from btcore.testing.kit.process import BtcoreProcess, free_port
from btcore.testing.kit.runs import Run, run_decoder, run_sink, run_source
from btcore.testing.kit.waiting import wait_for

__all__ = [
    "BtcoreProcess",
    "Clock",
    "DoesNotConform",
    "Fault",
    "HostedService",
    "MeterServer",
    "Reply",
    "Request",
    "Run",
    "batch_of_restart",
    "batch_without_numbers",
    "conforms",
    "find_faults",
    "free_port",
    "make_batch",
    "make_packet",
    "make_readings",
    "pack",
    "run_decoder",
    "run_sink",
    "run_source",
    "wait_for",
]
