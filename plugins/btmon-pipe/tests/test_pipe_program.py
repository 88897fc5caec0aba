# SPDX-License-Identifier: GPL-3.0-or-later
"""A program that gets lines: real ones that end, hang, refuse and answer nonsense."""

import json
import logging
import os
import re
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from helpers.metered import batch_of, readings
from helpers.plugin_calls import make_context, preview_batches

from btcore import Batch, DiagnosisContext, Duration, Reject, Retry, Secret, Stop
from btcore.config.load import load_site
from btcore.testing import BtcoreProcess, wait_for
from btmon_pipe.program import PipeProgram

pytestmark = pytest.mark.servers

BATCH = batch_of(readings(41))

KEEP = "import sys\nfor line in sys.stdin:\n    open({file!r}, 'a').write(line)\n"
"""A program that keeps each line."""

ANSWER = """
import json, os, sys
for line in sys.stdin:
    with open({file!r}, 'a') as file:
        number = file.tell()
        file.write(line)
    print({answer}, flush=True)
"""
"""A program that keeps each line and answers it; `{answer}` is an expression."""


def program(code: str) -> list[str]:
    """Return the command that runs a program."""
    return [sys.executable, "-c", code]


def keys(file: Path) -> list[int]:
    """Return the keys of the lines that a program has kept."""
    return [json.loads(line)["key"] for line in file.read_text().splitlines()] if file.exists() else []


def keys_of(batch: Batch) -> list[int]:
    """Return the keys of a batch's samples."""
    return [sample.newer.key for sample in batch.samples]


def deliver(sink: Any, batch: Batch) -> int:  # noqa: ANN401 - a sink
    """Deliver a batch as the core does: again after each Retry."""
    retries = 0
    while True:
        try:
            sink.process_batch(batch)
        except Retry:
            retries += 1
            assert retries < 100
        else:
            return retries


def test_a_program_gets_every_line(opened: Any, tmp_path: Path) -> None:  # noqa: ANN401 - fixture
    """In order, over several batches, and the end of its input when the sink is closed."""
    file = tmp_path / "lines"
    sink = opened(PipeProgram, command=program(KEEP.format(file=str(file)) + f"open({str(file)!r} + '.end', 'w')\n"))
    later = batch_of(readings(3, start=1_800_000_000))
    assert [sink.process_batch(BATCH), sink.process_batch(later)] == [40, 2]
    sink.close()
    assert keys(file) == keys_of(BATCH) + keys_of(later)
    assert file.with_suffix(".end").exists()


def test_a_program_that_ends_again_and_again_gets_every_line_once(opened: Any, tmp_path: Path) -> None:  # noqa: ANN401
    """With acknowledgements: it ends after each seventh line, and the next one goes on behind that."""
    file = tmp_path / "lines"
    code = (
        ANSWER.format(file=str(file), answer="'ok'")
        + "    if open(file.name).read().count('\\n') % 7 == 0: os._exit(3)\n"
    )
    sink = opened(PipeProgram, command=program(code), acknowledge=True)
    assert deliver(sink, BATCH) == 5
    assert keys(file) == keys_of(BATCH)


def test_what_it_answered_before_it_ended_counts(opened: Any, tmp_path: Path) -> None:  # noqa: ANN401 - fixture
    """Also where a pipe cannot hold all that is still to be written when it ends."""
    file = tmp_path / "lines"
    batch = batch_of(readings(300, form="gem48ptbin"))
    end = "    if open(file.name).read().count('\\n') % 60 == 0: os._exit(3)\n"
    code = ANSWER.format(file=str(file), answer="'ok'") + end
    sink = opened(PipeProgram, command=program(code), acknowledge=True)
    assert deliver(sink, batch) == 4
    assert keys(file) == keys_of(batch)


def test_a_batch_that_a_person_wants_again_is_sent_again(opened: Any, tmp_path: Path) -> None:  # noqa: ANN401 - fixture
    """As by `btcore replay`: what was acknowledged is remembered only until its batch is delivered."""
    file = tmp_path / "lines"
    sink = opened(PipeProgram, command=program(ANSWER.format(file=str(file), answer="'ok'")), acknowledge=True)
    assert [sink.process_batch(BATCH), sink.process_batch(BATCH)] == [40, 40]
    assert keys(file) == keys_of(BATCH) * 2


def test_a_program_that_is_killed_gets_every_line(opened: Any, tmp_path: Path) -> None:  # noqa: ANN401 - fixture
    """Only a line that it had kept and not answered comes a second time."""
    file = tmp_path / "lines"
    sink = opened(PipeProgram, command=program(ANSWER.format(file=str(file), answer="'ok'")), acknowledge=True)
    for at in range(0, 40, 10):
        part = batch_of(BATCH.readings[at : at + 11])
        os.kill(sink._child._process.pid, signal.SIGKILL)
        deliver(sink, part)
    assert sorted(set(keys(file))) == keys_of(BATCH)
    assert len(keys(file)) <= 44


