"""Page: the web page at `/`, which says what runs here and how to use it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from shlex import quote
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._account import Contents

_PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Emulator of DigitalOcean's Projects API</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 16px/1.5 system-ui, sans-serif; }}
body {{ max-width: 46rem; margin: 2rem auto; padding: 0 1rem; }}
pre {{ padding: 1rem; border: 1px solid #8888; border-radius: 6px; }}
pre {{ white-space: pre-wrap; overflow-wrap: anywhere; }}
table {{ border-collapse: collapse; width: 100%; }}
td {{ padding: .3rem .8rem .3rem 0; vertical-align: top; border-top: 1px solid #8884; }}
td:first-child {{ white-space: nowrap; }}
</style>
</head>
<body>
<h1>Emulator of DigitalOcean's Projects API</h1>
<p>This local emulator stands in for DigitalOcean. It holds {projects} and {resources} in
{accounts}.</p>
<h2>Use it</h2>
<pre>export DIGITALOCEAN_API_URL={origin}
export DIGITALOCEAN_TOKEN={token}
export DIGITALOCEAN_ACCESS_TOKEN={token}
curl -H "Authorization: Bearer $DIGITALOCEAN_TOKEN" {origin}/v2/projects
curl -d '{{"fault": "Status", "status": 503}}' {origin}/_emulator/faults</pre>
<h2>Control it</h2>
<table>
{rows}
</table>
<p>Requests for tokens, faults and the clock have a JSON body, such as
<code>{{"scopes": ["project:read", "droplet:read"]}}</code>,
<code>{{"fault": "Status", "status": 503, "times": 2}}</code> and
<code>{{"jump": 60}}</code>. With an <code>Authorization</code> header, state, seed and tokens apply
to that token's account. The faults are {faults}.</p>
</body>
</html>
"""


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def page(
    origin: str,
    token: str,
    accounts: Sequence[Contents],
    operations: Iterable[tuple[str, str]],
    faults: Iterable[str],
) -> str:
    """Return the page as HTML.

    Args:
        origin: The base URL.
        token: The token of the first account.
        accounts: The contents of the accounts.
        operations: The method and path of each operation of the emulator, and a description.
        faults: The names of the faults.
    """
    listings = [listing for each in accounts for listing in each.listings.values()]
    return _PAGE.format(
        projects=_counted(sum(len(each.projects) for each in accounts), "project"),
        resources=_counted(sum(map(len, listings)), "resource"),
        accounts=_counted(len(accounts), "account"),
        origin=escape(quote(origin)),
        token=escape(quote(token)),
        faults=escape(", ".join(faults)),
        rows="\n".join(
            f"<tr><td><code>{escape(name)}</code></td><td>{escape(text)}</td></tr>"
            for name, text in operations
        ),
    )
