# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the table [tariff]: what energy costs, which every sink may use."""

from collections.abc import Mapping

from btcore.config.problems import Problems
from btcore.tariff import Tariff
from btcore.values.convert import convert
from btcore.values.invalid_value import ConversionContext, InvalidValue

KEY = "tariff"


def read_tariff(data: Mapping[str, object], findings: Problems, context: ConversionContext) -> Tariff | None:
    """Return the tariff; None where there is none, or where it has mistakes, which are added to the findings."""
    if KEY not in data:
        return None
    try:
        made: Tariff = convert(data[KEY], Tariff, context)
    except InvalidValue as error:
        for problem in error.problems:
            findings.add((KEY, *problem.path), problem.message)
        return None
    return made
