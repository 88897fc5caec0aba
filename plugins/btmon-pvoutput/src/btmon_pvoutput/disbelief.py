"""What is done where PVOutput does not believe a status: that it was generated at night, or that it was so much.

The zone, the channel or the system's size may be to blame, and then every status is refused that has something to say:
the sink stops before that costs any. Or the status is to blame: an inverter's few watts, a number that cannot be. Where
what was taken before does not tell, another status does, which was refused together with it: it is sent by itself.
"""

from collections.abc import Callable, Sequence
from typing import Literal

from btcore import Reject, Stop
from btmon_pvoutput.direction import REAL
from btmon_pvoutput.replies import AtNight, Disbelieved
from btmon_pvoutput.status import Status

Night = Literal["stop", "leave-out"]
"""What is done with generation at night: `stop`, as the set-up is wrong; `leave-out`, as it is so there."""

_SIZE = "check the system's size on pvoutput.org, and that `generation` measures the panels alone"


class Disbelief:
    """Decides whether what is refused stops the sink or is set aside.

    `zone` tells what time zone the statuses are in. `send` sends a status by itself, and raises as `not_stored`.
    """

    def __init__(self, zone: str, night: Night, send: Callable[[Status], object]) -> None:
        """Begin with nothing taken."""
        self._zone = zone
        self._night = night
        self._send = send
        self._has_generated = False
        self._has_measured = False
        self._together: Sequence[Status] = ()

    def taken(self, statuses: Sequence[Status]) -> None:
        """Note that statuses were stored: what has real power shows that the set-up is right, at that hour at least."""
        self._has_generated = self._has_generated or any(status.generated >= REAL for status in statuses)
        self._has_measured = self._has_measured or any(status.power >= REAL for status in statuses)

    def settle(self, statuses: Sequence[Status], error: Disbelieved) -> None:
        """Raise Stop where the set-up is to blame, Reject where a status is; or return when it was sent otherwise.

        Of several statuses Reject means that they are to be halved.
        """
        if len(statuses) > 1:
            if statuses[0] not in self._together:
                self._together = statuses
            raise Reject(str(error))
        settle = self._settle_night if isinstance(error, AtNight) else self._settle_size
        settle(statuses[0], error)

    def _settle_night(self, status: Status, error: Disbelieved) -> None:
        if self._night == "leave-out":
            if status.without_generation is None:
                raise Reject(f"{error}; there is nothing in it but generation")
            self._send(status.without_generation)
            return
        # at the wrong hour of a dawn the first few watts are refused before anything that tells
        telling = next((other for other in self._after(status) if other.generated >= REAL), None)
        if status.generated >= REAL or not self._is_right(telling, AtNight, known=self._has_generated):
            raise self._stop(status, error)
        raise Reject(
            f'{error}; {status.generated} W may be what the inverter itself uses or feeds in: night = "leave-out" sends'
            " such a status without generation"
        )

    def _settle_size(self, status: Status, error: Disbelieved) -> None:
        others = [other for other in self._together if other != status and other.power >= REAL]
        telling = min(others, key=lambda other: other.power, default=None) if status in self._together else None
        if not self._has_measured and not self._is_right(telling, Disbelieved, known=False):
            raise self._stop(status, error)
        raise Reject(f"{error}; {_SIZE}, if more of them are refused")

    def _after(self, status: Status) -> Sequence[Status]:
        """Return the statuses after this one that were refused together with it."""
        return [] if status not in self._together else self._together[self._together.index(status) + 1 :]

    def _is_right(self, telling: Status | None, kind: type[Disbelieved], *, known: bool) -> bool:
        """Whether the set-up is right, by sending a status that tells; where there is none, what is known."""
        if telling is None:
            return known
        try:
            self._send(telling)
        except Disbelieved as error:
            return known and type(error) is not kind
        return True

    def _stop(self, status: Status, error: Disbelieved) -> Stop:
        if not isinstance(error, AtNight):
            return Stop(f"{error}; {_SIZE}: nothing with real power was taken yet")
        return Stop(
            f"{error}; check `zone` first: {status.generated} W at {' '.join(status.slot)} would be at night there, and"
            f" {self._zone}. If that is the time zone of the system on pvoutput.org, check `generation` and"
            ' `generation_direction`; where a battery or the inverter itself feeds in at night, night = "leave-out"'
        )
