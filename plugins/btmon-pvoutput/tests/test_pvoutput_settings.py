# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings: what is refused, what addresses may look like, what the sample shows, and what fits no meter."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
import tomli

from btcore import API, Batch, ChannelRef, Duration, Sample, Secret, Stop
from btcore.cli.init import site_text
from btcore.config.load import load_site
from btcore.discovery import installed
from btmon_pvoutput import address
from btmon_pvoutput.sink import PVOutput

MakeSink = Callable[..., PVOutput]
MakeSample = Callable[..., Sample]
HERE = Path(__file__).parents[1]


def problems(**settings: Any) -> list[str]:  # noqa: ANN401 - settings have many types
    """Return what is wrong with these settings, as `key: message`."""
    given: dict[str, Any] = {
        "api_key": Secret("k3y"),
        "system_id": "12345",
        "generation": ChannelRef("399999", "ch1"),
    } | settings
    return [f"{problem.key}: {problem.message}" for problem in PVOutput(**given).check()]


def test_good_settings_have_no_problem() -> None:
    """What the README shows is accepted, and blanks around key and number are not minded."""
    assert problems() == []
    assert problems(consumption=ChannelRef("", "aux2"), temperature=ChannelRef("1", "t8"), system_id=" 1 ") == []
    assert problems(grid=ChannelRef("399999", "ch2"), api_key=Secret("k3y\n")) == []


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"generation": None}, "nothing to send"),
        (
            {"generation": ChannelRef("399999", "ch1_w")},
            "generation: 399999_ch1_w is not such a channel",
        ),
        ({"consumption": ChannelRef("", "t1")}, "consumption: t1 is not such a channel"),
        ({"grid": ChannelRef("", "volts")}, "grid: volts is not such a channel"),
        (
            {"temperature": ChannelRef("", "ch1")},
            "ch1 is not such a channel: expected one such as 01000010_t1",
        ),
        ({"grid": ChannelRef("", "ch1"), "consumption": ChannelRef("", "ch2")}, "grid: give consumption or grid"),
        ({"grid": ChannelRef("", "ch1"), "generation": None}, "grid: needs generation"),
        ({"api_key": Secret("")}, "api_key: expected the key"),
        ({"api_key": Secret("two words")}, "api_key: expected the key"),
        ({"api_key": Secret("schlüssel")}, "api_key: expected the key"),
        ({"system_id": "roof"}, "system_id: expected the system's number"),
        ({"system_id": "१२"}, "system_id: expected the system's number"),
        ({"url": "pvoutput.org"}, "url: expected an address such as https://"),
        ({"url": "ftp://pvoutput.org"}, "url: expected an address"),
        ({"url": "http://[::1"}, "url: expected an address"),
        ({"url": "http://host:99999"}, "url: expected an address"),
        ({"url": "https://me:secret@host/"}, "url: expected an address without a user name and password"),
        ({"url": "http://pvoutput.org/service/r2/addstatus.jsp"}, "url: write https"),
        ({"url": "http://api.pvoutput.org"}, "url: write https"),
    ],
)
def test_a_mistake_is_told_with_its_key_and_what_was_expected(settings: dict[str, Any], expected: str) -> None:
    """Each mistake has one message."""
    (message,) = problems(**settings)
    assert expected in message


def test_all_mistakes_are_told_at_once() -> None:
    """Nobody starts the program once for each mistake."""
    assert len(problems(api_key=Secret(""), system_id="", url="", generation=None)) == 4


@pytest.mark.parametrize("zone", ["Mars/Olympus", "America", "../../etc/passwd", "/etc/localtime"])
def test_a_zone_must_be_the_name_of_one(zone: str) -> None:
    """Only names of the time zone database are zones."""
    with pytest.raises(ValueError, match="expected the name of a time zone"):
        PVOutput(api_key=Secret("k"), system_id="1", zone=zone)


def test_the_timeout_must_be_one() -> None:
    """Waiting for no time at all is no way to wait."""
    with pytest.raises(ValueError, match="more than 0 s"):
        PVOutput(api_key=Secret("k"), system_id="1", timeout=Duration(0))


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (address.DEFAULT, "https://pvoutput.org/service/r2/"),
        ("https://pvoutput.org/service/r2", "https://pvoutput.org/service/r2/"),
        ("https://pvoutput.org/service/r2/addstatus.jsp", "https://pvoutput.org/service/r2/"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080/service/r2/"),
        ("http://127.0.0.1:8080/", "http://127.0.0.1:8080/service/r2/"),
        (" http://proxy/pv/ ", "http://proxy/pv/"),
        ("http://proxy/pv/addbatchstatus.jsp?x=1#y", "http://proxy/pv/"),
    ],
)
def test_an_address_may_be_the_service_s_a_page_s_or_a_bare_host(url: str, expected: str) -> None:
    """The pages are found below it in each case."""
    assert address.base_url(url) == expected


@pytest.mark.parametrize(
    ("url", "hosted"), [(address.DEFAULT, True), ("http://127.0.0.1:8080", False), ("http://pv.lan/service/r2/", False)]
)
def test_it_is_hosted_where_its_address_is_public(url: str, hosted: bool) -> None:
    """The service itself gets only what is live; a server of one's own gets everything."""
    assert PVOutput(api_key=Secret("k"), system_id="1", url=url).hosted is hosted


