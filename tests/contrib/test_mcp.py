"""The tools for an assistant, through a client of the protocol."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any
from unittest.mock import AsyncMock

import pytest
from mcp.client.client import Client
from mcp.client.stdio import StdioServerParameters
from mcp.server.mcpserver import Context

from digitalocean_projects._cli.mcp import ignore_closed_pipes
from digitalocean_projects.contrib.mcp import make_server, tools
from digitalocean_projects.testing import faults

if TYPE_CHECKING:
    from collections.abc import Callable

    from digitalocean_projects import AsyncClient
    from digitalocean_projects.testing import Emulator, RecordedRequest

    MakeClient = Callable[..., AsyncClient]

pytestmark = pytest.mark.anyio

DROPLETS = [f"do:droplet:{number}" for number in range(5)]
READ = ["list_projects", "find_project", "project_of", "list_resources", "inventory", "report"]
READ += ["plan"]
WRITE = ["assign", "apply", "create_project"]


async def call(client: Client, tool: str, **arguments: Any) -> Any:
    """Return the structured result of a tool, which fits the tool's schema."""
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    return result.structured_content


async def error_of(client: Client, tool: str, **arguments: Any) -> str:
    """Return the message of a tool that fails."""
    result = await client.call_tool(tool, arguments)
    assert result.is_error
    text: str = result.content[0].text  # type: ignore[union-attr]  # an error is a text
    return text


async def test_tools(make_client: MakeClient) -> None:
    """Only with `write` there are tools that change the account; each says what it does."""
    async with make_client() as account:
        async with Client(make_server(account)) as client:
            found = {tool.name: tool for tool in (await client.list_tools()).tools}
            assert READ == list(found)
            with pytest.raises(Exception, match="Unknown tool"):
                await call(client, "assign", project="default", resources=DROPLETS)
        async with Client(make_server(account, write=True)) as client:
            found = {tool.name: tool for tool in (await client.list_tools()).tools}
    assert [*READ, *WRITE] == list(found)
    for name, tool in found.items():
        assert tool.description
        assert tool.output_schema
        assert "context" not in tool.input_schema["properties"]
        assert tool.annotations is not None
        assert tool.annotations.read_only_hint is (name in READ)
    assert [True, True, False] == [
        found[name].annotations.destructive_hint  # type: ignore[union-attr]  # checked above
        for name in WRITE
    ]
    assert "delete" not in " ".join(found)
    resources = found["assign"].input_schema["properties"]["resources"]
    assert "urn" == resources["items"]["format"]


async def test_reading(make_client: MakeClient, emulator: Emulator) -> None:
    """The tools read projects, resources, their places and their numbers."""
    shop = emulator.seed(DROPLETS, name="shop")
    emulator.seed(["do:volume:1"], default=True)
    async with make_client() as account, Client(make_server(account)) as client:
        found = await call(client, "list_projects")
        assert (2, False, 2) == (found["total"], found["cut"], len(found["projects"]))
        assert (await call(client, "list_projects", limit=1))["cut"]
        for project in (shop, "shop", "name:shop"):
            found = await call(client, "find_project", project=project)
            assert shop == found["project"]["id"]
        place = await call(client, "project_of", resource=DROPLETS[0])
        assert "shop" == place["project"]["name"]
        assert {"project": None} == await call(client, "project_of", resource="do:droplet:99")

        page = await call(client, "list_resources", project="shop", per_page=3)
        assert (DROPLETS[:3], 5, 2) == (urns(page["resources"]), page["total"], page["next_page"])
        page = await call(client, "list_resources", project="shop", per_page=3, page=2)
        assert (DROPLETS[3:], None) == (urns(page["resources"]), page["next_page"])
        assert 1 == (await call(client, "list_resources"))["total"]

        rows = await call(client, "inventory", type="droplet", limit=2)
        assert (5, True, []) == (rows["total"], rows["cut"], rows["failures"])
        assert DROPLETS[:2] == urns(row["resource"] for row in rows["rows"])
        assert {"shop"} == {row["project"] for row in rows["rows"]}
        assert 6 == len((await call(client, "inventory"))["rows"])

        report = await call(client, "report")
        counted = {each["name"]: each["types"] for each in report["projects"]}
        assert {"shop": {"droplet": 5}, "first-project": {"volume": 1}} == counted
        report = await call(client, "report", limit=1)
        assert (1, 6, True) == (len(report["projects"]), report["total"], report["cut"])

        wanted = {"default": DROPLETS[:3], "shop": DROPLETS[3:]}
        plan = await call(client, "plan", wanted=wanted, limit=2)
        assert (2, 3, True, 2) == (
            len(plan["moves"]),
            plan["total_moves"],
            plan["cut"],
            plan["kept"],
        )
    assert DROPLETS == emulator.resources(shop)