def test_how_a_program_ended_is_in_the_message(opened: Any) -> None:  # noqa: ANN401 - fixture
    """Its exit code or the signal, and what it said last on its standard error."""
    code = "import sys; sys.stdin.readline(); sys.exit('the disk is full')"
    sink = opened(PipeProgram, command=program(code), acknowledge=True)
    with pytest.raises(Retry, match=r"^the program ended with exit code 1: the disk is full$"):
        sink.process_batch(BATCH)
    killed = opened(PipeProgram, command=program("import os, sys; sys.stdin.readline(); os.abort()"), acknowledge=True)
    with pytest.raises(Retry, match=r"^the program was ended by SIGABRT$"):
        killed.process_batch(BATCH)


@pytest.mark.parametrize("acknowledge", [True, False])
def test_a_program_that_ended_between_two_batches_is_started_after_a_wait(
    opened: Any,  # noqa: ANN401 - fixture
    tmp_path: Path,
    *,
    acknowledge: bool,
) -> None:
    """The core reports how it ended, and waits; nothing of the next batch is lost."""
    file = tmp_path / "lines"
    sink = opened(PipeProgram, command=program(ANSWER.format(file=str(file), answer="'ok'")), acknowledge=acknowledge)
    sink.process_batch(BATCH)
    wait_for(lambda: len(keys_so_far(file)) == 40, "all lines")
    os.kill(sink._child._process.pid, signal.SIGKILL)
    wait_for(lambda: sink._child.has_ended, "the end of the program")
    later = batch_of(readings(3, start=1_800_000_000))
    with pytest.raises(Retry, match=r"^the program was ended by SIGKILL$"):
        sink.process_batch(later)
    assert sink.process_batch(later) == 2
    sink.close()
    assert keys(file) == keys_of(BATCH) + keys_of(later)


HANGS = {
    "reads nothing": (False, "import time; time.sleep(1000)"),
    "answers nothing": (True, "import sys; sys.stdin.read()"),
}


@pytest.mark.parametrize("how", HANGS)
def test_a_program_that_hangs_is_killed(opened: Any, how: str) -> None:  # noqa: ANN401 - fixture
    """With all that it has started, after the time-out; the readings are tried again."""
    acknowledge, code = HANGS[how]
    started = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(1000)'])\n"
    big = batch_of(readings(300, form="gem48ptbin"))  # more than a pipe holds
    sink = opened(PipeProgram, command=program(started + code), acknowledge=acknowledge, timeout=Duration(0.3))
    group = sink._child._process.pid
    with pytest.raises(Retry, match=r"the program took nothing for 0.3 s, and was killed"):
        sink.process_batch(big)

    def gone() -> bool:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        return False

    wait_for(gone, "the end of all its processes")


@pytest.mark.parametrize(
    ("answer", "error", "text"),
    [
        ("'reject: a bad row'", Reject, "^the program answered reject: a bad row$"),
        ("'retry later'", Retry, "^the program answered retry: later$"),
        ("'REJECT'", Reject, "^the program answered reject: no reason given$"),
        ("'hello'", Retry, "^the program answered 'hello'; expected ok, retry or reject for each line$"),
        ("'x' * 5000", Retry, "expected ok, retry or reject"),
        ("'ok\\nok'", Retry, "ok, to no line"),
    ],
)
def test_an_answer_means_what_it_says(
    opened: Any,  # noqa: ANN401 - fixture
    tmp_path: Path,
    answer: str,
    error: type[Exception],
    text: str,
) -> None:
    """Reject is never, retry is later, and anything else is a mistake of the program."""
    code = ANSWER.format(file=str(tmp_path / "lines"), answer=answer)
    sink = opened(PipeProgram, command=program(code), acknowledge=True)
    with pytest.raises(error, match=text):
        deliver_parts(sink, batch_of(readings(2)), BATCH)


def deliver_parts(sink: Any, *batches: Batch) -> None:  # noqa: ANN401 - a sink
    """Deliver batches, each once."""
    for batch in batches:
        sink.process_batch(batch)


def test_a_line_that_is_refused_stands_alone_when_the_batch_is_halved(opened: Any, tmp_path: Path) -> None:  # noqa: ANN401
    """What was acknowledged beside it is not sent again."""
    file = tmp_path / "lines"
    wrong = keys_of(BATCH)[17]
    answer = f"'reject: no' if json.loads(line)['key'] == {wrong} else 'ok'"
    sink = opened(PipeProgram, command=program(ANSWER.format(file=str(file), answer=answer)), acknowledge=True)
    refused = deliver_halves(sink, BATCH.readings, BATCH)
    assert refused == [wrong]
    assert sorted(key for key in keys(file) if key != wrong) == [key for key in keys_of(BATCH) if key != wrong]


