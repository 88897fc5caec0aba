# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings: the README's tables are valid, every mistake is found, and no text shows a secret."""

import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers.configured_sink import sink_from_toml
from helpers.influxdb_sinks import recorded_batch, settings_for
from helpers.line_protocol import read_lines
from servers.influxdb_api import TOKEN, InfluxDB2
from servers.time_series_servers import InfluxDB, VictoriaMetrics, fetch, post

from btcore import BtcoreError, ChannelRef, Context, DiagnosisContext, Secret
from btcore.config.load import load_site
from btcore.errors import ConfigurationError
from btcore.testing import HostedService, Reply, Request, wait_for
from btmon_influxdb.sink import InfluxDB as Sink

Opened = Callable[..., Sink]
HERE = Path(__file__).parents[1]
README = (HERE / "README.md").read_text("utf-8")
SAMPLE = (HERE / "sample.toml").read_text("utf-8")
TABLES = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
SOURCE = '[source.file]\nuse = "simulator"\n\n'


def problems(table: str, folder: Path) -> str:
    """Return what is wrong with the settings of a sink."""
    with pytest.raises(ConfigurationError) as caught:
        sink_from_toml(folder, f"[sink.influxdb]\n{table}")
    return str(caught.value)


def test_the_tables_of_the_readme_are_valid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the tokens in the environment they are one configuration; the first is the sample."""
    for name in ("INFLUXDB_TOKEN", "INFLUXDB3_TOKEN"):
        monkeypatch.setenv(name, TOKEN)
    (tmp_path / "site.toml").write_text(SOURCE + "\n".join(TABLES))
    assert [sink.table for sink in load_site(tmp_path / "site.toml").sinks] == [
        "sink.influxdb",
        "sink.influxdb2",
        "sink.influxdb3",
        "sink.victoriametrics",
    ]
    assert TABLES[0] == SAMPLE


def test_what_is_commented_out_in_the_sample_is_valid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every line works without its #."""
    monkeypatch.setenv("INFLUXDB_PASSWORD", "secret")
    monkeypatch.chdir(tmp_path)
    Path("ca.pem").touch()
    (tmp_path / "site.toml").write_text(SOURCE + re.sub(r"^# (?=\w+ = )", "", SAMPLE, flags=re.MULTILINE))
    (sink,) = load_site(tmp_path / "site.toml").sinks
    assert isinstance(sink.instance, Sink)
    assert (sink.instance.user, sink.instance.ssl_ca) == ("btcore", tmp_path / "ca.pem")


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ('database = "a"\ntoken = "x"', 'token: is not used with server = "influxdb-1"'),
        ('server = "influxdb-2"\nbucket = "a"', 'org: is needed with server = "influxdb-2"'),
        ('server = "influxdb-2"\ndatabase = "a"', "database: is not used"),
        ('server = "influxdb-3"\nuser = "a"\ndatabase = "a"', "user: is not used"),
        ('server = "victoriametrics"\nuser = "a"\ntoken = "x"', "not both"),
        ('server = "influxdb-4"\ndatabase = "a"', "influxdb-3"),
        ('database = "a"\npassword = "x"', "user: is needed with a password"),
        ('database = "a"\nuser = "u"\npassword = "x\\ny"', "password: "),
        ('database = "a"\nurl = "localhost:8086"', "url: expected an address"),
        ('database = "a"\nurl = "http://u:pw@localhost"', "url: expected an address without a user name"),
        ('database = "a"\nurl = "http://[bad"', "url: expected an address"),
        ('database = "a"\nmeasurement = "#energy"', "measurement: expected a name"),
        ('database = "a"\nmode = "row"', "mode: "),
        ('database = "a"\nschema = "counters"\ninclude_current = true', "include_current: "),
        ('database = "a"\ntags = { serial = "x" }', 'tags: "serial" cannot be the name of a tag'),
        ('database = "a"\nmap = { ch1 = "time" }', 'map: "time" cannot be the name of a channel'),
        ('schema = "counters"\nmap = { ch1_aws = "x", volts = "x" }', 'map: 2 values of one meter would be "x"'),
        ('database = "a"\nmap = { chx = "x" }', "map.chx: no such channel"),
        ('database = "a"\nssl_ca = "none.pem"', "ssl_ca: there is no file"),
        ('database = "a"\ntimeout = "0"', "timeout: expected more than 0 s"),
    ],
)
def test_a_mistake_is_named(table: str, told: str, tmp_path: Path) -> None:
    """What does not fit is reported with its key, before anything runs."""
    found = problems(table, tmp_path)
    assert (told in found, "mistake in the plugin" in found) == (True, False), found


def test_an_influxdb_on_this_computer_needs_no_setting(tmp_path: Path) -> None:
    """Where no database is named, it is `energy`; a VictoriaMetrics gets no label then."""
    assert str(Sink()._target()) == "database energy"
    assert Sink(server="victoriametrics")._target().params == {}
    sink_from_toml(tmp_path, "[sink.influxdb]\n")


