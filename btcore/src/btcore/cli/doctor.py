# SPDX-License-Identifier: GPL-3.0-or-later
"""`btcore doctor`: what is wrong with a site, and what to do.

`--json` writes a list of `{"code", "where", "text", "advice"}`; docs/doctor.md explains the codes.
"""

import argparse
import json
from collections.abc import Iterator, Sequence

from btcore.cli import FAILING, OK, add_config, add_seconds, config_of, write_lines
from btcore.config.load import load_site
from btcore.config.site import Site
from btcore.doctor.diagnosis import diagnose
from btcore.doctor.facts import SiteFacts
from btcore.doctor.gathering import gathered
from btcore.findings import Finding
from btcore.logs.handler import say
from btcore.redaction import Redactor
from btcore.text import plural

LISTEN = 20.0
"""Seconds for which a source of a site that does not run is listened to."""

PAGE = "docs/doctor.md"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_config(parser)
    parser.add_argument("--json", action="store_true", help="write the findings as JSON, for a program")
    add_seconds(parser, LISTEN, "how long to listen to each source of a site that does not run")


def main(args: argparse.Namespace) -> int:
    """Look for faults; return 0 if none is found, 1 if one is. Raises ConfigurationError."""
    site = load_site(config_of(args))
    if not args.json:
        say(f"looking at {site.file}; this takes up to a minute or two")
    with gathered(site, args.seconds) as facts:
        found = diagnose(facts, args.seconds, Redactor(site.secrets))
    if args.json:
        write_lines([json.dumps([_record(finding) for finding in found], indent=2, ensure_ascii=False)])
    else:
        write_lines(_lines(facts, found))
    return FAILING if found else OK


def _record(finding: Finding) -> dict[str, str]:
    return {"code": finding.code, "where": finding.where, "text": finding.text, "advice": finding.advice}


def _lines(facts: SiteFacts, found: Sequence[Finding]) -> Iterator[str]:
    for finding in found:
        yield f"{finding.where}: {finding.text} [{finding.code}]"
        yield f"    {finding.advice}."
    yield f"{plural(len(found), 'finding')}; {PAGE} explains each code" if found else f"nothing found: {_scope(facts)}"


def _scope(facts: SiteFacts) -> str:
    site: Site = facts.site
    parts = [plural(len(site.sources), "source"), plural(len(facts.meters), "meter"), plural(len(site.sinks), "sink")]
    how = f"asked the running program (process {facts.process})" if facts.is_running else "no btcore runs with it"
    return f"{', '.join(parts)} looked at; {how}"
