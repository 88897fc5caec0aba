# SPDX-License-Identifier: GPL-3.0-or-later
"""The workspace's jobs: `nox` alone checks everything; `nox -s demo` shows the program at work without hardware."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import nox

nox.needs_version = ">=2025.2.9"
nox.options.sessions = ["lint", "typing", "docs", "tests", "wheels"]
nox.options.error_on_missing_interpreters = False

ROOT = Path(__file__).parent
PLUGINS = sorted(str(path.parent.relative_to(ROOT)) for path in ROOT.glob("plugins/*/pyproject.toml"))
PACKAGES = ["btcore", *PLUGINS]
TESTS = [f"{package}/tests" for package in PACKAGES] + ["tests"]
WORKSPACE = nox.project.load_toml(ROOT / "pyproject.toml")
CORE = nox.project.load_toml(ROOT / "btcore" / "pyproject.toml")
DEFAULT_SET = [f"plugins/{name}" for name in re.findall(r"\bbtmon-[\w-]+", " ".join(CORE["project"]["dependencies"]))]

CHAOS_SINKS = [f"plugins/btmon-{name}" for name in ("sql", "mysql", "influxdb", "services", "pvoutput")]

HOME_ASSISTANT = ["plugins/btmon-home-assistant", "plugins/btmon-mqtt"]

DEBIAN_PACKAGES = (
    *("rrdtool", "rrdcached", "librrd-dev", "python3-dev", "gcc"),
    *("mariadb-server", "postgresql", "mosquitto", "mosquitto-clients", "influxdb", "victoria-metrics", "prometheus"),
    *("openssl", "systemd", "libfaketime", "strace", "chromium", "tmux"),
)
"""The programs that tests start, and the headers that building RRDtool's Python binding needs."""

WORKERS = str(2 * (os.cpu_count() or 2))
"""Tests that run at once where servers are among them, which wait more than they compute; without, each computes."""


def tools(*groups: str) -> tuple[str, ...]:
    """Return what the workspace's dependency groups of these names list."""
    return nox.project.dependency_groups(WORKSPACE, *groups)


def install(session: nox.Session, *packages: str, groups: tuple[str, ...] = ()) -> None:
    """Install dependency groups and packages of the workspace.

    What builds a package comes first, once: pip would install it anew for each package, which takes four times as long.
    """
    session.install("--quiet", *tools("build", *groups))
    session.install("--quiet", "--no-build-isolation", *(f"./{package}" for package in packages))


def install_debian_packages(session: nox.Session) -> None:
    """Install the Debian packages that tests need and that are missing; without the right to, say the line that does.

    On a system without dpkg, or without this right, the tests that need one of them are skipped or fail by its name.
    """
    if shutil.which("dpkg-query") is None:
        session.log(f"this is not Debian: install the equivalents of {' '.join(DEBIAN_PACKAGES)}")
        return
    missing = [name for name in DEBIAN_PACKAGES if not is_installed(name)]
    if not missing:
        return
    install = ["apt-get", "install", "--yes", "--no-install-recommends", *missing]
    as_root = [] if os.geteuid() == 0 else ["sudo", "--non-interactive"]
    environment = {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}  # RUNLEVEL: start no server as a service
    if as_root and (shutil.which("sudo") is None or subprocess.run([*as_root, "true"], check=False).returncode):
        session.warn(f"tests need packages that are missing; as root, run: apt-get install {' '.join(missing)}")
        return
    settings = [f"{name}={value}" for name, value in environment.items()]
    session.run(*as_root, "apt-get", "update", "--quiet", external=True, silent=True, success_codes=range(256))
    session.run(*as_root, "env", *settings, *install, external=True, silent=True)


def is_installed(package: str) -> bool:
    """Whether a Debian package is installed."""
    query = ["dpkg-query", "--show", "--showformat=${db:Status-Status}", package]
    return subprocess.run(query, check=False, capture_output=True, text=True).stdout == "installed"


def keep_bytecode(session: nox.Session) -> None:
    """Have each module compiled once, whatever the environment says: tests start btcore hundreds of times."""
    session.env["PYTHONPYCACHEPREFIX"] = str(Path(session.cache_dir).resolve() / "bytecode")  # wherever a test runs
    session.env["PYTHONDONTWRITEBYTECODE"] = ""