def urns(resources: Any) -> list[str]:
    return [resource["urn"] for resource in resources]


async def test_writing(make_client: MakeClient, emulator: Emulator) -> None:
    """The tools create a project, assign resources and apply a wanted state."""
    emulator.seed(DROPLETS, default=True)
    async with make_client() as account, Client(make_server(account, write=True)) as client:
        purpose = "Website or blog"
        made = await call(
            client, "create_project", name="shop", purpose=purpose, environment="Staging"
        )
        assert ("shop", "Staging") == (made["project"]["name"], made["project"]["environment"])
        done = await call(client, "assign", project="shop", resources=[*DROPLETS[:2], DROPLETS[0]])
        assert (True, DROPLETS[:2]) == (done["complete"], urns(done["result"]["resources"]))
        done = await call(client, "assign", project="shop", resources=["do:droplet:99"])
        assert not done["complete"]
        wanted = {"shop": DROPLETS[:1], "new": DROPLETS[1:]}
        assert "call again with create: true" in await error_of(client, "apply", wanted=wanted)
        done = await call(client, "apply", wanted=wanted, create=True)
        assert (True, ["new"]) == (
            done["complete"],
            [each["name"] for each in done["result"]["created"]],
        )
        assert sorted(DROPLETS[1:]) == sorted(done["result"]["moved"])
        done = await call(client, "apply", wanted={"new": ["do:droplet:99"]})
        assert not done["complete"]
    assert DROPLETS[:1] == emulator.resources(made["project"]["id"])


async def test_errors(make_client: MakeClient, emulator: Emulator) -> None:
    """An error is that of the tool, with the message of this package and without the token."""
    emulator.seed(DROPLETS, name="shop")
    async with make_client() as account, Client(make_server(account)) as client:
        assert "no project is named 'shp'" in await error_of(client, "find_project", project="shp")
        text = await error_of(client, "plan", wanted={"shop": DROPLETS, "default": DROPLETS})
        assert "wanted" in text
        emulator.respond(401, {"id": "unauthorized", "message": f"token {emulator.token}"})
        text = await error_of(client, "list_projects")
        assert "401 unauthorized: token ***" in text
        emulator.fail(faults.Status(500), when=lambda request: "resources" in request.path, times=2)
        found = await call(client, "inventory")
        assert {"shop", "first-project"} == {each["project"] for each in found["failures"]}
        assert all(each["error"].startswith("500") for each in found["failures"])
        for arguments in ({"limit": 0}, {"limit": 1001}):
            assert "limit" in await error_of(client, "inventory", **arguments)
        assert "urn" in (await error_of(client, "project_of", resource="x")).lower()


