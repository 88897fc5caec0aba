# SPDX-License-Identifier: GPL-3.0-or-later
"""Two houses, three NATS servers and an archive, as processes: whatever is killed, each reading is in the archive once."""

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from threading import Event
from time import monotonic

import pytest
from helpers.btcore_process import JOURNAL_FILE, BtcoreProcess, table_rows
from helpers.meter_stream import send_for_ever
from helpers.needed import need
from helpers.waiting import in_background, wait_for
from servers.nats_cluster import MISSING, NatsCluster
