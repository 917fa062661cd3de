"""The sdist and the wheel: their contents, their metadata and their requirements."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from importlib.metadata import PathDistribution
from pathlib import Path

import docutils.core
import docutils.nodes
import pytest

import digitalocean_projects

pytestmark = [pytest.mark.process, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
NAME = "digitalocean_projects"
DIST_INFO = f"{NAME}-{digitalocean_projects.__version__}.dist-info"
NEEDED = {
    "aiohttp>=3.14.1",
    "anyio>=4.4",
    "attrs>=24.3",
    "backoff>=2.2.1",
    "cattrs>=25.2",
    "msgspec>=0.18.4",
}
# The modules that each extra is for.
EXTRAS = {
    "cli": "import rich, wcwidth, yaml",
    "fastapi": f"import {NAME}.contrib.fastapi",
    "mcp": f"import {NAME}.contrib.mcp",
    "redis": f"from {NAME}.contrib.redis import RedisLimits",
}
# The modules that need more than the package does, and the ends of their messages.
NEED_MORE = {
    f"{NAME}.contrib.fastapi": "digitalocean-projects[fastapi]",
    f"{NAME}.contrib.mcp": "digitalocean-projects[mcp]",
    f"{NAME}.contrib.pytest": "No module named 'pytest'",
    **{
        f"{NAME}.contrib.redis.{module}": "No module named 'redis'"
        for module in ["bucket", "cluster", "connections", "limits", "link", "location", "server"]
    },
}
IMPORT_ALL = f"""
import importlib, json, pkgutil
import {NAME}

missing = {{}}
for module in pkgutil.walk_packages({NAME}.__path__, "{NAME}."):
    try:
        importlib.import_module(module.name)
    except ImportError as error:
        missing[module.name] = str(error)
print(json.dumps(missing))
"""


def run(*command: str | Path, cwd: Path) -> str:
    return subprocess.run(
        command, cwd=cwd, check=True, stdout=subprocess.PIPE, text=True, timeout=300
    ).stdout


def build(kind: str, source: Path, folder: Path) -> Path:
    run(sys.executable, "-m", "uv", "build", "-q", f"--{kind}", "-o", folder, source, cwd=folder)
    return next(path for path in folder.iterdir() if path.suffix in {".gz", ".whl"})


def environment(folder: Path, requirement: str) -> Path:
    """Return the Python of a new environment with `requirement` and its dependencies."""
    uv = [sys.executable, "-m", "uv"]
    run(*uv, "venv", "-q", "--python", sys.executable, folder / "venv", cwd=folder)
    python = folder / "venv" / "bin" / "python"
    run(*uv, "pip", "install", "-q", "--python", python, requirement, cwd=folder)
    return python


def files(folder: str) -> set[str]:
    """Return the paths of the files in a folder of the project."""
    return {
        str(path.relative_to(ROOT))
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


@pytest.fixture(scope="session")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("sdist", ROOT, tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", ROOT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def metadata(wheel: Path) -> PathDistribution:
    return PathDistribution(zipfile.Path(wheel, f"{DIST_INFO}/"))


@pytest.fixture(scope="session")
def bare_python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a Python that has the wheel without any extra."""
    return environment(tmp_path_factory.mktemp("bare"), str(wheel))


def test_twine(sdist: Path, wheel: Path) -> None:
    """PyPI accepts both files, and can render README.rst."""
    run(sys.executable, "-m", "twine", "check", "--strict", sdist, wheel, cwd=ROOT)


def test_sdist(sdist: Path) -> None:
    """The sdist holds all files that its tests need."""
    with tarfile.open(sdist) as archive:
        names = {name.split("/", 1)[1] for name in archive.getnames()}
    folders = [".ci", NAME, "tests", "benchmarks"]
    rest = {".gitignore", "LICENSE", "PKG-INFO", "README.rst", "noxfile.py", "pyproject.toml"}
    assert rest.union(*map(files, folders)) == names


def test_wheel(wheel: Path) -> None:
    """The wheel holds the package with its types and license, and nothing else."""
    about = {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE"}
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert files(NAME) | {f"{DIST_INFO}/{name}" for name in about} == names
    assert f"{NAME}/py.typed" in names


def test_wheel_of_sdist(sdist: Path, wheel: Path, tmp_path: Path) -> None:
    """A build from the sdist gives the same wheel, to the byte."""
    again = build("wheel", sdist, tmp_path)
    assert (wheel.name, wheel.read_bytes()) == (again.name, again.read_bytes())


def test_requirements(metadata: PathDistribution) -> None:
    """Six packages are required; the others belong to extras, which README.rst mentions."""
    needed = {text for text in metadata.requires or () if "extra ==" not in text}
    extras = metadata.metadata.get_all("Provides-Extra") or []
    assert NEEDED == needed
    assert set(EXTRAS) == set(extras)
    readme = (ROOT / "README.rst").read_text("utf-8")
    assert all(f'".[{name}]"' in readme for name in extras)


def test_metadata(metadata: PathDistribution) -> None:
    """Version, license and Python versions agree with the code and the classifiers."""
    about = metadata.metadata
    pythons = [
        classifier.rpartition(" ")[2]
        for classifier in about.get_all("Classifier") or ()
        if classifier.startswith("Programming Language :: Python :: 3.")
    ]
    license_text = metadata.read_text("licenses/LICENSE") or ""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert digitalocean_projects.__version__ == about["Version"]
    assert ("MIT", "MIT License") == (about["License-Expression"], license_text.splitlines()[0])
    assert f">={pythons[0]}" == about["Requires-Python"] == project["requires-python"]
    assert sorted(pythons, key=lambda python: int(python[2:])) == pythons


def test_description(metadata: PathDistribution) -> None:
    """The images and links of the description work on PyPI, which has no other file of ours."""
    document = docutils.core.publish_doctree(metadata.metadata["Description"])
    uris = [node["uri"] for node in document.findall(docutils.nodes.image)]
    uris += [node.get("refuri", "") for node in document.findall(docutils.nodes.reference)]
    assert [] == [uri for uri in uris if uri and not uri.startswith("https://")]


def test_import(bare_python: Path, tmp_path: Path) -> None:
    """Without extras, only the modules of extras fail to import, and they name their extra."""
    missing = json.loads(run(bare_python, "-W", "error", "-c", IMPORT_ALL, cwd=tmp_path))
    public = {module: reason for module, reason in missing.items() if "._" not in module}
    assert set(NEED_MORE) == set(public)
    assert all(reason.endswith(NEED_MORE[module]) for module, reason in public.items())


def test_command(bare_python: Path, tmp_path: Path) -> None:
    """The command works without any extra."""
    command = bare_python.with_name("digitalocean-projects")
    lines = run(command, "list", "--demo", "--no-header", cwd=tmp_path).splitlines()
    assert 1034 == len(lines)
    assert "complete -o bashdefault" in run(command, "completion", "bash", cwd=tmp_path)


@pytest.mark.parametrize("extra", EXTRAS)
def test_extra(extra: str, wheel: Path, tmp_path: Path) -> None:
    """An extra installs the requirements of its modules."""
    python = environment(tmp_path, f"{wheel}[{extra}]")
    run(python, "-W", "error", "-c", EXTRAS[extra], cwd=tmp_path)
