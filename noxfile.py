"""The checks of the project: `nox -s tests` runs the tests on one Python, `nox` runs all checks."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import nox

PROJECT = nox.project.load_toml("pyproject.toml")
PYTHONS = nox.project.python_versions(PROJECT)
RUNNING = f"{sys.version_info.major}.{sys.version_info.minor}"

# pyenv puts only one of its interpreters on PATH.
os.environ["PATH"] = os.pathsep.join(
    [os.environ["PATH"], *map(str, Path.home().glob(".pyenv/versions/*/bin"))]
)
os.environ["UV_PYTHON_DOWNLOADS"] = "never"
# The tests start about 200 interpreters. Without bytecode files, each compiles all that it imports.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# Since Python 3.14 the interpreter itself notes which branches are taken: coverage costs 8 % of the
# tests' time there, and 86 % of it in older versions.
MEASURED = "3.14" if shutil.which("python3.14") else RUNNING
WITH_FLOORS = PYTHONS[1]

EXTRAS = "cli,fastapi,mcp,redis"

nox.needs_version = ">=2025.5.1"
nox.options.default_venv_backend = "uv"
nox.options.error_on_missing_interpreters = False


def _install(session: nox.Session, *groups: str) -> None:
    if groups == ("test",):
        session.env.update(COMPILED)
    session.install("-e", f".[{EXTRAS}]", *nox.project.dependency_groups(PROJECT, *groups))


QUICK = "not process and not redis and not slow"
PARTS = ("tests/cli", "tests/contrib", "tests/testing")
# The tests spend a third of their time waiting, so there are two more processes than cores: on two
# cores they take 92 s instead of 142 s. A process that has run its tests takes over tests of the
# other processes.
PARALLEL = (f"--numprocesses={(os.cpu_count() or 1) + 2}", "--dist=worksteal")
# The quick tests hardly wait.
PARALLEL_QUICK = ("--numprocesses=auto", "--dist=worksteal")
# Otherwise, each process of the tests compiles all that it imports, at the same time: on two cores,
# the first run takes 126 s instead of 104 s.
COMPILED = {"UV_COMPILE_BYTECODE": "1"}


def _test(session: nox.Session, *command: str) -> None:
    """Run tests; run the failed ones once more, to show the values in their assertions.

    Each process would rewrite the assertions of all tests, which takes 10 % of the first run.
    """
    sources = filter(os.path.isdir, ("digitalocean_projects", "tests", "benchmarks"))
    session.run("python", "-m", "compileall", "-q", "-j", "0", *sources)
    try:
        session.run(*command, "--assert=plain")
    except nox.command.CommandFailed:
        session.run("pytest", "--last-failed", "--last-failed-no-failures=none")
        raise


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests on the Python that runs nox."""
    _install(session, "test")
    _test(session, "pytest", *PARALLEL, *session.posargs)


@nox.session(python=MEASURED)
def coverage(session: nox.Session) -> None:
    """Run the tests; fail if they don't cover a line or branch of the package."""
    _install(session, "test")
    session.env["COVERAGE_FILE"] = str(Path(session.create_tmp()) / "coverage")
    session.run("coverage", "erase")
    _test(session, "coverage", "run", "-m", "pytest", *PARALLEL, *session.posargs)
    session.run("coverage", "combine", "--quiet")
    session.run("coverage", "report")


@nox.session(python=[one for one in PYTHONS if one not in {RUNNING, MEASURED, WITH_FLOORS}])
def others(session: nox.Session) -> None:
    """Run tests against the wheel, on each supported Python that no other session uses.

    The newest one runs all tests except the slow ones. The other ones run the quick tests of the
    command, the integrations and the emulator; the session floors runs those of the library.
    """
    folder = _unpacked_sdist(session)
    # Without its source, the tests can only import the package that is installed.
    shutil.rmtree(folder / "digitalocean_projects")
    (wheel,) = folder.parent.glob("*.whl")
    session.install(
        "--reinstall-package=digitalocean-projects",
        f"{wheel}[{EXTRAS}]",
        *nox.project.dependency_groups(PROJECT, "test"),
        env=COMPILED,
    )
    session.chdir(folder)
    session.run("python", "-c", _INSTALLED)
    if session.python == PYTHONS[-1]:
        selected = (*PARALLEL, "-m", "not slow")
    else:
        selected = (*PARALLEL_QUICK, "-m", QUICK, *PARTS)
    _test(session, "pytest", *selected, *session.posargs)


