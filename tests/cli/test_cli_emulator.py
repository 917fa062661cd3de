"""The command `emulator`: its options, its state file, and its control from other programs."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from threading import Thread, active_count
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import attrs
import pytest

from digitalocean_projects import BadRequestError, Client
from digitalocean_projects._cli import emulator as emulator_module
from digitalocean_projects._cli import main
from digitalocean_projects._cli.arguments.emulator import _latency, _limits
from digitalocean_projects._cli.emulator import _emulator
from digitalocean_projects._cli.program import make_parser
from digitalocean_projects._cli.state_file import StateFile
from digitalocean_projects.testing import Emulator, seed_demo

if TYPE_CHECKING:
    from collections.abc import Iterator

SEED = (
    '{"kind":"project","name":"shop","purpose":"Web Application"}\n'
    '{"project":"shop","urn":"do:droplet:1"}\n'
    '{"project":"shop","urn":"do:volume:2"}\n'
    '{"project":"default","urn":"do:domain:example.com"}\n'
)


@attrs.define
class Served:
    """An emulator that is controlled over HTTP alone.

    Attributes:
        url: Its URL.
        token: Its token.
    """

    url: str
    token: str

    def send(
        self, method: str, path: str, body: object = None, token: str | None = None
    ) -> tuple[int, bytes]:
        """Send a request over plain HTTP, and return the status and the body of the answer."""
        data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=60)
        with contextlib.closing(connection):
            connection.request(method, path, None if body is None else data, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()

    def document(
        self, method: str, path: str, body: object = None, token: str | None = None
    ) -> Any:
        return json.loads(self.send(method, path, body, token)[1])


@attrs.define
class Command(Served):
    """A running command.

    Attributes:
        process: Its process.
    """

    process: subprocess.Popen[str]

    def rss(self) -> int:
        """Return the memory of the process in KiB."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text("utf-8").splitlines()
        (line,) = (line for line in lines if line.startswith("VmRSS:"))
        return int(line.split()[1])


