"""Defaults: the values of settings and arguments that a user leaves out, and their names.

The command shows them in its help, so this module loads nothing.
"""

from __future__ import annotations

DEFAULT_PROJECT = "default"
"""The text that names the default project."""
MOST_SECONDS = 1e9
ENVIRONMENT = "env"
CONTEXT_VARIABLE = "DIGITALOCEAN_CONTEXT"  # of doctl
BASE_URL_VARIABLE = "DIGITALOCEAN_API_URL"
BASE_URL = "https://api.digitalocean.com"
DEFAULT_TIMEOUT = 30.0
DEFAULT_CONNECT_TIMEOUT = 10.0
DEFAULT_MAX_BODY = 16 * 2**20
DEFAULT_PER_PAGE = MAX_PER_PAGE = 200
DEFAULT_CONCURRENCY = 16
DEFAULT_MAX_PAGES = 10_000
DEFAULT_CHUNK_SIZE = 100
DEFAULT_CHUNKS = 4  # concurrent requests that assign resources
