"""The benchmarks measure their jobs."""

from __future__ import annotations

import json
import os
import socket
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen
from zipfile import ZipFile

import attrs
import pytest

from benchmarks.__main__ import guard, main
from benchmarks.cases import CASES, Case, Run
from benchmarks.child import do
from benchmarks.job import PROJECT, Job, urns
from benchmarks.report import case_table, picture, target_table
from benchmarks.runner import Result, WrongResultError, runner
from benchmarks.scale import Setting, report
from benchmarks.targets import TARGETS, Target

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from benchmarks.runner import Runner

# The runner starts a server and a Redis.
pytestmark = [pytest.mark.process, pytest.mark.redis]

TOTAL, PER_PAGE, COUNT = 50, 20, 3
NAMES = urns(TOTAL)


@pytest.fixture(scope="module")
def measuring() -> Iterator[Runner]:
    with runner(quick=True) as measuring:
        yield measuring


def calls_here() -> list[str]:
    """Return the functions of the clients that the tests install."""
    calls = {run.call for case in CASES for run in case.runs}
    here = ("floor.", "raw_sockets.", "ours.", "ours_blocking.")
    return sorted(call for call in calls if call.startswith(here))


@pytest.mark.parametrize("call", calls_here())
def test_client(measuring: Runner, call: str) -> None:
    """Each function does its whole job."""
    job = Job(origin=measuring.origin, redis=measuring.redis, per_page=PER_PAGE)
    function = call.partition(".")[2]
    if function in {"collect", "keep", "iterate"}:
        job = attrs.evolve(job, total=TOTAL, kept=True)
    elif function == "emulator":
        job = attrs.evolve(job, total=1)
    else:
        job = attrs.evolve(job, total=TOTAL, count=COUNT)
    result, costs = do(call, job)
    expected: dict[str, Any] = {
        "collect": NAMES,
        "keep": NAMES,
        "emulator": 1,
        "iterate": TOTAL,
        "get": [PROJECT] * COUNT,
        "page": [PER_PAGE] * COUNT,
        "assign": NAMES[:COUNT],
    }
    if function in {"collect", "keep", "assign"}:
        result = [str(item["urn"] if isinstance(item, dict) else item.urn) for item in result]
    assert expected.get(function, COUNT) == result
    assert job.expected == (result if isinstance(result, int) else len(result))
    assert costs["wall"] > 0
    assert costs["cpu"] > 0
    assert job.kept == ("kept" in costs)


def test_page(measuring: Runner) -> None:
    """The server's pages look like the API's, and can come late."""
    url = f"{measuring.origin}/{TOTAL}/1/30/v2/projects/{PROJECT}/resources"
    with urlopen(f"{url}?page=2&per_page=20") as answer:  # noqa: S310 - it is ours
        page = json.load(answer)
    assert NAMES[20:40] == [resource["urn"] for resource in page["resources"]]
    assert [30] == [n for n, one in enumerate(page["resources"], 20) if not one["assigned_at"]]
    assert {"total": TOTAL} == page["meta"]
    links = {"first": 1, "prev": 1, "next": 3, "last": 3}
    assert {name: f"{url}?page={number}&per_page=20" for name, number in links.items()} == page[
        "links"
    ]["pages"]


def test_request_in_parts(measuring: Runner) -> None:
    """The server answers a request when it is complete."""
    port = int(measuring.origin.rpartition(":")[2])
    body = b'{"resources": ["do:droplet:1"]}'
    head = f"POST /1/0/0/v2/projects/p/resources HTTP/1.1\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for part in (head.encode(), body[:9], body[9:]):
            connection.sendall(part)
        assert b"assigned_at" in connection.recv(4096)