def deliver_halves(sink: Any, of: Sequence[Any], batch: Batch) -> list[int]:  # noqa: ANN401 - a sink
    """Deliver these readings of a batch as the core does: halved until what is refused stands alone."""
    part = Batch(tuple(of), tuple(sample for sample in batch.samples if sample.newer in of))
    try:
        sink.process_batch(part)
    except Reject:
        if len(of) == 1:
            return [of[0].key]
        half = len(of) // 2
        return deliver_halves(sink, of[:half], batch) + deliver_halves(sink, of[half:], batch)
    return []


def test_the_environment_has_no_keys_of_others(
    opened: Any,  # noqa: ANN401 - fixture
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Only what the settings say, and what every program needs."""
    monkeypatch.setenv("PVO_KEY", "sec-ret-of-another")
    file = tmp_path / "environment"
    code = f"import json, os, sys; open({str(file)!r}, 'w').write(json.dumps(dict(os.environ))); sys.stdin.read()"
    opened(PipeProgram, command=program(code), environment={"MY_KEY": Secret("my-key")}).close()
    found = json.loads(file.read_text())
    assert (found["MY_KEY"], found["PATH"]) == ("my-key", os.environ["PATH"])
    assert "PVO_KEY" not in found


def test_no_secret_is_in_any_text(opened: Any, caplog: pytest.LogCaptureFixture) -> None:  # noqa: ANN401 - fixture
    """Neither in a repr nor in the log."""
    caplog.set_level(logging.DEBUG)
    sink = opened(PipeProgram, command=program("import sys; sys.stdin.read()"), environment={"K": Secret("sec-ret-1")})
    sink.process_batch(BATCH)
    assert "sec-ret-1" not in repr(sink) + repr(sink._child) + caplog.text


@pytest.mark.parametrize("command", ["/no/such/program", __file__, "a\0b"])
def test_a_program_that_cannot_be_started_needs_a_person(command: str) -> None:
    """The sink stops, and names the setting; doctor and check say so before."""
    sink = PipeProgram(command=[command])
    with pytest.raises(Stop, match=r"cannot be started: .*; check `command`$"):
        sink.open(make_context())
    sink.close()
    assert [(one.key, one.warning) for one in sink.check()] == [("command", True)]
    assert [one.code for one in sink.diagnose(DiagnosisContext(name="sink.script"))] == ["program-missing"]


def test_a_dry_run_starts_nothing(tmp_path: Path) -> None:
    """It shows the lines."""
    file = tmp_path / "lines"
    lines = preview_batches(PipeProgram(command=program(f"open({str(file)!r}, 'w')")), [BATCH])
    assert [json.loads(line)["key"] for line in lines] == keys_of(BATCH)
    assert not file.exists()


SITE = """
state = "state"
[source.simulator]
format = "ecm1240bin"
serial = "312345"
start = "2026-06-21T06:00:00+00:00"
packets = 400
pace = "fast"
max_packets_per_second = 0
[sink.script]
use = "pipe-program"
command = {command}
acknowledge = true
batch_size = 10
min_backoff = "20ms"
max_backoff = "100ms"
"""


def test_btcore_and_a_program_that_fails_lose_no_line(tmp_path: Path) -> None:
    """The program ends after each 50 lines, btcore is killed in the middle: every line is there."""
    file = tmp_path / "lines"
    end = "    if open(file.name).read().count('\\n') % 50 == 0: os._exit(3)\n"
    site = SITE.format(command=json.dumps(program(ANSWER.format(file=str(file), answer="'ok'") + end)))
    with BtcoreProcess(tmp_path, site) as btcore:
        wait_for(lambda: len(keys_so_far(file)) > 100, "some lines")
        btcore.process.kill()
        btcore.process.wait()
    with BtcoreProcess(tmp_path, site, "--once") as btcore:
        assert btcore.finish() == 0, btcore.log
    found = keys_so_far(file)
    assert len(set(found)) == 399
    assert len(found) <= 399 + 10  # the batch that was under way
    assert "the program ended with exit code 3" in btcore.log


def keys_so_far(file: Path) -> list[int]:
    """Return the keys of the complete lines, while they are written."""
    text = file.read_text() if file.exists() else ""
    return [json.loads(line)["key"] for line in text.splitlines(keepends=True) if line.endswith("\n")]


def test_a_command_is_a_list_of_words(tmp_path: Path) -> None:
    """Never a line for a shell."""
    site = tmp_path / "site.toml"
    site.write_text('state = "."\n[source.simulator]\n[sink.pipe-program]\ncommand = ["true"]\n')
    (sink,) = load_site(site).sinks
    assert isinstance(sink.instance, PipeProgram)
    assert sink.instance.command == ["true"]


def test_the_program_of_the_readme_works(
    opened: Any,  # noqa: ANN401 - fixture
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It gets each line and acknowledges it."""
    readme = Path(__file__).parents[1].joinpath("README.md").read_text("utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    assert opened(PipeProgram, command=program(code), acknowledge=True).process_batch(BATCH) == 40
    lines = (tmp_path / "watts.txt").read_text().splitlines()
    assert (len(lines), lines[0]) == (40, "2023-11-14T22:13:30Z 750.0")
