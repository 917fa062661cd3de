"""The entry point of `python -m digitalocean_projects`, which runs the command."""

from __future__ import annotations

import sys

from ._cli import main

if __name__ == "__main__":
    sys.exit(main())