def test_cases() -> None:
    """Keys and titles are unique, and each target belongs to a row and a measure."""
    assert len(CASES) == len({case.key for case in CASES})
    for case in CASES:
        titles = [run.title for run in case.runs]
        assert len(titles) == len(set(titles))
        targets = [target for target in TARGETS if target.case == case.key]
        assert {target.row for target in targets} <= set(titles[1:])
        assert {target.measure for target in targets} <= set(case.measures)
    assert {target.case for target in TARGETS} <= {case.key for case in CASES}
    assert all(target.aim <= target.most for target in TARGETS)


def test_unknown_case(capsys: pytest.CaptureFixture[str]) -> None:
    """A misspelt case is a usage error."""
    with pytest.raises(SystemExit, match="2"):
        main(["--guard", "pages"])
    assert "there is no case pages" in capsys.readouterr().err


def test_main(capsys: pytest.CaptureFixture[str]) -> None:
    """The command measures a case, and prints its table and those of its targets."""
    assert 0 == main(["--quick", "memory"])
    *_, head, _, floor, ours, _, _, _, target = capsys.readouterr().out.rstrip().splitlines()
    assert ["rounds", "kept,", "MiB", "ratio"] == head.split()
    assert ["floor.collect", "1"] == floor.split()[:2]
    assert ["ours.keep", "1"] == ours.split()[:2]
    assert target.startswith("memory: ours.keep, kept")


def case_of(*runs: str) -> Case:
    return Case(key="k", title="Some", runs=tuple(map(Run, runs)), rounds=2)


def test_missing_package(measuring: Runner, capsys: pytest.CaptureFixture[str]) -> None:
    """A row whose package isn't installed is omitted."""
    assert find_spec("no_such_module") is None
    case = case_of("python -c pass", "python -c 'import no_such_module'")
    (result,) = measuring.run(case)
    assert "python -c pass" == result.run.call
    assert "is left out: ModuleNotFoundError: No module named" in capsys.readouterr().err


def test_failure(measuring: Runner) -> None:
    """A client that fails, or doesn't do its job, is not measured."""
    with pytest.raises(WrongResultError, match="ZeroDivisionError"):
        measuring.run(case_of("python -c 1/0"))
    case = attrs.evolve(case_of("floor.get"), job=Job(total=7))
    with pytest.raises(WrongResultError, match=r"floor\.get did 1 of 200"):
        measuring.run(case)


