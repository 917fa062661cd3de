"""MCP: a server of the Model Context Protocol, which gives an assistant tools for projects.

Requires the package `mcp`, which the extra `digitalocean-projects[mcp]` installs. The command
`digitalocean-projects mcp` serves over standard input and output. The configuration of a client,
such as `claude_desktop_config.json` or `.mcp.json`, names it:

```json
{
  "mcpServers": {
    "digitalocean-projects": {
      "command": "digitalocean-projects",
      "args": ["mcp"],
      "env": {"DIGITALOCEAN_TOKEN": "…"}
    }
  }
}
```

`"args": ["mcp", "--demo"]` needs no token: it uses an emulator with sample resources. By default,
all tools only read. With `--write` there are also tools that create projects, assign resources and
apply a wanted state. No tool deletes a project.

Outputs are bounded: a listing has pages, and a longer list is cut and says so. An error of the API
is a tool error with the message of this package, without the token.

A program can serve in another way, for example over HTTP:

```python
from digitalocean_projects import AsyncClient
from digitalocean_projects.contrib.mcp import make_server

server = make_server(AsyncClient("dop_v1_example"))
print(server.name)
```
```text
digitalocean-projects
```
"""

from digitalocean_projects._public import publish

from .tools import make_server

__all__ = ["make_server"]

publish(globals(), __name__)
