# SPDX-License-Identifier: GPL-3.0-or-later
"""`btcore nats leftovers`: what archives left in the cluster and nobody uses, shown, and with `--remove` removed."""

import argparse
import json
import sys

import attrs

from btcore import BtcoreError, Configuration
from btcore.journal import Unavailable
from btmon_nats.journal.cluster import Cluster
from btmon_nats.journal.leftovers import Leftover, Leftovers
from btmon_nats.login import Login


def clean_up(args: argparse.Namespace, configuration: Configuration, login: Login) -> int:
    """Show what is left, and remove it if that is wanted; return the exit code. Raises BtcoreError."""
    sinks = {one.name for one in configuration.tables if one.kind == "sink"}
    cluster = Cluster(login, "btcore nats leftovers")
    try:
        leftovers = Leftovers(cluster, sinks)
        found = list(leftovers.find())
        named = _named(args.sink, found, sinks)
        states = [_state(one, leftovers, named, remove=args.remove) for one in found]
    except Unavailable as error:
        raise BtcoreError(str(error)) from None
    finally:
        cluster.close()
    if args.json:
        rows = [{**attrs.asdict(one), "state": state} for one, state in zip(found, states, strict=True)]
        sys.stdout.write(json.dumps({"leftovers": rows}, indent=2) + "\n")
    else:
        lines = [f"{describe(one)}: {state}\n" for one, state in zip(found, states, strict=True)]
        sys.stdout.write("".join(lines) or f"nothing is left at {login.address}\n")
    if not args.remove and "unused" in states:
        sys.stderr.write("btcore nats leftovers: --remove removes what is unused\n")
    return 0


def describe(one: Leftover) -> str:
    """Return what is left, for a person."""
    records = f"{one.records} record{'' if one.records == 1 else 's'}"
    if one.sink:
        return f"{one.sink} of stream {one.stream}, {records}"
    what = "an earlier stream" if one.is_earlier else "stream"
    return f"{what} {one.stream}, which is gone, {records}"


def _named(name: str | None, found: list[Leftover], sinks: set[str]) -> Leftover | None:
    """Return what is left of the sink that is to be removed in any case. Raises BtcoreError where that cannot be."""
    if name is None:
        return None
    if name in {part for sink in sinks for part in (sink, sink.partition(".")[2])}:
        raise BtcoreError(f"sink {name} is in the configuration: take its table out, and restart, before")
    for one in found:
        if one.sink and name in (one.sink, one.sink.partition(".")[2]):
            if one.stays and not one.waiting:
                raise BtcoreError(f"{one.sink} stays: {one.stays}")
            return one
    raise BtcoreError(f"nothing is left of a sink {name}")


def _state(one: Leftover, leftovers: Leftovers, named: Leftover | None, *, remove: bool) -> str:
    """Remove it where that is wanted and possible; return what has become of it."""
    if one.stays and one is not named:
        return f"stays, as {one.stays}"
    if not remove:
        return "unused"
    return "removed" if leftovers.remove(one) else "stays, as a program works it"