def build(session: nox.Session) -> Path:
    """Build each package's sdist, and its wheel from that; install the wheels; return the folder of the archives."""
    session.install("--quiet", *tools("build"))
    archives = Path(session.create_tmp()) / "archives"
    shutil.rmtree(archives, ignore_errors=True)
    for package in PACKAGES:
        session.run("python", "-m", "build", "--no-isolation", "--outdir", str(archives), package, silent=True)
    session.install("--quiet", "--force-reinstall", *(str(path) for path in archives.glob("*.whl")))
    return archives


def check_sdists(session: nox.Session, archives: Path, *packages: str) -> None:
    """Unpack these packages' sdists, each alone, and run their tests that start nothing with the wheels installed."""
    session.install("--quiet", *tools("test", "build"))
    for package in packages:
        (sdist,) = archives.glob(f"{Path(package).name.replace('-', '_')}-*.tar.gz")
        session.run("python", "-m", "tarfile", "--extract", str(sdist), str(archives))
        with session.chdir(archives / sdist.name.removesuffix(".tar.gz")):
            session.run("pytest", "--numprocesses", "auto", "-m", "not servers")


@nox.session
def demo(session: nox.Session) -> None:
    """Run a simulated house and its last year into SQLite and the pages of the dashboard, until Ctrl-C."""
    install(session, "btcore", *DEFAULT_SET, "plugins/btmon-dashboard", "plugins/btmon-watch")
    session.run("btcore", "run", "--config", "demo.toml", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Look at the style of all code, and at the files that the forge and pre-commit read."""
    session.install("--quiet", *tools("lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("check-jsonschema", "--builtin-schema", "vendor.github-workflows", ".github/workflows/ci.yml")
    session.run("pre-commit", "validate-config", ".pre-commit-config.yaml")


@nox.session
def typing(session: nox.Session) -> None:
    """Check all types, strictly; test folders one by one, as they are no packages."""
    install(session, *PACKAGES, groups=("dev",))
    session.run("mypy")
    for folder in TESTS:
        if any((ROOT / folder).rglob("*.py")):
            session.run("mypy", folder)


@nox.session
def docs(session: nox.Session) -> None:
    """Build the manual as a site into build/manual: a broken link, or a page without a place, is an error."""
    install(session, *PACKAGES, groups=("docs",))
    # the theme's makers announce their next product at each build
    session.run("mkdocs", "build", "--quiet", "--strict", *session.posargs, env={"NO_MKDOCS_2_WARNING": "1"})


@nox.session
def tests(session: nox.Session) -> None:
    """Run all tests; `nox -s tests -- -m "not servers"` for those that start nothing."""
    install_debian_packages(session)
    install(session, *PACKAGES, groups=("test",))
    # without the headers this cannot be built: the tests that need it are skipped then, and say why
    session.install("--quiet", *tools("rrd"), success_codes=range(256))
    keep_bytecode(session)
    workers = "auto" if "not servers" in session.posargs else WORKERS
    session.run("pytest", "--numprocesses", workers, "--dist", "worksteal", *session.posargs)


@nox.session
def thorough(session: nox.Session) -> None:
    """Run the tests that start nothing with all the examples that property tests are meant to try."""
    install(session, *PACKAGES, groups=("test",))
    session.run(
        *("pytest", "--numprocesses", "auto", "-m", "not servers", "--hypothesis-profile", "thorough"),
        *session.posargs,
    )


@nox.session(python="3.13")
def homeassistant(session: nox.Session) -> None:
    """Install a real Home Assistant, the newest for this Python, and see what it makes of meters: some minutes."""
    install_debian_packages(session)
    install(session, "btcore", *DEFAULT_SET, *HOME_ASSISTANT, groups=("test",))
    home = Path(session.create_tmp()) / "home-assistant"
    session.run("python", "-m", "venv", str(home))
    session.run(str(home / "bin" / "pip"), "install", "--quiet", "homeassistant", "paho-mqtt<3", external=True)
    program = str(home / "bin" / "hass")
    session.run("pytest", "tests/real/home_assistant.py", *session.posargs, env={"HASS": program})


@nox.session
def pictures(session: nox.Session) -> None:
    """Make the README's pictures again, from the demonstration as it runs."""
    install_debian_packages(session)
    install(session, "btcore", *DEFAULT_SET, "plugins/btmon-dashboard", groups=("test",))
    session.run("python", "tests/real/pictures.py", *session.posargs, env={"PYTHONPATH": "tests"})


@nox.session(python=["3.11", "3.12", "3.13", "3.14"])
def versions(session: nox.Session) -> None:
    """Run the tests that start nothing on every Python that is supported."""
    install(session, *PACKAGES, groups=("test",))
    session.run("pytest", "--numprocesses", "auto", "-m", "not servers", *session.posargs)


@nox.session
def wheels(session: nox.Session) -> None:
    """Build all as it would be published; start the program from the wheels alone; test an sdist (all: `sdists`)."""
    archives = build(session)
    session.run("btcore", "--version")
    session.run("btcore", "plugins")
    check_sdists(session, archives, "plugins/btmon-services")


@nox.session
def sdists(session: nox.Session) -> None:
    """Build all as it would be published; run the tests of every sdist where it is unpacked, as a packager does."""
    check_sdists(session, build(session), *PACKAGES)


@nox.session
def bench(session: nox.Session) -> None:
    """Measure speed and memory against a peer in the same run: a table; `--json FILE`, `--compare REV`, `--page`."""
    install(session, "btcore", *DEFAULT_SET, groups=("peer",))
    keep_bytecode(session)
    session.run("python", "tests/bench/run.py", *session.posargs)


@nox.session
def bench_sinks(session: nox.Session) -> None:
    """Measure what reaches the disk for a packet, and what the sinks for servers and RRD files do."""
    install_debian_packages(session)
    install(session, "btcore", *DEFAULT_SET, "plugins/btmon-rrd", groups=("rrd",))
    session.run("python", "tests/bench/written.py", *session.posargs)
    session.run("python", "tests/bench/rrd.py", *session.posargs, env={"PYTHONPATH": "tests"})
    install(session, "plugins/btmon-mqtt", "plugins/btmon-mysql", "plugins/btmon-sql", groups=("test",))
    session.run("python", "tests/bench/sql.py", *session.posargs, env={"PYTHONPATH": "tests"})
    session.run("python", "tests/bench/mqtt.py", *session.posargs, env={"PYTHONPATH": "tests"})
    install(session, "plugins/btmon-dashboard")
    session.run("python", "tests/bench/dashboard.py", "--years", "1", env={"PYTHONPATH": "tests"})


@nox.session
def bench_fleet(session: nox.Session) -> None:
    """Measure a fleet: houses to a NATS stream, that to PostgreSQL, the whole way, and what a leader's death costs."""
    install_debian_packages(session)
    install(session, "btcore", *DEFAULT_SET, "plugins/btmon-nats", "plugins/btmon-sql", groups=("test",))
    for script in ("fleet.py", "deliverers.py"):
        session.run("python", f"tests/bench/{script}", *session.posargs, env={"PYTHONPATH": "tests"})


@nox.session
def fuzz(session: nox.Session) -> None:
    """Fuzz each parser of what comes from outside: for a minute, or `nox -s fuzz -- SECONDS [PARSER ...]`."""
    plugins = ["plugins/btmon-ascii", "plugins/btmon-http"]
    install(session, "btcore[web]", *DEFAULT_SET, *plugins, groups=("test",))
    session.install("--quiet", *tools("fuzz"), success_codes=range(256))  # without it, the bytes are made by chance
    session.run("python", "tests/fuzz/run.py", *(session.posargs or ["60"]), env={"PYTHONPATH": "tests"})


@nox.session
def power(session: nox.Session) -> None:
    """Cut the power of a simulated disk under the journal: `nox -s power -- --histories N --seed S --seconds T`."""
    install_debian_packages(session)
    install(session, "btcore", *DEFAULT_SET)
    session.run("python", "tests/power/run.py", *session.posargs, env={"PYTHONPATH": "tests"})


@nox.session
def soak(session: nox.Session) -> None:
    """Send from 300 meters on bad connections: nothing may be lost; with `-- --month`, memory over a month."""
    install(session, "btcore", *DEFAULT_SET)
    keep_bytecode(session)
    script = "month.py" if "--month" in session.posargs else "run.py"
    session.run("python", f"tests/soak/{script}", *session.posargs)


@nox.session
def chaos(session: nox.Session) -> None:
    """Let everything go wrong for ten minutes, and account for it; or `nox -s chaos -- --minutes 2 --seed 7`."""
    install_debian_packages(session)
    install(session, "btcore", *DEFAULT_SET, *CHAOS_SINKS, groups=("test",))
    keep_bytecode(session)
    session.run("python", "tests/chaos/run.py", *session.posargs)
