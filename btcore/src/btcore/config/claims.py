# SPDX-License-Identifier: GPL-3.0-or-later
"""Claims: what only one table of a configuration can use, such as a port, a device or a table of a database.

A plugin lists its claims in `claims`; conflicts between tables are found here, before anything is opened.
"""

from collections.abc import Iterable
from itertools import islice

from btcore.classes import frozen
from btcore.config.problems import Problems
from btcore.config.toml import Key
from btcore.discovery import Installed, PluginError
from btcore.errors import is_interrupt
from btcore.formats import describe_type
from btcore.settings import Claim
from btcore.text import describe_error

MAX_CLAIMS = 1000
"""The most claims of one table."""

PART_SEPARATOR = "/"
"""Separates a claim from a part of it: `tcp port 8083/127.0.0.1`."""


@frozen
class TableClaim:
    """One claim of a table: the table's path in the file, and the meters that it is for (empty: all)."""

    path: Key
    claim: Claim
    meters: tuple[str, ...] = ()


def _claims_of(plugin: Installed, instance: object) -> list[Claim]:
    """Return the claims of a plugin's instance. Raises PluginError if it fails, or returns something invalid."""
    try:
        asked = getattr(instance, "claims", None)
        answered = list(islice(asked() or (), MAX_CLAIMS)) if callable(asked) else []
    except BaseException as error:
        if is_interrupt(error):
            raise
        raise PluginError(
            f"the {plugin} failed while listing its claims ({describe_error(error)}); this is a mistake in the plugin"
        ) from None
    for one in answered:
        if not isinstance(one, Claim | str):
            raise PluginError(
                f"the {plugin} claims {describe_type(one)}; expected text or a Claim; this is a mistake in the plugin"
            )
    return [Claim(one) if isinstance(one, str) else one for one in answered]


class Claims:
    """Collects the claims of the tables of one file, and reports conflicts between two tables."""

    def __init__(self, findings: Problems) -> None:
        """Start without claims."""
        self._findings = findings
        self._claims: list[TableClaim] = []

    def add(self, plugin: Installed, instance: object, path: Key, meters: tuple[str, ...] = ()) -> None:
        """Ask the instance of a table; `meters` as in `TableClaim`."""
        try:
            self._claims += [TableClaim(path, claim, meters) for claim in _claims_of(plugin, instance)]
        except PluginError as error:
            self._findings.add_redacted(path, str(error))

    def add_all(self, claims: Iterable[Claim], path: Key) -> None:
        """Add the claims of a table that is no plugin's."""
        self._claims += [TableClaim(path, claim) for claim in claims]

    def report(self) -> None:
        """Report each pair of tables with conflicting claims once, at the later table."""
        pairs: set[tuple[Key, Key]] = set()
        for index, later in enumerate(self._claims):
            others = (one for one in self._claims[:index] if one.path != later.path and _conflict(one, later))
            earlier = next(others, None)
            if earlier is not None and (earlier.path, later.path) not in pairs:
                pairs.add((earlier.path, later.path))
                self._report(later, earlier)

    def _report(self, later: TableClaim, earlier: TableClaim) -> None:
        key = (*later.path, later.claim.key) if later.claim.key else later.path
        line = self._findings.document.line(earlier.path)
        other = f"[{'.'.join(map(str, earlier.path))}] (line {line})"
        unless = ", unless each lists different `meters`" if later.claim.per_meter else ""
        self._findings.add_redacted(
            key, f"{later.claim.what} is already used by {other}; only one table can use it{unless}"
        )


def _conflict(one: TableClaim, other: TableClaim) -> bool:
    share_by_meter = one.claim.per_meter and other.claim.per_meter and one.meters and other.meters
    if share_by_meter and not set(one.meters) & set(other.meters):
        return False
    first, second = one.claim.what, other.claim.what
    return first == second or first.startswith(second + PART_SEPARATOR) or second.startswith(first + PART_SEPARATOR)
