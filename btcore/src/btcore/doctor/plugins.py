# SPDX-License-Identifier: GPL-3.0-or-later
"""Asking a plugin for findings: its optional method `diagnose`. What it yields is checked here.

The core has no other way to ask its own plugins.
"""

from threading import Thread

from btcore.classes import define, evolve, field
from btcore.findings import DiagnosisContext, Finding
from btcore.text import describe_error

MAX_FINDINGS = 100
"""Findings that one table may have."""

PATIENCE = 120.0
"""Seconds that a plugin may take, beside twice the time for which it may listen."""


def ask(instance: object, plugin: str, context: DiagnosisContext, patience: float = PATIENCE) -> list[Finding]:
    """Return what a plugin finds, each with where it is. A plugin that fails, or does not return, is itself a finding.

    It runs in a thread of its own, which is abandoned after `patience` seconds.
    """
    diagnose = getattr(instance, "diagnose", None)
    if not callable(diagnose):
        return []
    question = _Question(diagnose, plugin, context)
    thread = Thread(target=question.ask, name=f"diagnose {context.name}", daemon=True)
    thread.start()
    thread.join(patience + 2 * context.seconds)
    found = list(question.found)
    if thread.is_alive():
        found.append(question.fault("it does not return"))
    return found


@define
class _Question:
    """One call of `diagnose`, and what was found so far."""

    diagnose: object
    plugin: str
    context: DiagnosisContext
    found: list[Finding] = field(factory=list)

    def ask(self) -> None:
        try:
            for finding in self.diagnose(self.context) or ():  # type: ignore[operator]
                if not isinstance(finding, Finding):
                    raise TypeError(f"diagnose yielded a {type(finding).__name__}; expected a Finding")  # noqa: TRY301
                self.found.append(evolve(finding, where=finding.where or self.context.name))
                if len(self.found) == MAX_FINDINGS:
                    break
        except BaseException as error:  # noqa: BLE001 - whatever a plugin raises
            self.found.append(self.fault(describe_error(error)))

    def fault(self, why: str) -> Finding:
        text = f'the plugin "{self.plugin}" failed while it looked for faults ({why})'
        advice = "This is a mistake in the plugin: report it to whoever made it"
        return Finding("plugin-fault", text, advice, self.context.name)
