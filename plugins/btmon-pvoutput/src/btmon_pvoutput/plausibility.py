# SPDX-License-Identifier: GPL-3.0-or-later
"""The policy for statuses that PVOutput refuses as implausible: generated at night ("moon powered"), or too high.

The cause may be a setting (the zone, the channel, the size of the system): then every status with real power is
refused, and the sink stops before any is lost. Or it is the status: a few watts of an inverter, a wrong number. Where
earlier statuses do not show which, a probe does: another status that was refused in the same request, sent alone.
"""

from collections.abc import Callable, Sequence
from typing import Literal

from btcore import Reject, Stop
from btmon_pvoutput.answers import Implausible, NightGeneration
from btmon_pvoutput.direction import REAL_POWER
from btmon_pvoutput.status import Status

Night = Literal["stop", "leave-out"]
"""When generation at night is refused: `stop` the sink, or `leave-out` the generation."""

_SIZE_ADVICE = "check the system's size on pvoutput.org, and that `generation` measures the panels alone"


class PlausibilityPolicy:
    """Decides whether an implausible status stops the sink or is rejected.

    `zone` describes the time zone of the statuses. `send` sends a status by itself, and raises as `refused_slots`.
    """

    def __init__(self, zone: str, night: Night, send: Callable[[Status], object]) -> None:
        """Begin without any status stored."""
        self._zone = zone
        self._night = night
        self._send = send
        self._has_generated = False
        self._has_measured = False
        self._refused_together: Sequence[Status] = ()

    def note_stored(self, statuses: Sequence[Status]) -> None:
        """Note that statuses were stored: real power in one shows that the settings are right, at that hour."""
        self._has_generated = self._has_generated or any(status.generated >= REAL_POWER for status in statuses)
        self._has_measured = self._has_measured or any(status.power >= REAL_POWER for status in statuses)

    def resolve(self, statuses: Sequence[Status], error: Implausible) -> None:
        """Raise Stop where the settings are wrong, Reject where a status is; return where it was sent, reduced.

        Of several statuses, Reject means that the core halves them.
        """
        if len(statuses) > 1:
            if statuses[0] not in self._refused_together:
                self._refused_together = statuses
            raise Reject(str(error))
        resolve = self._resolve_night if isinstance(error, NightGeneration) else self._resolve_size
        resolve(statuses[0], error)

    def _resolve_night(self, status: Status, error: Implausible) -> None:
        if self._night == "leave-out":
            if status.without_generation is None:
                raise Reject(f"{error}; the status has nothing but generation")
            self._send(status.without_generation)
            return
        # with a wrong zone the first few watts of a dawn are refused before any status that would show it
        probe = next((other for other in self._after(status) if other.generated >= REAL_POWER), None)
        if status.generated >= REAL_POWER or not self._is_setup_right(
            probe, NightGeneration, known=self._has_generated
        ):
            raise self._stop(status, error)
        raise Reject(
            f'{error}; {status.generated} W may be what the inverter itself uses or feeds in: night = "leave-out" sends'
            " such a status without generation"
        )

    def _resolve_size(self, status: Status, error: Implausible) -> None:
        others = [other for other in self._refused_together if other != status and other.power >= REAL_POWER]
        probe = min(others, key=lambda other: other.power, default=None) if status in self._refused_together else None
        if not self._has_measured and not self._is_setup_right(probe, Implausible, known=False):
            raise self._stop(status, error)
        raise Reject(f"{error}; {_SIZE_ADVICE}, if more of them are refused")

    def _after(self, status: Status) -> Sequence[Status]:
        """Return the statuses after this one that were refused together with it."""
        return (
            []
            if status not in self._refused_together
            else self._refused_together[self._refused_together.index(status) + 1 :]
        )

    def _is_setup_right(self, probe: Status | None, kind: type[Implausible], *, known: bool) -> bool:
        """Whether the settings are right: send the probe to find out; without one, return what is known."""
        if probe is None:
            return known
        try:
            self._send(probe)
        except Implausible as error:
            return known and type(error) is not kind
        return True

    def _stop(self, status: Status, error: Implausible) -> Stop:
        if not isinstance(error, NightGeneration):
            return Stop(f"{error}; {_SIZE_ADVICE}: nothing with real power was taken yet")
        return Stop(
            f"{error}; check `zone` first: {status.generated} W at {' '.join(status.slot)} would be at night there, and"
            f" {self._zone}. If that is the time zone of the system on pvoutput.org, check `generation` and"
            ' `generation_direction`; where a battery or the inverter itself feeds in at night, night = "leave-out"'
        )