@contextlib.contextmanager
def running(*options: str, end: int = signal.SIGTERM) -> Iterator[Command]:
    """Run the command, and end it by a signal; it must end with the signal's status."""
    with subprocess.Popen(
        [sys.executable, "-m", "digitalocean_projects", "emulator", "-q", *options],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout
            url, token, doctl = (process.stdout.readline().strip() for _ in range(3))
            assert doctl == token.replace("DIGITALOCEAN_TOKEN", "DIGITALOCEAN_ACCESS_TOKEN")
            yield Command(url.partition("=")[2], token.partition("=")[2], process)
        finally:
            process.send_signal(end)
        assert (128 + end if end != signal.SIGKILL else -end) == process.wait(timeout=60)


@pytest.mark.process
def test_scenario_over_http(tmp_path: Path) -> None:
    """Plain HTTP is enough to use and control the emulator; a restart has the same account."""
    seed, state = tmp_path / "seed.jsonl", tmp_path / "state.jsonl"
    seed.write_text(SEED, "utf-8")
    with running("--seed", str(seed), "--state", str(state), "--move-delay", "90") as command:
        assert {"status": "ok"} == command.document("GET", "/_emulator/health")

        # A token with two scopes lists droplets only.
        scopes = {"scopes": ["project:read", "droplet:read"]}
        token = command.document("POST", "/_emulator/tokens", scopes)["token"]
        projects = command.document("GET", "/v2/projects", token=token)["projects"]
        (shop,) = (project["id"] for project in projects if project["name"] == "shop")
        path = f"/v2/projects/{shop}/resources"
        listed = command.document("GET", path, token=token)
        assert ["do:droplet:1"] == [resource["urn"] for resource in listed["resources"]]
        assert listed["links"]["pages"]["last"].startswith(f"{command.url}{path}")

        # Two faults are sent to POST requests only.
        fault = {"fault": "Status", "status": 503, "times": 2, "method": "POST", "path": "/v2/*"}
        assert 204 == command.send("POST", "/_emulator/faults", fault)[0]
        body = {"resources": ["do:domain:example.com"]}
        statuses = [command.send("POST", path, body, command.token)[0] for _ in range(3)]
        assert [503, 503, 200] == statuses

        # The move ends when the clock has moved.
        assert 2 == command.document("GET", path, token=command.token)["meta"]["total"]
        command.send("POST", "/_emulator/clock", {"jump": 90})
        assert 3 == command.document("GET", path, token=command.token)["meta"]["total"]

        requests = command.document("GET", "/_emulator/requests")
        assert ["GET", "GET", "POST", "POST", "POST", "GET", "GET"] == [
            request["method"] for request in requests
        ]
        assert command.token not in json.dumps(requests)
        assert json.dumps(body) == requests[-3]["body"]
        _, before = command.send("GET", "/_emulator/state")
        # It is written within a moment, and again at the end.
        while before != state.read_bytes():
            assert command.process.poll() is None
    assert before == state.read_bytes()

    with running("--seed", str(seed), "--state", str(state)) as command:
        assert before == command.send("GET", "/_emulator/state")[1]
        assert 200 == command.send("GET", path, token=token)[0]
        # `reset` returns to the state of the start.
        assert 204 == command.send("PUT", "/_emulator/state", "")[0]
        assert 401 == command.send("GET", path, token=token)[0]
        assert 204 == command.send("POST", "/_emulator/reset")[0]
        assert before == command.send("GET", "/_emulator/state")[1]


def test_state_of_one_emulator_in_another() -> None:
    """The state of an emulator, seeded into another one, is the same to the byte."""
    with Emulator() as one, Emulator(token="mine") as other:
        seed_demo(one)
        first, second = Served(one.url, one.token), Served(other.url, other.token)
        tenant = first.document("POST", "/_emulator/accounts")["token"]
        first.send("POST", "/_emulator/seed", SEED, tenant)
        _, state = first.send("GET", "/_emulator/state")
        assert b"do:domain:example.com" in state
        assert 204 == second.send("POST", "/_emulator/seed", state.decode())[0]
        assert state == second.send("GET", "/_emulator/state")[1]
        assert 200 == second.send("GET", "/v2/projects", token="mine")[0]


@pytest.mark.process
def test_state_survives_a_crash(tmp_path: Path) -> None:
    """Changes are written within a moment, so a kill of the process loses nothing older."""
    state = tmp_path / "state.jsonl"
    with running("--state", str(state), end=signal.SIGKILL) as command:
        before = state.read_text("utf-8")
        body = {"name": "shop", "purpose": "Web Application"}
        command.send("POST", "/v2/projects", body, command.token)
        while state.read_text("utf-8") == before:
            assert command.process.poll() is None
    assert '"name":"shop"' in state.read_text("utf-8")
    assert [state] == list(tmp_path.iterdir())


@pytest.mark.process
@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_memory_is_bounded() -> None:
    """After many large requests and a huge one, the process takes less than 30 MiB more."""
    with running("--no-limits", "--token", "mine") as command:
        assert 200 == command.send("GET", "/v2/projects", token="mine")[0]
        before = command.rss()
        for _ in range(50):
            command.send("POST", "/v2/projects/default/resources", "x" * 1_000_000, command.token)
        with contextlib.suppress(OSError):
            command.send("POST", "/v2/projects/default/resources", "x" * 100_000_000, command.token)
        assert command.rss() - before < 30 * 1024


OPTIONS = {
    "--limits 5/60,x": "argument --limits: each must be a number of requests and of seconds",
    "--limits 0/60": "argument --limits: each must be",
    "--limits 5/0": "argument --limits: each must be",
    "--limits 5/1.2.3": "argument --limits: each must be",
    "--limits 5/60 --no-limits": "not allowed with argument",
    "--move-delay soon": "argument --move-delay: must be a number of seconds, at least 0",
    "--move-delay 1_0": "argument --move-delay: must be a number of seconds, at least 0",
    "--busy-time soon": "argument --busy-time: must be a number of seconds, at least 0",
    "--move-delay -1": "argument --move-delay: must be a number of seconds, at least 0",
    "--latency 20": "argument --latency: must be such as 20ms",
    "--latency 20ms+-30": "argument --latency: must be such as 20ms",
}
REFUSED = {
    "--scopes project": "a scope must have the form 'droplet:read', got 'project'",
    "--token ä": "token must be printable ASCII without spaces",
    "--host=": "host must be an address or a name, got ''",
    "--allow-host x:1": "an allowed host must be a name without scheme and port",
}


@pytest.mark.parametrize("options", OPTIONS)
def test_wrong_options(options: str, capsys: pytest.CaptureFixture[str]) -> None:
    """An option that can't be used is refused with the reason."""
    with pytest.raises(SystemExit) as caught:
        main(["emulator", *options.split()])
    assert 2 == caught.value.code
    assert OPTIONS[options] in capsys.readouterr().err


@pytest.mark.parametrize("options", REFUSED)
def test_refused_options(options: str, capsys: pytest.CaptureFixture[str]) -> None:
    """An option that the emulator refuses is a usage error with its reason."""
    assert 2 == main(["emulator", *options.split()])
    assert REFUSED[options] in capsys.readouterr().err


def test_options() -> None:
    """Limits, latencies and scopes are read as the help says."""
    assert [(250, 60.0), (5000, 3600.0)] == _limits("250/60, 5000/3600")
    assert (0.02, 0.01) == _latency("20ms±10")
    assert (1.5, 0.5) == _latency("1.5s+-0.5")
    parsed = make_parser().parse_args(
        ["emulator", "--no-limits", "--scopes", "project:read, droplet:read"]
    )
    assert ((), ["project:read", "droplet:read"]) == (parsed.limits, parsed.scopes)


def test_types_and_sparse_answers() -> None:
    """Another type can be assigned, and a sparse listing lacks links."""
    parsed = make_parser().parse_args(["emulator", "--sparse", "--resource-types", "agent, key"])
    with (
        _emulator(parsed, None) as emulator,
        Client(emulator.token, base_url=emulator.url) as client,
    ):
        emulator.seed([f"do:key:{number}" for number in range(9)], name="web")
        assert 1 == len(client.projects.assign_resources("default", ["do:key:0"]).done)
        with pytest.raises(BadRequestError):
            client.projects.assign_resources("default", ["do:other:1"])
        listing = client.projects.list_resources(client.projects.find("web"))
        assert None in [resource.assigned_at for resource in listing]


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"{", "line 1: invalid JSON"), (b"\xff", "the file must be UTF-8 text")],
)
@pytest.mark.parametrize("option", ["--seed", "--state"])
def test_wrong_file(
    tmp_path: Path, option: str, content: bytes, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file that can't be loaded is named, and stays as it is."""
    path = tmp_path / "account.jsonl"
    path.write_bytes(content)
    assert 2 == main(["emulator", option, str(path)])
    assert f"{path}: {message}" in capsys.readouterr().err
    assert content == path.read_bytes()


def test_state_file(tmp_path: Path) -> None:
    """The file is replaced through a link, keeps its mode, and is written only after changes."""
    path, link = tmp_path / "state.jsonl", tmp_path / "link"
    path.touch(mode=0o640)
    link.symlink_to(path)
    emulator = Emulator(contents=SEED)
    with contextlib.closing(StateFile(link)) as state:
        state.save(emulator)
        assert emulator.dump() == path.read_text("utf-8")
        assert (True, 0o640) == (link.is_symlink(), path.stat().st_mode & 0o777)
        path.unlink()
        state.save(emulator)
        assert [link] == list(tmp_path.iterdir())
        emulator._site.changes += 1
        state.save(emulator)
    assert {link, path} == set(tmp_path.iterdir())
    assert 0o600 == path.stat().st_mode & 0o777


def test_file_of_another_emulator(tmp_path: Path) -> None:
    """Two emulators can't use one file at a time, also after the file was replaced."""
    path, emulator = tmp_path / "state.jsonl", Emulator()
    with contextlib.closing(StateFile(path)) as state:
        assert (0o600, b"") == (path.stat().st_mode & 0o777, state.content)
        for _ in range(2):
            with pytest.raises(ValueError, match=r"no other emulator uses, got .*state\.jsonl;"):
                StateFile(path)
            state.save(emulator)
    with contextlib.closing(StateFile(path)) as state:
        assert emulator.dump().encode() == state.content


def test_file_replaced_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is replaced between its opening and its lock is opened again."""
    path, flock = tmp_path / "state.jsonl", fcntl.flock

    def replace(descriptor: int, operation: int) -> None:
        monkeypatch.setattr(fcntl, "flock", flock)
        path.unlink()
        path.write_text("new", "utf-8")
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", replace)
    with contextlib.closing(StateFile(path)) as state:
        assert b"new" == state.content
        with pytest.raises(ValueError, match="no other emulator"):
            StateFile(path)


def test_file_system_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is used without a lock if its file system has none."""

    def refuse(_: int, __: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    for _ in range(2):
        StateFile(tmp_path / "state.jsonl").close()


@pytest.mark.parametrize("code", [errno.EBUSY, errno.EACCES, errno.EXDEV])
def test_file_that_cannot_be_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """A file that is mounted, or in a read-only folder, is overwritten, and nothing is left."""
    path, emulator = tmp_path / "state.jsonl", Emulator()
    path.write_text(SEED * 100, "utf-8")

    def refuse(*_: object) -> None:
        raise OSError(code, "no")

    monkeypatch.setattr(Path, "replace", refuse)
    with contextlib.closing(StateFile(path)) as state:
        state.save(emulator)
        assert emulator.dump() == path.read_text("utf-8")
    assert [path] == list(tmp_path.iterdir())


def test_no_regular_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A FIFO, a directory or a missing folder is refused, also through a link."""
    fifo, link = tmp_path / "fifo", tmp_path / "link"
    os.mkfifo(fifo)
    link.symlink_to(fifo)
    for path in (fifo, link, tmp_path):
        assert 2 == main(["emulator", "--state", str(path)])
        assert f"--state must be a regular file, got {path}\n" in capsys.readouterr().err
    assert 1 == main(["emulator", "--state", str(tmp_path / "no" / "state.jsonl")])
    assert f"'{tmp_path}/no/state.jsonl'" in capsys.readouterr().err
    assert fifo.is_fifo()


def test_failed_save(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """When the state can't be written, the command says so once, goes on, and fails at its end.

    The earlier file is whole, no other one is left, and the state is written as soon as possible.
    """
    path, looks, fsync = tmp_path / "state.jsonl", list[str](), os.fsync
    path.write_text(SEED, "utf-8")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def look(_: float) -> None:
        looks.append(path.read_text("utf-8"))
        monkeypatch.setattr(os, "fsync", fsync if len(looks) == 2 else full)
        if len(looks) == 4:
            raise KeyboardInterrupt
        for emulator in emulators:
            emulator._site.changes += 1

    def start(emulator: Emulator) -> None:
        emulators.append(emulator)
        started(emulator)

    emulators, started = list[Emulator](), Emulator.start
    monkeypatch.setattr(Emulator, "start", start)
    monkeypatch.setattr(emulator_module, "sleep", look)
    monkeypatch.setattr(os, "fsync", full)
    assert 1 == main(["emulator", "-q", "--state", str(path)])
    assert looks[:2] == [SEED] * 2
    assert looks[2] == looks[3] == path.read_text("utf-8") != SEED
    assert [path] == list(tmp_path.iterdir())
    line = f"digitalocean-projects: [Errno 28] No space left on device: '{path}'"
    again = f"{line}; the emulator goes on and tries again"
    assert [again, again, line] == capsys.readouterr().err.splitlines()


def test_second_interrupt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second Ctrl-C during the stop loses no state and leaves no thread."""
    path, join = tmp_path / "state.jsonl", Thread.join

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    def interrupt_once(_: Thread) -> None:
        monkeypatch.setattr(Thread, "join", join)
        raise KeyboardInterrupt

    monkeypatch.setattr(emulator_module, "sleep", interrupt)
    monkeypatch.setattr(Thread, "join", interrupt_once)
    threads = active_count()
    assert 130 == main(["emulator", "-q", "--state", str(path)])
    assert '"name":"first-project"' in path.read_text("utf-8")
    assert threads == active_count()


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])  # noqa: S104 - only for a moment
def test_address_for_other_machines(
    host: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On all addresses, a note has an address of this machine or else its name; all URLs work."""
    opened = []

    def end(_: float) -> None:
        output = capsys.readouterr()
        for url in re.findall("http://[^ \n]+", output.out + output.err):
            assert 200 == Served(url, "").send("GET", "/_emulator/state")[0]
            opened.append(urlsplit(url).hostname)
        raise KeyboardInterrupt

    monkeypatch.setattr(emulator_module, "sleep", end)
    for elsewhere in (("127.0.0.1", 9), ("255.255.255.255", 9)):
        monkeypatch.setattr(emulator_module, "_ELSEWHERE", elsewhere)
        assert 130 == main(["emulator", "--host", host])
    own = "127.0.0.1" if host == "0.0.0.0" else "::1"  # noqa: S104 - not bound
    assert [own, "127.0.0.1", own, socket.gethostname()] == opened


def test_insecure_emulator(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Only an explicit setting sends the token over http to another machine."""
    with Emulator("0.0.0.0") as emulator:  # noqa: S104 - only for a moment
        # This is an address of this machine, but not a loopback address.
        port = emulator.url.rpartition(":")[2]
        monkeypatch.setenv("DIGITALOCEAN_API_URL", f"http://0.0.0.0:{port}")
        monkeypatch.setenv("DIGITALOCEAN_TOKEN", emulator.token)
        for value in ("", "0", "true"):
            monkeypatch.setenv("DIGITALOCEAN_PROJECTS_ALLOW_INSECURE", value)
            assert 2 == main(["list"])
        assert "--allow-insecure" in capsys.readouterr().err
        assert [] == emulator.requests
        assert 0 == main(["list", "--allow-insecure"])
        monkeypatch.setenv("DIGITALOCEAN_PROJECTS_ALLOW_INSECURE", "1")
        assert 0 == main(["list"])
    assert 2 == len(emulator.requests)
