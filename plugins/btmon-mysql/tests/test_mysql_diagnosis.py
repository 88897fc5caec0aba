# SPDX-License-Identifier: GPL-3.0-or-later
"""What `btcore doctor` finds of a MariaDB, without storing anything."""

from typing import TYPE_CHECKING

import pytest
from servers.database_servers import free_port

from btcore import DiagnosisContext, Secret
from btmon_mysql.sink import Mysql

if TYPE_CHECKING:
    from conftest import Energy

pytestmark = pytest.mark.servers

CONTEXT = DiagnosisContext(name="sink.mysql")


def test_a_user_that_may_come_in(energy: "Energy") -> None:
    """Nothing is found, and no database is made."""
    assert list(Mysql(**energy.settings()).diagnose(CONTEXT)) == []
    assert energy.server.sql("SHOW DATABASES LIKE 'energy'") == []


def test_a_wrong_password(energy: "Energy") -> None:
    """The credentials are named, and the password is not shown."""
    (found,) = Mysql(**energy.settings(password=Secret("wr0ng-one"))).diagnose(CONTEXT)
    assert (found.code, "wr0ng-one" in found.text) == ("credentials", False)


def test_a_server_that_is_not_there(energy: "Energy") -> None:
    """A port that nobody listens on."""
    (found,) = Mysql(**energy.settings(port=free_port())).diagnose(CONTEXT)
    assert found.code == "unreachable"
