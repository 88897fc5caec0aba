# SPDX-License-Identifier: GPL-3.0-or-later
"""Chaos: whatever can go wrong goes wrong for some minutes, and every packet and every watt-second is accounted for.

    nox -s chaos                              # ten minutes, of a seed that is printed
    nox -s chaos -- --minutes 2 --seed 7      # the same again: what is done, and when, is all of the seed
    nox -s chaos -- --costly                  # also damage that costs readings, which the program has to count

Prints the schedule, then the account; the exit code is 1 where anything is wrong.
"""

import argparse
import random
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from chaos.schedule import make_schedule
from chaos.trial import Options, run_trial

SERVICES = ("counters", "samples", "mariadb", "influxdb", "emoncms", "pvoutput")


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10, help="how long (default: 10)")
    parser.add_argument("--seed", type=int, help="which schedule and which meters (default: any)")
    parser.add_argument("--pause", type=float, default=4, help="seconds between two faults of the program (default: 4)")
    parser.add_argument("--meters", type=int, default=6, help="how many meters (default: 6)")
    parser.add_argument("--costly", action="store_true", help="also damage after a kill that costs readings")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="copy all files into it in the end")
    options = parser.parse_args()
    seed = random.SystemRandom().randrange(1 << 20) if options.seed is None else options.seed
    seconds = options.minutes * 60
    schedule = make_schedule(seed, seconds, SERVICES, pause=options.pause, is_costly=options.costly)
    for fault in schedule:
        print(fault)
    again = f"nox -s chaos -- --minutes {options.minutes:g} --seed {seed} --pause {options.pause:g}"
    again += f" --meters {options.meters}{' --costly' if options.costly else ''}"
    print(f"seed {seed}; again: {again}", flush=True)
    began = time.monotonic()
    try:
        account = run_trial(
            Options(seed, seconds, options.meters, keep=options.keep), schedule, lambda line: print(line, flush=True)
        )
    except AssertionError as error:
        print(f"{error}\nNOT GOOD; again: {again}")
        return 1
    print("\n".join([f"after {time.monotonic() - began:.0f} s:", *account.lines, *account.wrong]))
    print(f"NOT GOOD; again: {again}" if account.wrong else "good: every packet and every watt-second is accounted for")
    return 1 if account.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
