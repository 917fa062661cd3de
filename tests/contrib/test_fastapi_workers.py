"""The guide's application in several processes, which share a token's allowance."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx2
import pytest

from digitalocean_projects.testing import Emulator
from tests.contrib.serving import example_code

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.contrib.conftest import Server

pytestmark = [pytest.mark.process, pytest.mark.slow]

WORKERS, REQUESTS = 3, 100
WINDOWS = ((25, 0.8), (75, 3.0))
# Without retries, a refusal by the API would be a 503.
CLIENT = """
import os
from functools import partial
from digitalocean_projects import RetryPolicy
from digitalocean_projects.contrib.redis import RedisLimits

limits = RedisLimits("URL", windows=WINDOWS, margin=0.02, grace=0.1, hold=90.0, prefix="fastapi")
user_agent = f"worker {os.getpid()}"
partial = partial(partial, limits=limits, retry=RetryPolicy(attempts=1), user_agent=user_agent)
"""


@contextmanager
def serve_with_workers(folder: Path, environment: dict[str, str]) -> Iterator[str]:
    """Serve the folder's `app.py` by uvicorn with several workers, and yield its URL."""
    command = [sys.executable, "-m", "uvicorn", "app:app", "--port", "0", "--no-access-log"]
    server = subprocess.Popen(
        [*command, "--workers", str(WORKERS)],
        cwd=folder,
        env={**os.environ, **environment},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stderr is not None
        found = None
        ready = 0
        for line in server.stderr:
            found = found or re.search(r"running on (http://\S+)", line)
            ready += "Application startup complete" in line
            if ready == WORKERS:
                break
        assert found is not None
        assert WORKERS == ready
        yield found[1]
    finally:
        server.terminate()
        server.communicate(timeout=60)


def test_workers(tmp_path: Path, server: Server) -> None:
    """Workers with more requests than the API allows wait, and are never refused."""
    server.admin.flushall()
    marker = "\napp = FastAPI("
    code = example_code().replace(
        marker, CLIENT.replace("URL", server.url).replace("WINDOWS", str(WINDOWS)) + marker
    )
    (tmp_path / "app.py").write_text(code, "utf-8")
    with Emulator(limits=WINDOWS) as emulator:
        emulator.seed(["do:droplet:1"], default=True)
        environment = {
            "DIGITALOCEAN_API_URL": emulator.url,
            "DIGITALOCEAN_TOKEN": emulator.token,
        }
        with (
            serve_with_workers(tmp_path, environment) as url,
            ThreadPoolExecutor(32) as threads,
            # Each request has its own connection, which any free worker accepts.
            httpx2.Client(
                base_url=url, timeout=60, limits=httpx2.Limits(max_keepalive_connections=0)
            ) as browser,
        ):
            paths = ["/projects", "/projects/default/newest", "/projects/default/resources"]
            asked = [paths[number % 3] for number in range(REQUESTS)]
            answers = list(threads.map(browser.get, asked))
        assert [200] * REQUESTS == [answer.status_code for answer in answers]
        assert REQUESTS == len(emulator.requests)
        agents = {request.headers["User-Agent"] for request in emulator.requests}
        assert len(agents) > 1
