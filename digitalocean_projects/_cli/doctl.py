"""doctl: the tokens in its configuration file."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from digitalocean_projects._errors import ClientUsageError
from digitalocean_projects._messages import Secret, quoted

from .terminal import INSTALL

_DEFAULT = "default"


def context_token(context: str) -> Secret:
    """Return the token of an authentication context of doctl.

    https://docs.digitalocean.com/reference/doctl/reference/auth/

    Raises:
        ClientUsageError: doctl has no configuration file or no such token, the file is invalid, or
            PyYAML is not installed. Neither the message nor a local variable in its traceback holds
            content of the file.
        OSError: The file cannot be read.
    """
    path = config_file(sys.platform)
    token = _token_in(path, context)
    if token is None:
        raise ClientUsageError(
            f"{path} must be a doctl configuration; check it with 'doctl auth list'"
        )
    if not token:
        raise ClientUsageError(
            f"doctl has no token for the context {quoted(context)} in {path}; "
            "list the contexts with 'doctl auth list'"
        )
    return token


def config_file(platform: str) -> Path:
    """Return the path of doctl's configuration file, which is in Go's `os.UserConfigDir`."""
    if platform == "darwin":
        folder = Path.home() / "Library" / "Application Support"
    elif platform == "win32":
        folder = Path(os.environ.get("APPDATA") or Path.home() / "AppData" / "Roaming")
    else:
        folder = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return folder / "doctl" / "config.yaml"


def _token_in(path: Path, context: str) -> Secret | None:
    """Return the token of a context: empty if it has none, None if the file is invalid."""
    document = _document(path)
    if not isinstance(document, dict):
        return None
    if context.lower() == _DEFAULT:
        token = document.get("access-token")
    else:
        contexts = document.get("auth-contexts")
        token = _found(contexts, context) if isinstance(contexts, dict) else None
    return Secret.hide(token) or Secret()


def _document(path: Path) -> object:
    try:
        import yaml  # noqa: PLC0415 - an optional extra
    except ImportError:
        raise ClientUsageError(f"--context requires PyYAML: {INSTALL}") from None
    try:
        # BaseLoader keeps scalars as text. Another loader would turn a token of digits into an int.
        return yaml.load(path.read_bytes(), yaml.BaseLoader)  # noqa: S506 - it creates no objects
    except FileNotFoundError:
        raise ClientUsageError(
            f"doctl has no configuration file {path}; create one with 'doctl auth init'"
        ) from None
    except (yaml.YAMLError, RecursionError):
        return None


def _found(contexts: dict[object, object], context: str) -> object:
    """Return the token of a context, whose name doctl may have written in lower case."""
    if context in contexts:
        return contexts[context]
    names = {str(name).lower(): token for name, token in contexts.items()}
    return names.get(context.lower())
