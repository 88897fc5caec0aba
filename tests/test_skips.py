# SPDX-License-Identifier: GPL-3.0-or-later
"""Which tests may be skipped: none because CI lacks something that it should have."""

import re

import pytest
from helpers.folders import ROOT, python_files
from helpers.needed import need, needs

OF_THE_COMPUTER = {
    "btcore/tests/logs/test_log_bounds.py": "/dev/full is Linux's",
    "btcore/tests/status/test_disk.py": "a machine may have one disk",
    "btcore/tests/sqlite_journal/test_sqlite_rights.py": "only root may become another user",
    "tests/helpers/needed.py": "where it is decided",
    "tests/helpers/small_disk.py": "only root may mount a disk",
    "tests/test_skips.py": "this test",
}


@pytest.mark.parametrize(("ci", "outcome"), [("", pytest.skip.Exception), ("true", pytest.fail.Exception)])
def test_what_is_missing_in_ci_is_an_error(
    ci: str, outcome: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On anyone's computer a test that lacks a program is skipped, with the line that installs it; in CI it fails."""
    monkeypatch.setenv("CI", ci)
    with pytest.raises(outcome, match="apt install it"):
        need("apt install it")
    need("")
    assert needs("apt install it").args == (not ci,)
    assert needs("").args == (False,)


def test_every_skip_is_decided_in_one_place() -> None:
    """No test skips itself in another way, which CI would not notice."""
    tests = (file for file in python_files() if "tests" in file.parts)
    skips = re.compile(r"pytest\.(mark\.)?(skip|skipif|importorskip)\(")
    found = {str(file.relative_to(ROOT)) for file in tests if skips.search(file.read_text("utf-8"))}
    assert found <= set(OF_THE_COMPUTER)
