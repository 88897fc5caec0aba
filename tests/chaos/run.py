# SPDX-License-Identifier: GPL-3.0-or-later
"""Chaos: whatever can go wrong goes wrong for some minutes, and every packet and every watt-second is accounted for.

    nox -s chaos                              # ten minutes, of a seed that is printed
    nox -s chaos -- --minutes 2 --seed 7      # the same again: what is done, and when, is all of the seed
    nox -s chaos -- --costly                  # also damage that costs readings, which the program has to count

Prints the schedule, then the account; the exit code is 1 where anything is wrong.
"""

import argparse
import os
import random
import sys
import time
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from chaos.audit import Account
from chaos.schedule import make_schedule
from chaos.trial import Options, run_trial
from helpers.clock_file import LIBRARY

SERVICES = ("counters", "samples", "mariadb", "influxdb", "emoncms", "pvoutput")


def read_options() -> argparse.Namespace:
    """Return what was asked for; without a seed, one is drawn."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10, help="how long (default: 10)")
    parser.add_argument("--seed", type=int, help="which schedule and which meters (default: any)")
    parser.add_argument("--pause", type=float, default=4, help="seconds between two faults of the program (default: 4)")
    parser.add_argument("--meters", type=int, default=6, help="how many meters (default: 6)")
    parser.add_argument("--costly", action="store_true", help="also damage after a kill that costs readings")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="copy all files into it in the end")
    options = parser.parse_args()
    options.seed = random.SystemRandom().randrange(1 << 20) if options.seed is None else options.seed
    return options


def again(options: argparse.Namespace) -> str:
    """Return the command that does the same."""
    words = f"nox -s chaos -- --minutes {options.minutes:g} --seed {options.seed} --pause {options.pause:g}"
    return f"{words} --meters {options.meters}{' --costly' if options.costly else ''}"


def run(options: argparse.Namespace, *, is_root: bool) -> Account:
    """Print the schedule, and do what it has. Raises AssertionError where the program ends by itself, or hangs."""
    seconds = options.minutes * 60
    schedule = make_schedule(options.seed, seconds, SERVICES, pause=options.pause, is_costly=options.costly)
    if not is_root:
        print("no disk is filled: only root may mount a small one")
        schedule = [fault for fault in schedule if "disk" not in fault.kind]
    print("\n".join([*map(str, schedule), f"seed {options.seed}; again: {again(options)}"]), flush=True)
    made = Options(options.seed, seconds, options.meters, with_small_disk=is_root, keep=options.keep)
    return run_trial(made, schedule, partial(print, flush=True))


def main() -> int:
    """Run it."""
    options, began = read_options(), time.monotonic()
    if LIBRARY is None:
        print("not possible without libfaketime: apt install libfaketime")
        return 1
    try:
        account = run(options, is_root=os.geteuid() == 0)
    except AssertionError as error:
        account = Account([], [str(error)])
    print("\n".join([f"after {time.monotonic() - began:.0f} s:", *account.lines, *account.wrong]))
    good = "good: every packet and every watt-second is accounted for"
    print(f"NOT GOOD; again: {again(options)}" if account.wrong else good)
    return 1 if account.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
