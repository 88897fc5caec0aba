# SPDX-License-Identifier: GPL-3.0-or-later
"""Services whose requests name the meter: by its shortened serial number, unless the complete one is wanted."""

from collections.abc import Iterator

import attrs

from btcore import ChannelRef, Context, Sample, SerialNames, Serials, hookimpl, setting, shorten_serial
from btcore.web import find_instances
from btmon_services.service import Service


@attrs.define(kw_only=True, eq=False, slots=False)
class ServiceOfMeters(Service):
    """Base of those whose requests name the meter by its serial number."""

    serials: Serials = setting(  # noqa: RUF009 - a field
        default="short", help="how meters are named: short, XXX and the last three digits; full, the serial number"
    )

    @hookimpl
    def open(self, context: Context) -> None:
        """Prepare to send. The meters that the configuration names are known from the start, so over a restart too."""
        super().open(context)
        named = {ref.serial for ref in find_instances(ChannelRef, self)}
        self._names = SerialNames(self.serials, named | {key.partition("_")[0] for key in context.channels})

    def meter_name(self, serial: str) -> str:
        """Return the name of a meter as it is sent to the service."""
        return self._names[serial]

    def meet(self, sample: Sample) -> Iterator[str]:
        """Yield also a warning where two meters would have the same short name."""
        yield from super().meet(sample)
        name = self.meter_name(sample.serial)
        for other in filter(self.channel_checker.has_met, self._names.alike(sample.serial)):
            yield (
                f"meters {other} and {sample.serial} would both be {shorten_serial(other)} there: they are"
                f' {self.meter_name(other)} and {name} now; serials = "full" sends complete numbers'
            )
