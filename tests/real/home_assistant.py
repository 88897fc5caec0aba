# SPDX-License-Identifier: GPL-3.0-or-later
"""A real Home Assistant (`nox -s homeassistant`): entities by MQTT, and statistics, whatever happens to a meter.

No `test_` in the name of this file: it is not among what a run of all tests collects.
"""

import logging
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import attrs
import pytest
from helpers.journal_entries import entries_of
from helpers.metered_house import CHANNELS, HOUSE, batch_of, house_reading, house_readings
from helpers.needed import needs
from helpers.running_sink import RunningSink, deliver_all
from servers.mosquitto import MISSING as NO_BROKER
from servers.mosquitto import Mosquitto
from servers.real_home_assistant import MISSING, RealHomeAssistant

from btcore import Batch, ChannelRef, Context, DiagnosisContext, Duration, Secret
from btcore.journal.opening import DEFAULT, open_journal
from btcore.testing import wait_for
from btmon_home_assistant.sink import HomeAssistant
from btmon_mqtt.sink import Mqtt

pytestmark = [pytest.mark.servers, needs(MISSING), needs(NO_BROKER), pytest.mark.timeout(600)]

HOUR, DAY = 3600, 86_400
DEVICE = f"sensor.greeneye_monitor_{HOUSE}_"
IMPORT = f"btcore:{HOUSE}_ch1_import"
SUN = f"btcore:{HOUSE}_ch2_export"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealHomeAssistant]:
    """Run one for all tests."""
    with RealHomeAssistant(tmp_path_factory.mktemp("home")) as running:
        yield running


def context() -> Context:
    """Return what a sink is opened with."""
    names = {key: one.name for key, one in CHANNELS.items()}
    return Context("sink.ha", logging.getLogger("sink.ha"), channels=names, channel_descriptions=CHANNELS)


def history(home: RealHomeAssistant, channels: Sequence[ChannelRef] = ()) -> HomeAssistant:
    """Open a sink that writes statistics."""
    sink = HomeAssistant(url=home.url, token=Secret(home.token), timeout=Duration(60), channels=list(channels))
    sink.open(context())
    return sink


def batch(start: int, end: int, serial: str, every: int = 300) -> Batch:
    """Make a batch of a house's meter with a serial number of its own."""
    return batch_of(house_readings(start, end, every, serial))


def test_history_is_in_the_energy_dashboard(home: RealHomeAssistant) -> None:
    """What was written is taken as source of the Energy dashboard, without a fault, hour by hour and day by day."""
    history(home).process_batch(batch(0, 3 * DAY, HOUSE))
    home.ask(
        "energy/save_prefs",
        energy_sources=[
            {
                "type": "grid",
                "flow_from": [_flow("from", IMPORT, "cost")],
                "flow_to": [_flow("to", IMPORT.replace("import", "export"), "compensation")],
                "cost_adjustment_day": 0,
            },
            {"type": "solar", "stat_energy_from": SUN, "config_entry_solar_forecast": None},
            {"type": "water", "stat_energy_from": f"btcore:{HOUSE}_p1", **_price("cost")},
        ],
    )
    faults = home.ask("energy/validate")
    assert not any(found for part in faults.values() for found in part), faults
    assert not home.ask("recorder/validate_statistics")
    hours, days = home.energies(SUN), home.energies(SUN, "day")
    assert hours[1:-1] == pytest.approx([0.5] * 71, abs=2e-6)
    assert sum(hours) == pytest.approx(36, abs=1e-4)
    assert days[1:-1] == pytest.approx([12, 12], abs=1e-4)


def _flow(way: str, statistic_id: str, money: str) -> dict[str, object]:
    return {f"stat_energy_{way}": statistic_id, **_price(money)}


def _price(money: str) -> dict[str, object]:
    return {f"stat_{money}": None, "entity_energy_price": None, "number_energy_price": None}


@pytest.mark.parametrize("days", [2, 500])
def test_older_history_goes_before_what_is_there(home: RealHomeAssistant, days: int) -> None:
    """What is written later and is older, even by more than a year, shifts what follows: no step is negative."""
    serial = f"01001{days:03}"
    live, old = history(home), history(home)
    live.process_batch(batch(days * DAY, days * DAY + HOUR, serial))
    old.process_batch(batch(0, 6 * HOUR, serial))
    old.process_batch(batch(6 * HOUR, 12 * HOUR, serial))
    live.process_batch(batch(days * DAY + HOUR, days * DAY + 2 * HOUR, serial))
    steps = home.energies(f"btcore:{serial}_ch1_import")
    assert min(steps) >= 0
    assert sum(steps) == pytest.approx(0.8 * (24 * days + 2), abs=1e-5)


def test_a_restart_a_reset_and_a_gap(home: RealHomeAssistant, tmp_path: Path) -> None:
    """Over a killed Home Assistant, a meter that begins at zero and a day's gap no hour is lost and none negative."""
    serial = "01002000"
    journal = open_journal(DEFAULT, tmp_path)

    def append(start: int, end: int, since: int = 0) -> None:
        begun = 0 if since else 3_600_000_000
        readings = [house_reading(at, serial, since, begun) for at in range(start, end + 1, 300)]
        journal.append(entries_of(readings))

    append(0, 5 * HOUR)
    deliver_all(journal, history(home), interval=300)
    home.kill()
    with RunningSink(journal, history(home), settings={"interval": Duration(300)}) as running:
        append(5 * HOUR + 300, 9 * HOUR)
        wait_for(lambda: running.worker.is_failing, "a failure")
        home.start()
        running.finish()
    append(9 * HOUR + 300, 12 * HOUR, since=9 * HOUR)
    append(36 * HOUR, 40 * HOUR, since=9 * HOUR)
    deliver_all(journal, history(home), interval=300)
    journal.close()
    steps = home.energies(f"btcore:{serial}_ch1_import")
    assert len(steps) == 41
    assert min(steps) > 0
    assert steps[1:-1] == pytest.approx([0.8] * 39, abs=1e-5)


