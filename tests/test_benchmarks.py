"""The benchmarks measure their jobs."""

from __future__ import annotations

import json
import socket
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen

import attrs
import pytest

from benchmarks.__main__ import guard, main
from benchmarks.cases import CASES, Case, Run
from benchmarks.child import do
from benchmarks.job import PROJECT, Job, urns
from benchmarks.report import case_table, slopes
from benchmarks.runner import Result, WrongResultError, runner

if TYPE_CHECKING:
    from collections.abc import Iterator

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
    return sorted(call for call in calls if call.startswith(("floor.", "ours.", "ours_blocking.")))


@pytest.mark.parametrize("call", calls_here())
def test_client(measuring: Runner, call: str) -> None:
    """Each function does its whole job."""
    job = Job(origin=measuring.origin, redis=measuring.redis, per_page=PER_PAGE)
    function = call.partition(".")[2]
    is_listing = function in {"collect", "iterate"}
    job = attrs.evolve(job, total=TOTAL, count=1 if is_listing else COUNT)
    result, costs = do(call, job)
    expected: dict[str, Any] = {
        "collect": NAMES,
        "iterate": TOTAL,
        "get": [PROJECT] * COUNT,
        "page": [PER_PAGE] * COUNT,
        "assign": NAMES[:COUNT],
    }
    if function in {"collect", "assign"}:
        result = [str(item["urn"] if isinstance(item, dict) else item.urn) for item in result]
    assert expected.get(function, COUNT) == result
    assert job.expected == (result if isinstance(result, int) else len(result))
    assert costs["wall"] > 0
    assert costs["cpu"] > 0


def test_page(measuring: Runner) -> None:
    """The server's pages look like the API's, and can come late."""
    url = f"{measuring.origin}/{TOTAL}/1/v2/projects/{PROJECT}/resources"
    with urlopen(f"{url}?page=2&per_page=20") as answer:  # noqa: S310 - it is ours
        page = json.load(answer)
    assert NAMES[20:40] == [resource["urn"] for resource in page["resources"]]
    assert {"total": TOTAL} == page["meta"]
    links = {"first": 1, "prev": 1, "next": 3, "last": 3}
    assert {name: f"{url}?page={number}&per_page=20" for name, number in links.items()} == page[
        "links"
    ]["pages"]


def test_request_in_parts(measuring: Runner) -> None:
    """The server answers a request when it is complete."""
    port = int(measuring.origin.rpartition(":")[2])
    body = b'{"resources": ["do:droplet:1"]}'
    head = f"POST /1/0/v2/projects/p/resources HTTP/1.1\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for part in (head.encode(), body[:9], body[9:]):
            connection.sendall(part)
        assert b"assigned_at" in connection.recv(4096)


def test_cases() -> None:
    """Keys and titles are unique, and each threshold belongs to a row."""
    assert len(CASES) == len({case.key for case in CASES})
    for case in CASES:
        titles = [run.title for run in case.runs]
        assert len(titles) == len(set(titles))
        assert set(case.most) <= set(titles[1:])


def test_unknown_case(capsys: pytest.CaptureFixture[str]) -> None:
    """A misspelt case is a usage error."""
    with pytest.raises(SystemExit, match="2"):
        main(["--guard", "pages"])
    assert "there is no case pages" in capsys.readouterr().err


def test_main(capsys: pytest.CaptureFixture[str]) -> None:
    """The command measures a case and prints its table."""
    assert 0 == main(["--quick", "page"])
    *_, head, _, floor, ours, blocking = capsys.readouterr().out.splitlines()
    assert ["rounds", "cpu,"] == head.split()[:2]
    assert ["floor.page", "1"] == floor.split()[:2]
    assert ["ours.page", "1"] == ours.split()[:2]
    assert ["ours_blocking.page", "1"] == blocking.split()[:2]


def case_of(*runs: str, **most: float) -> Case:
    thresholds = {f"python -c '{code}'": ratio for code, ratio in most.items()}
    return Case(key="k", title="Some", runs=tuple(map(Run, runs)), rounds=2, most=thresholds)


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


def test_guard(measuring: Runner, capsys: pytest.CaptureFixture[str]) -> None:
    """The guard counts the ratios that are above their thresholds."""
    runs = ("python -c pass", "python -c 'import json'", "python -c 'import re'")
    case = attrs.evolve(case_of(*runs), most={runs[1]: 1000.0, runs[2]: 0.001})
    assert 1 == guard(measuring, [case], rounds=1)
    lines = capsys.readouterr().out.splitlines()
    assert [False, True] == [line.endswith("!") for line in lines[2:]]


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


def test_slopes() -> None:
    """A listing's CPU time is a sum of what its requests and its resources cost."""

    def cost(resources: int, requests: int) -> list[Result]:
        return [result_of("floor", 2e-6 * resources + 1e-4 * requests + 5e-3)] * 3

    found = {
        "list-small-pages": cost(40_000, 2_000),
        "list-0ms": cost(40_000, 200),
        "list-200000": cost(200_000, 1_000),
    }
    assert ["floor", "100", "2"] == slopes(found).splitlines()[2].split()
