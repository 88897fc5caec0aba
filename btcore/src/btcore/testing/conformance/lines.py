# SPDX-License-Identifier: GPL-3.0-or-later
"""What a plugin says while it is looked at: log lines, errors, previews, in which no secret may be."""

from collections.abc import Iterator
from urllib.parse import quote, quote_plus

import attrs

from btcore.testing.conformance.faults import Fault


@attrs.define
class Output:
    """Texts, each with where it was said; `secrets` are what must be in none."""

    secrets: frozenset[str]
    texts: list[tuple[str, str]] = attrs.field(factory=list)

    def add(self, where: str, *texts: str) -> None:
        """Take note of texts."""
        self.texts += [(where, text) for text in texts]

    def faults(self) -> Iterator[Fault]:
        """Yield a fault for each kind of text in which a secret is."""
        found = dict.fromkeys(where for where, text in self.texts if self._is_revealed(text))
        for where in found:
            yield Fault(
                "secret",
                f"a secret of its settings stands in {where}: keep it in a Secret, and reveal it only to send it"
                " (btcore.web.Client redacts what it is told in `secrets`)",
            )

    def _is_revealed(self, text: str) -> bool:
        return any(form in text for one in self.secrets for form in (one, quote(one, safe=""), quote_plus(one)))