def test_a_year(home: RealHomeAssistant) -> None:
    """A year of hourly rows is written in batches, and read back month by month."""
    serial, sink = "01003000", history(home, [ChannelRef("", "ch2")])
    begun = -365 * DAY
    for start in range(begun, 0, 73 * DAY):
        times = range(start, start + 73 * DAY + 1, 6 * HOUR)
        sink.process_batch(batch_of(house_reading(at, serial, since=begun, begun=0) for at in times))
    months = home.energies(f"btcore:{serial}_ch2_export", "month")
    assert len(months) == 13
    assert sum(months) == pytest.approx(365 * 12, abs=0.1)
    assert min(months) > 0
    assert max(months[1:-1]) < 31 * 12 + 1


def test_a_wrong_token_and_a_user_without_rights(home: RealHomeAssistant) -> None:
    """What the doctor finds with the real one is what it finds with the documented one."""
    sink = history(home)
    assert not list(sink.diagnose(DiagnosisContext(name="sink.ha")))
    wrong = HomeAssistant(url=home.url, token=Secret("wrong"))
    (found,) = wrong.diagnose(DiagnosisContext(name="sink.ha"))
    assert (found.code, "refuses the token" in found.text) == ("credentials", True)


def test_entities_by_mqtt(home: RealHomeAssistant, tmp_path: Path) -> None:
    """Every channel is an entity with class and unit, and over restarts, a reset and a day's gap no energy falls."""
    journal = open_journal(DEFAULT, tmp_path)
    shown: list[dict[str, float]] = []
    present = datetime.now(UTC)  # the first state of a meter is one of the present

    def run(mosquitto: Mosquitto, start: int, end: int, since: int = 0) -> None:
        """Run btcore while a meter sends; note what Home Assistant shows then."""
        running = RunningSink(journal, Mqtt(host="127.0.0.1", port=mosquitto.port, homeassistant=True))
        running.worker._context = context()
        begun = 0 if since else 3_600_000_000
        with running:
            times = range(start, end + 1, 300)
            sent = [house_reading(at, HOUSE, since, begun) for at in times]
            readings = [
                attrs.evolve(one, time=present + timedelta(seconds=at)) for at, one in zip(times, sent, strict=True)
            ]
            journal.append(entries_of(readings))
            wait_for(lambda: len(energies(home)) == 4 and energies(home) not in shown, "the states")
            shown.append(energies(home))

    with Mosquitto(tmp_path) as mosquitto:
        home.add_mqtt(mosquitto.port)
        run(mosquitto, 0, HOUR)
        about = entities(home)
        run(mosquitto, HOUR + 300, 2 * HOUR)
        run(mosquitto, 2 * HOUR + 300, 3 * HOUR, since=2 * HOUR)
        mosquitto.stop()
        mosquitto.start()
        run(mosquitto, DAY, DAY + HOUR, since=2 * HOUR)
        home.stop()
        home.start()
        run(mosquitto, DAY + HOUR + 300, DAY + 2 * HOUR, since=2 * HOUR)
    journal.close()
    assert about == {
        "voltage": ("voltage", "measurement", "V"),
        "grid_power": ("power", "measurement", "W"),
        "grid_energy_imported": ("energy", "total_increasing", "kWh"),
        "grid_energy_exported": ("energy", "total_increasing", "kWh"),
        "grid_energy_net": ("energy", "total", "kWh"),
        "solar_power": ("power", "measurement", "W"),
        "solar_energy_exported": ("energy", "total_increasing", "kWh"),
        "solar_energy_net": ("energy", "total", "kWh"),
        "water": ("water", "total_increasing", "L"),
        "t1_temperature": ("temperature", "measurement", "°C"),
    }
    solar = [one["solar_energy_exported"] for one in shown]
    assert solar == pytest.approx([0.5, 1.0, 1.5, 12.5, 13.0], abs=2e-6)
    assert all(after[key] > before[key] for before, after in pairwise(shown) for key in before)
    assert all("connection was lost" in line for line in home.warnings("mqtt", "sensor", "btcore"))


def entities(home: RealHomeAssistant) -> dict[str, tuple[str, ...]]:
    """Return what the entities of the meter are: their classes and their units, by the ends of their ids."""
    keys = ("device_class", "state_class", "unit_of_measurement")
    found = home.states(DEVICE)
    return {name: tuple(one["attributes"].get(key, "") for key in keys) for name, one in found.items()}


def energies(home: RealHomeAssistant) -> dict[str, float]:
    """Return the counters that are shown."""
    found = home.states(DEVICE).items()
    rising = [(name, one) for name, one in found if one["attributes"].get("state_class") == "total_increasing"]
    return {name: float(one["state"]) for name, one in rising if one["state"][0].isdigit()}
