"""Asking a plugin for findings: its optional method `diagnose`. What it yields is checked here.

The core has no other way to ask its own plugins.
"""

import attrs

from btcore.errors import is_interrupt
from btcore.findings import DiagnosisContext, Finding
from btcore.text import describe_error

MAX_FINDINGS = 100
"""Findings that one table may have."""


def ask(instance: object, plugin: str, context: DiagnosisContext) -> list[Finding]:
    """Return what a plugin finds, each with where it is. A plugin that fails is itself a finding."""
    diagnose = getattr(instance, "diagnose", None)
    if not callable(diagnose):
        return []
    found: list[Finding] = []
    try:
        for finding in diagnose(context) or ():
            if not isinstance(finding, Finding):
                raise TypeError(f"diagnose yielded a {type(finding).__name__}; expected a Finding")  # noqa: TRY301
            found.append(attrs.evolve(finding, where=finding.where or context.name))
            if len(found) == MAX_FINDINGS:
                break
    except BaseException as error:
        if is_interrupt(error):
            raise
        found.append(_fault(plugin, context.name, error))
    return found


def _fault(plugin: str, table: str, error: BaseException) -> Finding:
    text = f'the plugin "{plugin}" failed while it looked for faults ({describe_error(error)})'
    return Finding("plugin-fault", text, "This is a mistake in the plugin: report it to whoever made it", table)
