"""doctl's contexts: the tokens that `doctl auth init` has stored.

doctl, the official command, keeps a token for each authentication context. A program of the same
user can use them, so that no token needs to be copied:

```python
from digitalocean_projects import Client
from digitalocean_projects.contrib import doctl

for context in doctl.contexts():
    with Client(doctl.token(context)) as client:
        print(context, [project.name for project in client.projects.list()])
```
```text
default ['first-project']
```

The extra `cli` installs PyYAML, which reads doctl's configuration file. The file is
`doctl/config.yaml` in `$XDG_CONFIG_HOME` or `~/.config`, in `~/Library/Application Support` on
macOS, in `%APPDATA%` on Windows, or the one that the environment variable DIGITALOCEAN_CONFIG
names. It is read at each call, in the calling thread, and never written. The context `default` has
the token that doctl has stored for it, even if DIGITALOCEAN_ACCESS_TOKEN is set.

https://docs.digitalocean.com/reference/doctl/reference/auth/
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from types import NoneType

from digitalocean_projects._arguments import checked_type
from digitalocean_projects._defaults import CONTEXT_VARIABLE
from digitalocean_projects._errors import ClientUsageError
from digitalocean_projects._messages import Secret, quoted

__all__ = ["contexts", "token"]

DEFAULT_CONTEXT = "default"
_FILE_VARIABLE = "DIGITALOCEAN_CONFIG"


def token(context: str | None = None) -> str:
    """Return the token of an authentication context of doctl.

    Args:
        context: The name of the context, a str in any case: doctl stores names in lower case.
            `default` is the one that `doctl auth init` creates without a name. None, the default,
            is the current context: that of the environment variable DIGITALOCEAN_CONTEXT, or else
            the one that `doctl auth switch` has chosen.

    Returns:
        The token, a str whose `repr` doesn't show it.

    Raises:
        ClientUsageError: doctl has no configuration file or no such token, the file is invalid, or
            PyYAML is not installed. Neither the message nor a local variable in its traceback holds
            content of the file.
        OSError: The file can't be read.
        TypeError: `context` has another type than annotated.
    """
    checked_type("context", context, (str, NoneType))
    path = config_file(sys.platform)
    name, found = _token_in(path, context)
    if found is None:
        raise _invalid(path)
    if not found:
        raise ClientUsageError(
            f"doctl has no token for the context {quoted(name)} in {path}; "
            "list the contexts with 'doctl auth list'"
        )
    return found


def contexts() -> tuple[str, ...]:
    """Return the names of doctl's contexts, in alphabetical order.

    They include `default` if it has a token. Like `doctl auth list`, they include each other
    context, also one without a token.

    Raises:
        ClientUsageError: doctl has no configuration file or no context, the file is invalid, or
            PyYAML is not installed.
        OSError: The file can't be read.
    """
    path = config_file(sys.platform)
    names = _names_in(path)
    if names is None:
        raise _invalid(path)
    if not names:
        raise ClientUsageError(
            f"doctl has no contexts in {path}; create one with 'doctl auth init'"
        )
    return names


def _invalid(path: Path) -> ClientUsageError:
    return ClientUsageError(
        f"{path} must be a doctl configuration; check it with 'doctl auth list'"
    )


def config_file(platform: str) -> Path:
    """Return the path of doctl's configuration file, which is in Go's `os.UserConfigDir`."""
    if named := os.environ.get(_FILE_VARIABLE):
        return Path(named)
    if platform == "darwin":
        folder = Path.home() / "Library" / "Application Support"
    elif platform == "win32":
        folder = Path(os.environ.get("APPDATA") or Path.home() / "AppData" / "Roaming")
    else:
        folder = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return folder / "doctl" / "config.yaml"


def _token_in(path: Path, context: str | None) -> tuple[str, Secret | None]:
    """Return the name and the token of a context.

    The token is empty if the context has none, and None if the file is invalid.
    """
    document = _document(path)
    if not isinstance(document, dict):
        return "", None
    if context is None:
        context = os.environ.get(CONTEXT_VARIABLE) or _chosen(document)
    if context.lower() == DEFAULT_CONTEXT:
        found = document.get("access-token")
    else:
        found = _found(_named(document), context)
    return context, Secret.hide(found) or Secret()


def _chosen(document: dict[object, object]) -> str:
    """Return the name of the context that `doctl auth switch` has stored.

    As with doctl, null stands for `default`, and the empty name for a context without a token.
    """
    chosen = document.get("context")
    if chosen is None:
        return DEFAULT_CONTEXT
    return chosen if isinstance(chosen, str) else ""


def _names_in(path: Path) -> tuple[str, ...] | None:
    """Return the names of the contexts; None if the file is invalid."""
    document = _document(path)
    if not isinstance(document, dict):
        return None
    names = {DEFAULT_CONTEXT} if Secret.hide(document.get("access-token")) else set()
    return tuple(sorted(names.union(_named(document))))


def _named(document: dict[object, object]) -> dict[str, object]:
    named = document.get("auth-contexts")
    items = named.items() if isinstance(named, dict) else ()
    return {name: token for name, token in items if isinstance(name, str)}


def _document(path: Path) -> object:
    try:
        import yaml  # noqa: PLC0415 - an optional extra
    except ImportError:
        raise ClientUsageError(
            'doctl\'s contexts require PyYAML: pip install "digitalocean-projects[cli]"'
        ) from None

    class Loader(yaml.BaseLoader):
        """A loader that keeps scalars other than null as text, such as a token of digits."""

    tag = "tag:yaml.org,2002:null"
    Loader.add_implicit_resolver(tag, re.compile(r"(?:~|null|Null|NULL|)\Z"), ["~", "n", "N", ""])
    Loader.add_constructor(tag, lambda loader, node: None)  # noqa: ARG005 - PyYAML calls it
    try:
        return yaml.load(path.read_bytes(), Loader)  # noqa: S506 - it creates no objects
    except FileNotFoundError:
        raise ClientUsageError(
            f"doctl has no configuration file {path}; create one with 'doctl auth init'"
        ) from None
    except (yaml.YAMLError, RecursionError):
        return None


def _found(named: dict[str, object], context: str) -> object:
    """Return the token of a context, whose name doctl may have written in lower case."""
    if context in named:
        return named[context]
    names = {name.lower(): token for name, token in named.items()}
    return names.get(context.lower())