@pytest.mark.parametrize("interval", [0, 60, 299, 330])
def test_an_interval_that_pvoutput_has_not_stops_the_sink(make_sink: MakeSink, interval: float) -> None:
    """Statuses are of whole minutes, 5 at least; the message tells what to set."""
    with pytest.raises(Stop, match=r'set interval = "5m"'):
        make_sink(interval=interval)


def test_closing_what_was_never_opened_is_no_error() -> None:
    """The core closes also where opening failed."""
    PVOutput(api_key=Secret("k"), system_id="1").close()


def test_the_plugin_states_its_interface_and_the_service_s_limits() -> None:
    """The defaults keep within what PVOutput allows everybody; how old a status may be is left to it to say."""
    delivery = PVOutput.delivery  # type: ignore[attr-defined]
    assert PVOutput.btcore_api == API  # type: ignore[attr-defined]
    assert (delivery.interval, delivery.batch_size, delivery.max_calls_per_hour) == (300, 30, 60)
    assert delivery.max_backlog_age == 0


def test_the_service_is_spoken_to_over_https_unless_told_otherwise() -> None:
    """Deviation from btmon, which sent the key over plain http."""
    assert PVOutput(api_key=Secret("k"), system_id="1").url.startswith("https://")


SOURCE = '[source.panel]\nuse = "file"\npath = "capture"\n'


def loaded(folder: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> PVOutput:
    """Load a configuration that has this sink alone, with its key where it looks for it."""
    monkeypatch.setenv("PVO_KEY", "k3y")
    (folder / "site.toml").write_text(text)
    (sink,) = load_site(folder / "site.toml").sinks
    assert isinstance(sink.instance, PVOutput)
    return sink.instance


def test_the_sample_loads_and_the_readme_shows_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the README tells to write has no mistake."""
    sample = (HERE / "sample.toml").read_text()
    assert sample in (HERE / "README.md").read_text()
    sink = loaded(tmp_path, SOURCE + sample, monkeypatch)
    assert (str(sink.generation), str(sink.consumption)) == ("399999_ch1", "399999_ch2")


def test_what_the_sample_has_switched_off_are_settings_too() -> None:
    """Every key of the sample is a setting of the sink or of its delivery."""
    (table,) = tomli.loads((HERE / "sample.toml").read_text().replace("\n# ", "\n"))["sink"].values()
    delivery = PVOutput.delivery  # type: ignore[attr-defined]
    settings: Any = PVOutput
    known = {"use", *attrs.fields_dict(settings), *attrs.fields_dict(type(delivery))}
    assert set(table) - known == set()


def test_what_init_writes_has_no_mistake_with_everything_switched_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever takes away the # of every setting has a sink that works: with a channel to send."""
    among = {name: found for name, found in installed().items() if name in ("pvoutput", "file", "brultech")}
    text = re.sub(r"(?m)^#(?=\S)", "", site_text(["pvoutput", "file"], among))
    sink = loaded(tmp_path, text, monkeypatch)
    assert (str(sink.generation), sink.generation_direction) == ("399999_ch1", "auto")


def test_listing_the_plugin_imports_no_http_library() -> None:
    """`btcore plugins` shows the settings without the time and memory of requests."""
    code = "import sys, btmon_pvoutput.sink; sys.exit('requests' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def mismatches(sink: PVOutput, caplog: pytest.LogCaptureFixture, *samples: Sample) -> list[str]:
    """Return what a sink warns of when it is given these samples twice."""
    for _ in range(2):
        list(sink.preview_batch(Batch(samples=samples)))
    return [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]


def test_a_channel_that_the_meter_has_not_is_told_once(
    make_sink: MakeSink, make_sample: MakeSample, caplog: pytest.LogCaptureFixture
) -> None:
    """A mistyped channel would otherwise mean that nothing is ever sent, without a word."""
    sink = make_sink(generation=ChannelRef("399999", "ch7"))
    assert mismatches(sink, caplog, make_sample(serial="399999", format="ecm1240bin")) == [
        "generation: meter 399999 has no ch7; it has ch1, ch2, aux1, aux2, aux3, aux4, aux5"
    ]


def test_a_fixed_direction_in_which_nothing_ever_flowed_is_told_once(
    make_sink: MakeSink, make_sample: MakeSample, caplog: pytest.LogCaptureFixture
) -> None:
    """Generation would stay 0, as the clamp is turned or the meter does not tell directions apart."""
    sample = make_sample(ch2_pwh=4_000_000.0, ch2_nwh=0.0, ch2_pw=1500.0, ch2_nw=0.0)
    (mismatch,) = mismatches(make_sink(generation_direction="export"), caplog, sample)
    assert mismatch.startswith('generation: meter 01000010 has never counted anything as "export" on ch2')
    assert mismatch.endswith("leave out generation_direction")


def test_a_meter_that_fits_is_no_reason_to_warn(
    make_sink: MakeSink, make_sample: MakeSample, caplog: pytest.LogCaptureFixture
) -> None:
    """Other meters, both directions in use, and a new meter at zero are all fine."""
    sink = make_sink(consumption=ChannelRef("01000010", "ch1"))
    fine = make_sample(ch2_pwh=1.0, ch2_nwh=2.0, ch1_pwh=0.0, ch1_nwh=0.0)
    assert mismatches(sink, caplog, fine, make_sample(serial="399999", format="ecm1240bin")) == []
