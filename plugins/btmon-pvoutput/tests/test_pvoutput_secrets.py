# SPDX-License-Identifier: GPL-3.0-or-later
"""The key is shown nowhere: no log, no exception, no repr, at any level, whatever goes wrong."""

import logging
import traceback
from collections.abc import Callable

import pytest
from servers.pvoutput import DRIP, ERROR, FLOOD, HANG, RESET, PVOutputServer

from btcore import Batch, BtcoreError, Sample
from btcore.testing import Reply
from btmon_pvoutput.sink import PVOutput

pytestmark = pytest.mark.servers

MakeSink = Callable[..., PVOutput]
MakeSample = Callable[..., Sample]
KEY = "0123456789abcdef"


@pytest.mark.parametrize(
    "failure",
    [
        None,
        ERROR,
        RESET,
        HANG,
        DRIP,
        FLOOD,
        Reply(401, f"Unauthorized 401: Invalid API Key {KEY}"),
        Reply(400, f"Bad request 400: {KEY} {KEY}"),
        Reply(200, f"<html>{KEY}"),
        Reply(302, "", {"Location": f"https://elsewhere/?key={KEY}"}),
        Reply(503, "x" * 195 + KEY),
    ],
    ids=["well", "500", "reset", "hang", "drip", "flood", "401", "400", "200", "302", "cut"],
)
def test_the_key_is_nowhere_to_be_seen(
    server: PVOutputServer,
    make_sink: MakeSink,
    make_sample: MakeSample,
    caplog: pytest.LogCaptureFixture,
    failure: Reply | None,
) -> None:
    """Not even where the service repeats it, the log is at debug level, and the traceback is printed."""
    caplog.set_level(logging.DEBUG)
    if failure:
        server.fail(failure)
    sink = make_sink(server, timeout=0.2)
    shown = [repr(sink), str(sink)]
    try:
        sink.process_batch(Batch(samples=(make_sample(ch2_nw=1.0, ch2_pw=0.0),)))
    except BtcoreError as error:
        shown += [str(error), repr(error), "".join(traceback.format_exception(error))]
    shown += [record.getMessage() for record in caplog.records]
    assert [text for text in shown if KEY[:8] in text] == []


def test_the_key_is_sent_only_as_a_header(server: PVOutputServer, make_sink: MakeSink, make_sample: MakeSample) -> None:
    """An address, which proxies log, never holds it."""
    make_sink(server).process_batch(Batch(samples=(make_sample(ch2_nw=1.0, ch2_pw=0.0),)))
    (request,) = server.requests
    assert request.headers["x-pvoutput-apikey"] == KEY
    assert KEY not in request.path + str(request.form)