def test_older_version(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each row of this package has another one, which imports the version in a wheel."""
    # The other version must not count as a part of this one.
    monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)
    path = tmp_path / "digitalocean_projects-0.0.1-py3-none-any.whl"
    with ZipFile(path, "w") as wheel:
        wheel.writestr("digitalocean_projects/__init__.py", "import no_such_module")
    ours = "python -c 'import digitalocean_projects'"
    with runner(quick=True, against=path) as measuring:
        assert "0.0.1" == measuring.older
        results = measuring.run(case_of("python -c pass", ours))
    assert ["python -c pass", ours] == [result.run.title for result in results]
    assert f"k: {ours} 0.0.1 is left out: ModuleNotFoundError" in capsys.readouterr().err


def test_instructions(measuring: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Valgrind runs a process for each row, which starts and ends the count."""
    programs = {
        "valgrind": 'echo "==1== Collected : 42" >&2; shift 3; exec "$@"',
        "vgdb": f'echo "$3" >> {tmp_path / "vgdb.log"}',
    }
    for name, text in programs.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    case = attrs.evolve(case_of("floor.get"), job=Job(count=5), counted={"count": 2}, rounds=1)
    (result,) = attrs.evolve(measuring, quick=False).run(case)
    assert [42] == result.instructions
    assert ["on", "off"] == (tmp_path / "vgdb.log").read_text("utf-8").split()


def test_guard(measuring: Runner, capsys: pytest.CaptureFixture[str]) -> None:
    """The guard counts the ratios that are above the accepted ones."""
    runs = ("python -c pass", "python -c 'import json'", "python -c 'import re'")
    targets = [Target("k", runs[1], "cpu", 1.0, 1000.0), Target("k", runs[2], "cpu", 0.0, 0.001)]
    assert 1 == guard(measuring, [case_of(*runs)], targets, rounds=1)
    lines = capsys.readouterr().out.rstrip().splitlines()
    assert [False, True] == [line.endswith("!") for line in lines[2:]]


def test_scale() -> None:
    """A table shows what the tokens and requests of several processes cost."""
    lines = report((Setting(2, redis=True, tenants=3, rounds=2),)).splitlines()
    costs = dict(line.rsplit(maxsplit=1) for line in lines[2:])
    assert "2 processes and Redis" == lines[0].strip()
    assert ["3", "12"] == [costs["tokens"], costs["requests"]]
    # Each process has at least one connection to each server, and six requests need no more.
    assert 2 <= int(costs["connections of Redis"]) <= 12
    assert all(float(value.replace(",", "")) >= 0 for value in costs.values())


@pytest.mark.parametrize(("tenants", "timeout", "status"), [("x", 60.0, 1), (1, 0.01, -9)])
def test_scale_fails(tenants: Any, timeout: float, status: int) -> None:
    """A process that fails, or takes too long, is an error."""
    with pytest.raises(
        WrongResultError, match=rf"ended with status {status}, .+ than {timeout:g} s"
    ):
        report((Setting(1, redis=False, tenants=tenants),), timeout)


def result_of(title: str, *values: float) -> Result:
    return Result(Run(title), [{"cpu": value} for value in values])


def test_table() -> None:
    """A table has medians and quartiles, and ratios of the same rounds."""
    results = [result_of("floor", 0.001, 0.002, 0.003), result_of("ours", 0.002, 0.002, 0.0045)]
    assert [
        "k: Some",
        "       rounds  cpu, ms      ratio",
        "-----  ------  -----------  ---------------",
        "floor  3       2 (1.5-2.5)  1 (1-1)",
        "ours   3       2 (2-3.25)   1.5 (1.25-1.75)",
    ] == case_table(case_of(), results).splitlines()


@pytest.mark.parametrize("cost", [{}, {"cpu": 0.0}])
def test_no_cost(cost: dict[str, float]) -> None:
    """A cost that is missing or 0 has no ratio, in the row and in the floor."""
    none, some = Result(Run("none"), [cost]), result_of("some", 0.5)
    for result, floor in ((none, some), (some, none)):
        with pytest.raises(WrongResultError, match="none has no cpu in"):
            result.ratios(floor, "cpu")


def test_target_table() -> None:
    """The table of targets compares both versions with the floor, and with each other."""
    floor = attrs.evolve(result_of("floor", 0.001, 0.002), instructions=[1000])
    ours = attrs.evolve(result_of("ours", 0.002, 0.003), instructions=[1250])
    older = Result(Run("ours", version="0.1.0"), [{"cpu": 0.003}, {"cpu": 0.005}], [2000])
    targets = [Target("k", "ours", "cpu", 1.5, 2.0), Target("k", "left.out", "cpu", 1.0, 1.0)]
    head, _, *rows = target_table({"k": [floor, ours, older]}, "0.1.0", targets).splitlines()
    assert head.split("  ")[-1] == "instructions, this"
    assert [["k:", "ours,", "cpu", "1.50", "2.75", "1.75", "0.63", "2.00", "1.25"]] == [
        row.split() for row in rows
    ]


def test_picture() -> None:
    """Each bar has its client and its figure, and the fastest client is first."""
    results = [result_of("floor.get", 0.001), result_of("with_httpx.get", 0.010)]
    results.append(attrs.evolve(result_of("ours.get", 5.0), run=Run("ours.get", version="0.1.0")))
    assert [
        "Get: cpu time, ms",
        f"  aiohttp and orjson        1  {4 * '■'}",
        f"  httpx and orjson         10  {40 * '■'}",
    ] == picture({"get": results}, {"get": "Get"}).splitlines()
