"""doctl's configuration: the tokens of its contexts."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from digitalocean_projects._errors import ClientUsageError
from digitalocean_projects._secret import Secret, quoted

_DEFAULT = "default"


def context_token(context: str) -> Secret:
    """The token that doctl has for a context.

    https://docs.digitalocean.com/reference/doctl/reference/auth/

    Raises:
        ClientUsageError: There is none, or doctl's file can't be read; nothing of what it holds is
            in the message.
        OSError: The file may not be read.
    """
    path = config_file(sys.platform)
    document = _document(path)
    if context.lower() == _DEFAULT:
        token = document.get("access-token")
    else:
        contexts = document.get("auth-contexts")
        token = _found(contexts, context) if isinstance(contexts, dict) else None
    if not isinstance(token, str) or not token:
        raise ClientUsageError(
            f"doctl has no token for the context {quoted(context)} in {path}: see doctl auth list"
        )
    return Secret(token)


def config_file(platform: str) -> Path:
    """Where doctl keeps its configuration: in Go's `os.UserConfigDir`."""
    if platform == "darwin":
        folder = Path.home() / "Library" / "Application Support"
    elif platform == "win32":
        folder = Path(os.environ.get("APPDATA") or Path.home() / "AppData" / "Roaming")
    else:
        folder = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return folder / "doctl" / "config.yaml"


def _document(path: Path) -> dict[object, object]:
    try:
        import yaml  # noqa: PLC0415 - an extra
    except ImportError:
        raise ClientUsageError(
            'doctl\'s configuration is read with PyYAML: pip install "digitalocean-projects[cli]"'
        ) from None
    try:
        # Its loader makes text of each scalar, which a token of digits would else not stay.
        document = yaml.load(path.read_bytes(), yaml.BaseLoader)  # noqa: S506 - makes no objects
    except FileNotFoundError:
        raise ClientUsageError(f"doctl has no configuration in {path}") from None
    except (yaml.YAMLError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise ClientUsageError(f"{path} is not what doctl writes")
    return document


def _found(contexts: dict[object, object], context: str) -> object:
    """The value of a context, which doctl may have written in lower case."""
    if context in contexts:
        return contexts[context]
    names = {str(name).lower(): token for name, token in contexts.items()}
    return names.get(context.lower())
