"""The tools for an assistant, through a client of the protocol."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from mcp.client.client import Client
from mcp.client.stdio import StdioServerParameters

from digitalocean_projects.contrib.mcp import make_server, tools
from digitalocean_projects.testing import faults

if TYPE_CHECKING:
    from collections.abc import Callable

    from digitalocean_projects import AsyncClient
    from digitalocean_projects.testing import Emulator

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
        assert "create=True" in await error_of(client, "apply", wanted=wanted)
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
                server.stdin.write(message)
                server.stdin.close()
            else:
                server.send_signal(signal.Signals[end])
            assert status == server.wait(timeout=10)
            text = server.stderr.read()
        finally:
            server.kill()
    assert b"Error" not in text
    assert b"Traceback" not in text


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
