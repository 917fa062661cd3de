"""doctl's configuration: the tokens of its contexts."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from digitalocean_projects._errors import ClientUsageError
from digitalocean_projects._messages import Secret, quoted

_DEFAULT = "default"


def context_token(context: str) -> Secret:
    """Return the token that doctl has for a context.

    https://docs.digitalocean.com/reference/doctl/reference/auth/

    Raises:
        ClientUsageError: There is none, or doctl's file can't be read. Neither the message nor a
            local variable of its traceback holds any of the file's content.
        OSError: The file may not be read.
    """
    path = config_file(sys.platform)
    token = _token_in(path, context)
    if token is None:
        raise ClientUsageError(f"{path} is not what doctl writes")
    if not token:
        raise ClientUsageError(
            f"doctl has no token for the context {quoted(context)} in {path}: see doctl auth list"
        )
    return token


def config_file(platform: str) -> Path:
    """Return the path of doctl's configuration, in Go's `os.UserConfigDir`."""
    if platform == "darwin":
        folder = Path.home() / "Library" / "Application Support"
    elif platform == "win32":
        folder = Path(os.environ.get("APPDATA") or Path.home() / "AppData" / "Roaming")
    else:
        folder = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return folder / "doctl" / "config.yaml"


def _token_in(path: Path, context: str) -> Secret | None:
    """Return the token of a context: empty if there is none, None if the file isn't doctl's."""
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
        import yaml  # noqa: PLC0415 - an extra
    except ImportError:
        raise ClientUsageError(
            'doctl\'s configuration is read with PyYAML: pip install "digitalocean-projects[cli]"'
        ) from None
    try:
        # Its loader makes text of each scalar, which a token of digits would else not stay.
        return yaml.load(path.read_bytes(), yaml.BaseLoader)  # noqa: S506 - makes no objects
    except FileNotFoundError:
        raise ClientUsageError(f"doctl has no configuration in {path}") from None
    except (yaml.YAMLError, RecursionError):
        return None


def _found(contexts: dict[object, object], context: str) -> object:
    """Return the value of a context, which doctl may have written in lower case."""
    if context in contexts:
        return contexts[context]
    names = {str(name).lower(): token for name, token in contexts.items()}
    return names.get(context.lower())