async def test_progress(
    make_client: MakeClient, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A long call reports the number of its requests meanwhile and at its end."""
    monkeypatch.setattr(tools, "_SECONDS_BETWEEN_REPORTS", 0.001)
    emulator.seed(DROPLETS, default=True)
    reports: list[tuple[float, str | None]] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        assert total is None
        reports.append((progress, message))

    emulator.fail(faults.Delay(0.05))
    async with make_client() as account, Client(make_server(account)) as client:
        await client.call_tool("report", {}, progress_callback=note)
    assert (2, "2 requests sent") == reports[-1]
    assert 1 < len(reports)
    assert sorted(reports) == reports


async def test_partial_outcome(make_client: MakeClient, emulator: Emulator) -> None:
    """An error leaves the outcome of each resource, and the created projects, in the answer."""
    urns = [f"do:droplet:{number}" for number in range(250)]
    emulator.seed(urns, default=True)
    shop = emulator.seed([], name="shop")

    def is_last(request: RecordedRequest) -> bool:
        return request.method == "POST" and b'"do:droplet:249"' in request.body

    async with make_client() as account, Client(make_server(account, write=True)) as client:
        emulator.fail(faults.Status(403), when=is_last)
        answer = await call(client, "assign", project=shop, resources=urns)
        assert (False, urns[200:]) == (answer["complete"], answer["result"]["untouched"])
        assert urns[:200] == [each["urn"] for each in answer["result"]["resources"]]
        assert "403" in answer["error"]

        emulator.fail(faults.Status(403), when=is_last)
        answer = await call(client, "apply", wanted={"new": urns}, create=True)
        assert (False, 200) == (answer["complete"], len(answer["result"]["moved"]))
        assert 50 == len(answer["result"]["untouched"])
        assert ["new"] == [each["name"] for each in answer["result"]["created"]]
        assert "403" in answer["error"]

        emulator.fail(faults.Status(403), when=lambda request: b'"two"' in request.body)
        wanted = {"one": urns[:1], "two": urns[1:2]}
        text = await error_of(client, "apply", wanted=wanted, create=True)
        assert "created before the error: 'one'; another plan finds them" in text


async def test_other_name(make_client: MakeClient, emulator: Emulator) -> None:
    """An assignment is complete although the API answers with another name of a resource."""
    emulator.seed(["do:floatingip:192.0.2.1"], default=True)
    shop = emulator.seed([], name="shop")
    resources = ["do:reservedip:192.0.2.1", "do:floatingip:192.0.2.1"]
    async with make_client() as account, Client(make_server(account, write=True)) as client:
        answer = await call(client, "assign", project=shop, resources=resources)
    assert (True, None) == (answer["complete"], answer["error"])
    assert resources[1:] == emulator.resources(shop)


async def test_page_without_total(make_client: MakeClient, emulator: Emulator) -> None:
    """A page has a next one if it links to one, even if the API sends no total."""
    page = {"resources": [{"urn": DROPLETS[0]}], "links": {"pages": {"next": "/?page=3"}}}
    emulator.respond(200, page)
    async with make_client() as account, Client(make_server(account)) as client:
        answer = await call(client, "list_resources", page=2)
        assert (None, 3) == (answer["total"], answer["next_page"])


async def test_doubts(make_client: MakeClient, emulator: Emulator) -> None:
    """Answers say why they may be incomplete, and an excess of these reasons is cut."""
    emulator.seed(DROPLETS, default=True)
    shop = emulator.seed(["do:droplet:9", "do:volume:1"], name="shop")
    token = emulator.add_token(["project:read", "droplet:read"])
    changing = {"resources": [{"urn": DROPLETS[0]}] * 2, "meta": {"total": 2}}
    expected = [
        "shop: the listing changed while it was read; items may be missing or out of date",
        "shop: resources that the listing lacks: 1; the token may lack scopes",
        "do:droplet:0: it is in shop and in first-project, so it has just been moved",
    ]
    async with make_client(token) as account, Client(make_server(account)) as client:
        for tool in ("inventory", "report"):
            assert [expected[1]] == (await call(client, tool))["doubts"]
            emulator.respond(200, changing, when=lambda request: shop in request.path, times=3)
            answer = await call(client, tool)
            assert sorted(expected) == sorted(answer["doubts"])
            assert not answer["cut"]
            emulator.respond(200, changing, when=lambda request: shop in request.path, times=3)
            answer = await call(client, tool, limit=2)
            assert (2, True) == (len(answer["doubts"]), answer["cut"])
        assert [] == (await call(client, "list_projects"))["doubts"]
        project = {"id": shop, "name": "shop"}
        emulator.respond(200, {"projects": [project] * 2, "meta": {"total": 2}}, times=3)
        answer = await call(client, "list_projects")
    assert [
        "the listing changed while it was read; items may be missing or out of date",
        "projects that the listing lacks: 1",
    ] == answer["doubts"]


async def test_bounds_and_types(make_client: MakeClient) -> None:
    """A wanted state has a maximum size, a plan is cut, and a type has a listed name."""
    async with make_client() as account, Client(make_server(account)) as client:
        urns = [f"do:droplet:{number}" for number in range(1000)]
        text = await error_of(client, "plan", wanted={"default": urns})
        assert "wanted must have at most 1000 projects and resources, got 1001" in text
        wanted: dict[str, list[str]] = {name: [] for name in "abc"}
        plan = await call(client, "plan", wanted=wanted, create=True, limit=2)
        assert (2, 3, True) == (len(plan["new_projects"]), plan["total_new_projects"], plan["cut"])
        for name, expected in (
            ("Droplet", "types are in lower case; use 'droplet' instead of 'Droplet'"),
            ("Droplets", "use the type 'droplet' instead of 'droplets'"),
            ("do:droplet:1", "type must be a resource type, such as 'droplet', got"),
        ):
            assert expected in await error_of(client, "inventory", type=name)
        assert 0 == (await call(client, "inventory", type="reservedip"))["total"]


async def test_input_is_hidden(make_client: MakeClient) -> None:
    """The error for a wrong argument doesn't repeat it, since it may be a token."""
    wrong = "not-a-known-form-of-a-token"
    async with make_client() as account, Client(make_server(account, write=True)) as client:
        for arguments in ({"project": [wrong]}, {"per_page": wrong}):
            text = await error_of(client, "list_resources", **arguments)
            assert "validation error" in text
            assert wrong not in text
        text = await error_of(client, "assign", project="shop", resources=wrong)
        assert wrong not in text


async def test_failing_progress(
    make_client: MakeClient, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A report of progress that fails doesn't cost the outcome of a write."""
    monkeypatch.setattr(tools, "_SECONDS_BETWEEN_REPORTS", 0.001)
    emulator.seed(DROPLETS, default=True)
    shop = emulator.seed([], name="shop")
    emulator.fail(faults.Delay(0.05))
    monkeypatch.setattr(Context, "report_progress", failing := AsyncMock(side_effect=OSError))
    async with make_client() as account, Client(make_server(account, write=True)) as client:
        assert (await call(client, "assign", project=shop, resources=DROPLETS))["complete"]
    assert 1 < failing.call_count
    assert DROPLETS == sorted(emulator.resources(shop))


async def test_progress_of_one_call(make_client: MakeClient, emulator: Emulator) -> None:
    """The progress of a call doesn't count the requests of another one."""
    messages: list[str | None] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        assert (2, None) == (progress, total)
        messages.append(message)

    emulator.fail(faults.Delay(0.05), times=2)
    async with make_client() as account, Client(make_server(account)) as client:
        async with asyncio.TaskGroup() as group:
            group.create_task(client.call_tool("report", {}, progress_callback=note))
            group.create_task(client.call_tool("inventory", {}, progress_callback=note))
        assert 4 == account.statistics().requests
    assert ["2 requests sent"] * 2 == messages


async def test_logging_is_kept(make_client: MakeClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server doesn't change the root logger of the program."""
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    async with make_client() as account:
        make_server(account)
    assert ([], logging.WARNING) == (root.handlers, root.level)


@pytest.mark.process
async def test_command() -> None:
    """The command serves over standard input and output."""
    environment = {**os.environ, "DIGITALOCEAN_TOKEN": "", "DIGITALOCEAN_ACCESS_TOKEN": ""}
    command = ["-m", "digitalocean_projects", "mcp", "--demo", "--write"]
    server = StdioServerParameters(command=sys.executable, args=command, env=environment)
    async with Client(server) as client:
        tools = (await client.list_tools()).tools
        assert [*READ, *WRITE] == [tool.name for tool in tools]
        assert 1234 == (await call(client, "report"))["total"]


@pytest.mark.process
@pytest.mark.parametrize(("end", "status"), [("SIGINT", 130), ("SIGTERM", 143), ("client", 0)])
def test_end_of_command(end: str, status: int) -> None:
    """A signal ends the server while its input is open. The end of its client is no error."""
    command = [sys.executable, "-m", "digitalocean_projects", "mcp", "--demo"]
    message = b'{"jsonrpc": "2.0", "id": 1, "method": "ping"}\n'
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0) as server:
        assert server.stdin
        assert server.stdout
        assert server.stderr
        try:
            server.stdin.write(message)
            assert b'"id":1' in server.stdout.readline()
            if end == "client":
                server.stdout.close()
                # The end of the input comes after the server has failed to answer.
                server.stdin.write(200 * message)
                server.stdin.close()
            else:
                server.send_signal(signal.Signals[end])
            assert status == server.wait(timeout=10)
            text = server.stderr.read()
        finally:
            server.kill()
    assert (b"Error" in text, b"Traceback" in text) == (False, False), text


def test_closed_pipes_are_not_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """An object that can't be freed is reported, unless the reason is a closed pipe."""
    reported: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda error: reported.append(error.exc_type))
    ignore_closed_pipes()

    class Unfreed:
        def __init__(self, error: Exception) -> None:
            self._error = error

        def __del__(self) -> None:
            raise self._error

    for error in (BrokenPipeError(), ValueError()):
        Unfreed(error)
    assert [ValueError] == reported


@pytest.mark.process
def test_end_and_without_mcp() -> None:
    """The server ends with its input. Without the package, the command names the extra."""
    code = (
        "import sys\n"
        "from digitalocean_projects._cli import main\n"
        "sys.modules['mcp'] = None\n"
        "first = main(['mcp', '--demo'])\n"
        "del sys.modules['mcp']\n"
        "second = main(['mcp', '--demo', '--quiet'])\n"
        "print(first, second, file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        check=True,
        stdin=subprocess.DEVNULL,
        text=True,
        timeout=60,
    )
    *_, error, statuses = done.stderr.splitlines()
    expected = "digitalocean_projects.contrib.mcp requires mcp; install the extra "
    assert f"{expected}digitalocean-projects[mcp]" in error
    assert ("2 0", "") == (statuses, done.stdout)