def test_two_sinks_that_would_overwrite_each_other_are_found(tmp_path: Path) -> None:
    """The same series of the same database is for one sink; another measurement or tag makes it another series."""
    one, other = (f'[sink.{name}]\nuse = "influxdb"\ndatabase = "a"\n' for name in ("one", "other"))
    (tmp_path / "site.toml").write_text(SOURCE + one + other)
    with pytest.raises(ConfigurationError, match="series energy"):
        load_site(tmp_path / "site.toml")
    (tmp_path / "site.toml").write_text(SOURCE + one + other + 'interval = "1h"\ntags = { of = "hour" }\n')
    assert len(load_site(tmp_path / "site.toml").sinks) == 2


def test_a_server_of_ones_own_is_not_hosted() -> None:
    """What simulated meters send is written to a server at home, and to none on the Internet."""
    assert not Sink(url="http://nas.local:8086", database="a").hosted
    assert Sink(url="https://eu-central-1-1.aws.cloud2.example.com", database="a").hosted


def test_a_map_chooses_and_names_channels(influxdb2: InfluxDB2, opened: Opened) -> None:
    """With a map the channels in it are written, under its names, and of other meters nothing."""
    names = {ChannelRef("312345", "ch1"): "mains", ChannelRef("", "aux1"): ""}
    sink = opened(**settings_for(influxdb2, map=names))
    assert sink.process_batch(recorded_batch()) == len(recorded_batch().samples)
    written = {(dict(tags)["channel"], dict(tags)["name"]) for _, tags, _ in influxdb2.points}
    assert written == {("ch1", "mains"), ("aux1", "aux1")}
    assert sink.process_batch(recorded_batch("gem48ptbin_steady")) == 0


def test_short_serial_numbers_are_short_everywhere(influxdb2: InfluxDB2, opened: Opened) -> None:
    """With `serials = "short"` no complete serial number leaves the house, not in the name of a channel either."""
    lines = opened(**settings_for(influxdb2, serials="short")).preview_batch(recorded_batch())
    assert {(line.tags["serial"], line.tags["name"]) for line in read_lines("\n".join(lines))} >= {
        ("XXX345", "XXX345_ch1")
    }
    assert not [line for line in lines if "312345" in line]


@pytest.mark.parametrize("code", [200, 400, 401, 403, 404, 413, 422, 429, 500])
def test_no_text_shows_a_secret(code: int, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever a server answers, even what it was sent, neither an error nor the log nor a finding has the token."""

    def echo(came: Request) -> Reply:
        return Reply(code, f"partial write: {came.headers['authorization']} {TOKEN} dropped=1")

    texts = []
    with HostedService(echo) as server:
        own: dict[str, Any] = {"server": "influxdb-2", "org": "home", "bucket": "energy", "token": Secret(TOKEN)}
        sink = Sink(url=server.url, **own)
        texts += [str(found) for found in sink.diagnose(DiagnosisContext(name="sink.test"))]
        sink.open(Context("sink.test", logging.getLogger("sink.test")))
        try:
            sink.process_batch(recorded_batch())
        except BtcoreError as error:
            texts.append(str(error))
        sink.close()
    texts += [repr(sink), caplog.text, *sink.preview_batch(recorded_batch())]
    assert not [text for text in texts if TOKEN in text]


QUERIES = {language: re.findall(rf"```{language}\n(.*?)\n```", README, re.DOTALL) for language in ("sql", "promql")}
HOUR = 3_600_000_000
NOW = 1_700_000_000_000_000


def hours(count: int) -> str:
    """Return the points of a load of 500 W, an hour apart, up to NOW."""
    point = "energy,channel=ch1,serial=readme wh_import={:.1f} {:d}\n"
    return "".join(point.format(hour * 500, NOW - (count - hour) * HOUR) for hour in range(count + 1))


@pytest.mark.servers
def test_the_query_of_the_readme_works_in_influxdb(influxdb: InfluxDB, house: str) -> None:
    """It gives the kWh of each day."""
    influxdb.query(f'CREATE DATABASE "{house}"')
    post(f"{influxdb.url}/write?db={house}&precision=u", hours(240))
    (query,) = QUERIES["sql"]
    (found,) = influxdb.query(query.replace("now()", f"{NOW}u"), house)
    assert {round(row[1], 9) for row in found["values"][1:-1]} == {12.0}


@pytest.mark.servers
def test_the_query_of_the_readme_works_in_victoriametrics(victoria: VictoriaMetrics) -> None:
    """It gives the kWh of the last day."""
    post(f"{victoria.url}/api/v2/write?precision=us", hours(48))
    victoria.export()
    (query,) = QUERIES["promql"]
    query = query.replace("{", '{serial="readme",')
    wait_for(lambda: '"12"' in fetch(f"{victoria.url}/api/v1/query", {"query": query, "time": str(NOW // 1_000_000)}))
