"""The Celery tasks, in a worker with two children."""

from __future__ import annotations

import re
import socket
import tempfile
from typing import TYPE_CHECKING, Any

import pytest

from digitalocean_projects.testing import faults
from tests.contrib.conftest import Server
from tests.recipes.conftest import recipe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from digitalocean_projects.testing import Emulator
    from tests.recipes.conftest import Program, Start

pytestmark = [pytest.mark.process, pytest.mark.redis, pytest.mark.slow]

# A child that ends waits up to 30 s until its parent has counted all its results. A parent that
# ends at the same time doesn't always count the last ones.
WARM = """
import billiard.pool
import tasks
from tasks import app

billiard.pool.GUARANTEE_MESSAGE_CONSUMPTION_RETRY_LIMIT = 1

tasks.client = tasks.client.with_options(deadline=2.0)
tasks.client.projects.get_default()
"""
ASSIGN = """
from tasks import assign

urns = {urns}
results = [assign.delay("{project}", urns[n::8]) for n in range(8)]
print(sum(result.get(timeout=90) for result in results))
"""
CHILD = r"\[.*/(ForkPoolWorker-\d+)\] Task tasks.assign\[.*\] "
REFUSED = f"""
import re
from pathlib import Path
from time import monotonic, sleep
from digitalocean_projects import RateLimitError
from tasks import assign

urns = ["do:droplet:1"]
error = assign.delay("default", urns).get(timeout=90, propagate=False)
print(isinstance(error, RateLimitError) and error.retry_after)
end = monotonic() + 90
while len(set(re.findall(r"{CHILD}retry", Path("log").read_text()))) < 2:
    assert monotonic() < end
    for _ in range(8):
        assign.delay("default", urns)
    sleep(0.05)
"""


@pytest.fixture
def redis(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A Redis on a port, since Celery and `RedisLimits` write the URL of a socket differently."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="r") as folder:
        server = Server(folder, port)
        server.start()
        monkeypatch.setenv("REDIS_URL", server.url)
        yield server
        server.kill()


@pytest.fixture
def worker(emulator: Emulator, redis: Server, start: Start, tmp_path: Path) -> Program:
    """A worker that uses its client before it forks."""
    assert emulator.url
    assert redis.url
    (tmp_path / "tasks.py").write_text(recipe("celery_tasks.py"), "utf-8")
    (tmp_path / "warm.py").write_text(WARM, "utf-8")
    options = ["--pool", "prefork", "--concurrency", "2", "-O", "fair", "--loglevel", "info"]
    program = start("celery", "--app", "warm", "worker", *options)
    program.logged(r"(celery@\S+ ready)")
    return program


def test_children(
    worker: Program, emulator: Emulator, redis: Server, script: Callable[[str], str]
) -> None:
    """Both children use the worker's client and share its limits."""
    shop = next(project.id for project in emulator.projects() if project.name == "web-shop")
    urns = emulator.resources()[:80]
    emulator.fail(faults.Delay(0.2), when=lambda request: request.method == "POST", times=8)
    assert "80\n" == script(ASSIGN.format(urns=urns, project=shop))
    assert set(urns) <= set(emulator.resources(shop))
    assert 2 == len(set(re.findall(CHILD + "succeeded", worker.log)))
    (key,) = redis.admin.keys("digitalocean-projects:*")
    members: Any = redis.admin.zrange(key, 0, -1)
    assert len(emulator.requests) == sum(b":" in member for member in members)
    worker.stop()


def test_wait(worker: Program, emulator: Emulator, script: Callable[[str], str]) -> None:
    """After a 429 for one child, both children retry their tasks later and send no request."""
    emulator.forget_requests()
    emulator.fail(faults.Status(429, retry_after=90))
    assert "90.0\n" == script(REFUSED)
    assert 1 == len(emulator.requests)
    worker.stop()