_INSTALLED = """
import digitalocean_projects
print(digitalocean_projects.__file__)
assert "site-packages" in digitalocean_projects.__file__
"""


def _unpacked_sdist(session: nox.Session) -> Path:
    """Build the sdist and its wheel, and return the folder of the unpacked sdist beside them."""
    folder = Path(session.create_tmp()).resolve() / "dist"
    shutil.rmtree(folder, ignore_errors=True)
    session.run("uv", "build", "--quiet", "--out-dir", str(folder), external=True)
    (sdist,) = folder.glob("*.tar.gz")
    shutil.unpack_archive(sdist, folder, filter="data")
    return folder / sdist.name.removesuffix(".tar.gz")


@nox.session(python=WITH_FLOORS)
def floors(session: nox.Session) -> None:
    """Run the library's quick tests with the oldest dependencies that the package accepts."""
    _install(session, "test")
    session.install(*(need.replace(">=", "==") for need in PROJECT["project"]["dependencies"]))
    library = [f"--ignore={part}" for part in PARTS]
    _test(session, "pytest", *PARALLEL_QUICK, "-m", QUICK, *library, *session.posargs)


@nox.session
def package(session: nox.Session) -> None:
    """Build the sdist and the wheel, and check their contents and metadata."""
    _install(session, "package")
    session.run("pytest", "tests/packaging", *session.posargs)


@nox.session
def recipes(session: nox.Session) -> None:
    """Test the recipes for other frameworks, other clients, README.rst's example with pandas."""
    _install(session, "recipes")
    session.run("pytest", "tests/recipes", *session.posargs)


@nox.session(default=False)
def airflow(session: nox.Session) -> None:
    """Test the recipe for Airflow, which is large and can't be installed beside the extra `mcp`."""
    session.install("-e", ".[redis]", *nox.project.dependency_groups(PROJECT, "airflow"))
    session.run("pytest", "tests/airflow", *session.posargs)


@nox.session
def browser(session: nox.Session) -> None:
    """Test the FastAPI guide's application and the emulator's page in Chromium.

    Chromium and its driver must be installed.
    """
    _install(session, "browser")
    session.run("pytest", "tests/browser", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check the rules and the format of the code with ruff."""
    session.install(*nox.project.dependency_groups(PROJECT, "lint"))
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")


@nox.session
def types(session: nox.Session) -> None:
    """Check the types of all code, and the completeness of the public ones."""
    _install(session, "browser", "test", "types")
    # pyright reads the installed files; it can't follow an editable install.
    session.install("--no-deps", "--reinstall", ".")
    session.run("mypy")
    session.run("pyright", "--verifytypes", "digitalocean_projects", "--ignoreexternal")
    # mypy checks this file, too, as one of the tests.
    session.run("pyright", "--warnings", "tests/typing/api.py")


@nox.session
def generated(session: nox.Session) -> None:
    """Check that the blocking facade and the scripts for completion are up to date."""
    _install(session, "generated")
    for part in ("_facade", "_cli.completion"):
        session.run("python", "-m", f"digitalocean_projects.{part}.generator", "--check")


@nox.session
def docs(session: nox.Session) -> None:
    """Render the docstrings of all public names as HTML; fail at the first warning."""
    _install(session, "docs")
    folder = Path(session.create_tmp()).resolve() / "html"
    shutil.rmtree(folder, ignore_errors=True)
    session.run("python", "-W", "error", ".ci/docs.py", str(folder))
    session.log(f"The documentation is in {folder / 'index.html'}")


@nox.session(default=False)
def benchmarks(session: nox.Session) -> None:
    """Compare the speed of clients, in five minutes on two quiet cores.

    `-- --quick` does a part of each job, `-- --against WHEEL` also measures another version of this
    package, and `-- --scale` measures what many tokens cost.
    """
    _install(session, "benchmark")
    session.run("python", "-m", "benchmarks", *session.posargs)


@nox.session(default=False)
def guard(session: nox.Session) -> None:
    """Fail if a ratio to the floor is above that in benchmarks/targets.py; CI is too noisy."""
    _install(session, "floor")
    session.run("python", "-m", "benchmarks", "--guard", *session.posargs)
