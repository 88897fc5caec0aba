"""What is done where PVOutput does not believe a status: that it was generated at night, or that it was so much.

The zone, the channel or the system's size may be to blame, and then every status is refused that has something to say:
the sink stops before that costs any. Or the status is to blame: an inverter's few watts, a number that cannot be. Of
several that were refused together, which of them was is not known: one that tells is sent by itself.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
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

    def taken(self, statuses: Sequence[Status]) -> None:
        """Note that statuses were stored: what has real power shows that the set-up is right, at that hour at least."""
        self._has_generated = self._has_generated or any(status.generated >= REAL for status in statuses)
        self._has_measured = self._has_measured or any(status.power >= REAL for status in statuses)

    def settle(self, statuses: Sequence[Status], error: Disbelieved) -> None:
        """Raise Stop where the set-up is to blame, Reject where a status is; or return when it was sent otherwise.

        Of several statuses Reject means that they are to be halved.
        """
        if len(statuses) == 1:
            settle = self._settle_night if isinstance(error, AtNight) else self._settle_size
            settle(statuses[0], error)
            return
        telling = self._telling(statuses, error)
        if telling is not None:
            self._ask(telling, type(error))
        raise Reject(str(error))

    def _ask(self, status: Status, kind: type[Disbelieved]) -> None:
        try:
            self._send(status)
        except Disbelieved as error:
            if type(error) is kind:
                raise self._stop(status, error) from None

    def _telling(self, statuses: Sequence[Status], error: Disbelieved) -> Status | None:
        """Return the status that tells whether the set-up is to blame; None where none does, or it is known."""
        real = [status for status in statuses if status.power >= REAL]
        if not isinstance(error, AtNight):
            return None if self._has_measured else min(real, key=lambda status: status.power, default=None)
        if self._night != "stop":
            return None
        generating = [status for status in statuses if status.generated]
        # at the wrong hour of a dawn the first few watts are refused before anything that tells
        dawn = (later for few, later in pairwise(generating) if few.generated < REAL <= later.generated)
        return next(dawn, next((status for status in generating if status.generated >= REAL), None))

    def _settle_night(self, status: Status, error: Disbelieved) -> None:
        if self._night == "leave-out":
            if status.without_generation is None:
                raise Reject(f"{error}; there is nothing in it but generation") from None
            self._send(status.without_generation)
        elif status.generated >= REAL or not self._has_generated:
            raise self._stop(status, error) from None
        else:
            raise Reject(
                f'{error}; {status.generated} W may be what the inverter itself uses or feeds in: night = "leave-out"'
                " sends such a status without generation"
            ) from None

    def _settle_size(self, status: Status, error: Disbelieved) -> None:
        if not self._has_measured:
            raise self._stop(status, error) from None
        raise Reject(f"{error}; {_SIZE}, if more of them are refused") from None

    def _stop(self, status: Status, error: Disbelieved) -> Stop:
        if not isinstance(error, AtNight):
            return Stop(f"{error}; {_SIZE}: nothing with real power was taken yet")
        return Stop(
            f"{error}; check `zone` first: {status.generated} W at {' '.join(status.slot)} would be at night there, and"
            f" {self._zone}. If that is the time zone of the system on pvoutput.org, check `generation` and"
            ' `generation_direction`; where a battery or the inverter itself feeds in at night, night = "leave-out"'
        )
