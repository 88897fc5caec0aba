"""The workspace's jobs: `nox` alone checks everything; `nox -s demo` shows the program at work without hardware."""

import re
import shutil
from pathlib import Path

import nox

nox.needs_version = ">=2025.2.9"
nox.options.sessions = ["lint", "typing", "tests", "wheels"]
nox.options.error_on_missing_interpreters = False

ROOT = Path(__file__).parent
PLUGINS = sorted(str(path.parent.relative_to(ROOT)) for path in ROOT.glob("plugins/*/pyproject.toml"))
PACKAGES = ["btcore", *PLUGINS]
SOURCES = [f"{package}/src" for package in PACKAGES]
TESTS = [f"{package}/tests" for package in PACKAGES] + ["tests"]
WORKSPACE = nox.project.load_toml(ROOT / "pyproject.toml")
CORE = nox.project.load_toml(ROOT / "btcore" / "pyproject.toml")
DEFAULT_SET = [f"plugins/{name}" for name in re.findall(r"\bbtmon-[\w-]+", " ".join(CORE["project"]["dependencies"]))]


def tools(*groups: str) -> tuple[str, ...]:
    """Return what the workspace's dependency groups of these names list."""
    return nox.project.dependency_groups(WORKSPACE, *groups)


def folders(*packages: str) -> list[str]:
    """Return packages of the workspace as pip is told them."""
    return [f"./{package}" for package in packages]


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
    """Run a simulated house into SQLite and onto the screen, until Ctrl-C."""
    session.install("--quiet", *folders("btcore", *DEFAULT_SET))
    session.run("btcore", "run", "--config", "demo.toml", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Look at the style of all code."""
    session.install("--quiet", *tools("lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def typing(session: nox.Session) -> None:
    """Check all types, strictly; test folders one by one, as they are no packages."""
    session.install("--quiet", *tools("dev"), *folders(*PACKAGES))
    session.run("mypy", *SOURCES, "noxfile.py")
    for folder in TESTS:
        if any((ROOT / folder).rglob("*.py")):
            session.run("mypy", folder)


@nox.session
def tests(session: nox.Session) -> None:
    """Run all tests; `nox -s tests -- -m "not servers"` for those that start nothing."""
    session.install("--quiet", *tools("test", "build"), *folders(*PACKAGES))
    session.run("pytest", "--numprocesses", "auto", *session.posargs)


@nox.session
def thorough(session: nox.Session) -> None:
    """Run the tests that start nothing with all the examples that property tests are meant to try."""
    session.install("--quiet", *tools("test", "build"), *folders(*PACKAGES))
    session.run(
        *("pytest", "--numprocesses", "auto", "-m", "not servers", "--hypothesis-profile", "thorough"),
        *session.posargs,
    )


@nox.session(python=["3.11", "3.12", "3.13", "3.14"])
def versions(session: nox.Session) -> None:
    """Run the tests that start nothing on every Python that is supported."""
    session.install("--quiet", *tools("test", "build"), *folders(*PACKAGES))
    session.run("pytest", "--numprocesses", "auto", "-m", "not servers", *session.posargs)


@nox.session
def wheels(session: nox.Session) -> None:
    """Build all as it would be published; start the program from the wheels alone; test two of the sdists."""
    archives = build(session)
    session.run("btcore", "--version")
    session.run("btcore", "plugins")
    check_sdists(session, archives, "btcore", "plugins/btmon-services")


@nox.session
def sdists(session: nox.Session) -> None:
    """Build all as it would be published; run the tests of every sdist where it is unpacked, as a packager does."""
    check_sdists(session, build(session), *PACKAGES)


@nox.session
def bench(session: nox.Session) -> None:
    """Measure speed and memory against a peer in the same run; prints ratios."""
    session.install("--quiet", *tools("peer"), *folders("btcore", *DEFAULT_SET))
    session.run("python", "tests/bench/run.py", *session.posargs)
