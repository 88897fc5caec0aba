# SPDX-License-Identifier: GPL-3.0-or-later
"""What the errors of a database mean, and what a sink answers to each."""

import pytest

from btcore import Reject, Retry, Stop
from btcore.sql import ErrorKind, SqlError, mysql_kind, postgresql_kind


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        *((code, ErrorKind.UNAVAILABLE) for code in (2003, 1040)),
        *((code, ErrorKind.LOST) for code in (2006, 2013)),
        *((code, ErrorKind.CONFLICT) for code in (1205, 1213)),
        *((code, ErrorKind.CREDENTIALS) for code in (1045,)),
        *((code, ErrorKind.PERMISSION) for code in (1044, 1142)),
        (1146, ErrorKind.NO_TABLE),
        (1054, ErrorKind.NO_COLUMN),
        *((code, ErrorKind.EXISTS) for code in (1050, 1060, 1061)),
        (1062, ErrorKind.DUPLICATE),
        (1264, ErrorKind.ROW),
        (1114, ErrorKind.SPACE),
        (1064, ErrorKind.STATEMENT),
        ("no code", ErrorKind.STATEMENT),
    ],
)
def test_codes_of_mysql_have_their_meaning(code: object, kind: ErrorKind) -> None:
    """What was seen of a real server is known by its code; what is unknown needs a person."""
    assert mysql_kind(code) is kind


@pytest.mark.parametrize(
    ("sqlstate", "kind"),
    [
        ("08006", ErrorKind.LOST),
        ("57P01", ErrorKind.LOST),
        ("57P03", ErrorKind.UNAVAILABLE),
        ("53300", ErrorKind.UNAVAILABLE),
        ("53100", ErrorKind.SPACE),
        ("40P01", ErrorKind.CONFLICT),
        *((code, ErrorKind.CONFLICT) for code in ("42P07", "42710")),
        ("28P01", ErrorKind.CREDENTIALS),
        ("42501", ErrorKind.PERMISSION),
        ("3D000", ErrorKind.NO_DATABASE),
        ("42P01", ErrorKind.NO_TABLE),
        ("42703", ErrorKind.NO_COLUMN),
        ("42701", ErrorKind.STATEMENT),
        ("23505", ErrorKind.DUPLICATE),
        ("23502", ErrorKind.ROW),
        ("22003", ErrorKind.ROW),
        ("42601", ErrorKind.STATEMENT),
        ("", ErrorKind.STATEMENT),
    ],
)
def test_sqlstates_have_their_meaning(sqlstate: str, kind: ErrorKind) -> None:
    """A SQLSTATE is known by itself, or by its class; what is unknown needs a person."""
    assert postgresql_kind(sqlstate) is kind


@pytest.mark.parametrize("kind", ErrorKind)
def test_every_kind_has_one_answer_and_a_message(kind: ErrorKind) -> None:
    """What passes by itself is tried again, a row that is refused rejected; all else stops, and says what to do."""
    outcome = SqlError.at("database energy at db:3306", kind, "1: words of the server", "GRANT").outcome()
    retried = {ErrorKind.UNAVAILABLE, ErrorKind.UNTRUSTED, ErrorKind.LOST, ErrorKind.CONFLICT, ErrorKind.SPACE}
    rejected = {ErrorKind.DUPLICATE, ErrorKind.ROW}
    assert type(outcome) is (Retry if kind in retried else Reject if kind in rejected else Stop)
    assert "database energy at db:3306" in str(outcome)
    assert "1: words of the server" in str(outcome)
