# SPDX-License-Identifier: GPL-3.0-or-later
"""What a plugin declares its settings and classes with where it is to take no attrs.

To import attrs takes a sixth of a start and 2 MB, for a run in which nothing else needs it. The names do what those of
`btcore` and attrs do. A class whose fields are declared with these belongs to `plugin`, or to `define` and `frozen` of
this module: attrs does not know them.
"""

from btcore.classes import define, evolve, field, frozen
from btcore.settings import light_setting as setting
from btcore.validators import and_, ge, gt, in_, le, lt

__all__ = ["and_", "define", "evolve", "field", "frozen", "ge", "gt", "in_", "le", "lt", "setting"]
