# SPDX-License-Identifier: GPL-3.0-or-later
"""The hooks of one plugin as pluggy calls them: where calls are traced, and for what `hook_calls.py` does not know."""

from typing import Any

from pluggy import PluginManager

from btcore.hookspecs import PROJECT, Hooks


class HookManager(PluginManager):
    """The hooks of one plugin, which is to be registered. Raises PluginValidationError for one that does not fit."""

    def __init__(self) -> None:
        """Begin with the specifications."""
        super().__init__(PROJECT)
        self.add_hookspecs(Hooks)

    def parse_hookspec_opts(self, module_or_class: Any, name: str) -> Any:  # noqa: ANN401, ARG002 - as in pluggy
        """Return the options of a specification; None for what is none."""
        if name.startswith("_"):
            return None
        return {"firstresult": True, "historic": False, "warn_on_impl": None, "warn_on_impl_args": None}
