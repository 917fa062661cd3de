"""Errors that mean that Redis is away, other errors, and shared connections."""

from __future__ import annotations

import asyncio
import logging
import socket
import socketserver
import tempfile
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from digitalocean_projects import AsyncClient, RateLimitWaitError, RetryPolicy
from digitalocean_projects.contrib.redis import (
    RedisLimits,
    RedisLimitsError,
    RedisUnavailableError,
)
from digitalocean_projects.contrib.redis import location as _redis_location
from digitalocean_projects.contrib.redis import server as _redis_server
from digitalocean_projects.contrib.redis.bucket import redis_bucket
from digitalocean_projects.contrib.redis.server import known_server
from tests.contrib.conftest import Server, free_ports, is_busy, look, source, told, until, use

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from io import BufferedIOBase

    from digitalocean_projects import TokenBucket
    from digitalocean_projects.testing import Emulator
    from tests.contrib.conftest import MakeBucket

    MakeBuckets = Callable[[RedisLimits, int], list[TokenBucket]]

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_leaks")]

GRANTED = b"*6\r\n:7\r\n:1\r\n:0\r\n:0\r\n:0\r\n:0"
AWAY = [
    b"-LOADING Redis is loading the dataset in memory",
    b"-READONLY You can't write against a read only replica.",
    b"-MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
    b"-CLUSTERDOWN The cluster is down",
    b"-TRYAGAIN Multiple keys request during rehashing of slot",
    b"-OOM command not allowed when used memory > 'maxmemory'.",
    b"-MISCONF Redis is configured to save RDB snapshots, but can't persist on disk.",
    b"-NOREPLICAS Not enough good replicas to write.",
    b"-BUSY Redis is busy running a script. You can only call SCRIPT KILL.",
    b"-NOAUTH Authentication required.",
    b"-ERR max number of clients reached",
    b"-ERR Error running script (call to f_1): @user_script: 15: -READONLY You can't write.",
]
REFUSED = [
    b"-MOVED 3999 127.0.0.1:6381",
    b"-ASK 3999 127.0.0.1:6381",
    b"-CROSSSLOT Keys in request don't hash to the same slot",
    b"-NOPERM this user has no permissions to run the 'evalsha' command",
    b"-WRONGTYPE Operation against a key holding the wrong kind of value",
    b"-ERR unknown command 'EVALSHA'",
    b"-ERR Error running script: the word READONLY is not a code",
]
BROKEN = [
    b"HTTP/1.1 400 Bad Request",
    b"+OK",
    b":1",
    b"*1\r\n:1",
    b"*6\r\n:7\r\n:1\r\n:0\r\n:0\r\n:0\r\n$1\r\nx",
]


class ScriptedRedis(socketserver.ThreadingUnixStreamServer):
    """A server that answers each call of the script with a given answer.

    Attributes:
        answer: The answer; None sends nothing.
        held: A key whose calls are answered when `release` is set.
        held_answer: The answer to these calls.
        connections: The accepted connections.
        calls: The number of calls of the script.
        closes: True if each connection is closed after a call.
        new_epochs: True if each answer that grants tokens has another epoch.
    """

    request_queue_size = 500

    def __init__(self, path: str) -> None:
        super().__init__(path, Connection)
        self.url = f"unix://{path}"
        self.answer: bytes | None = GRANTED
        self.held = b""
        self.held_answer = GRANTED
        self.release = threading.Event()
        self.connections: list[socket.socket] = []
        self.calls = 0
        self.closes = False
        self.new_epochs = False

    def stop(self) -> None:
        self.shutdown()
        for connection in self.connections:
            with suppress(OSError):  # The client has closed it.
                connection.shutdown(socket.SHUT_RDWR)
        self.server_close()


def commands(file: BufferedIOBase) -> Iterator[list[bytes]]:
    """Yield the commands that a client sends, each as a list of words."""
    while line := file.readline():
        words = []
        for _ in range(int(line[1:])):
            length = int(file.readline()[1:])
            words.append(file.read(length + 2)[:-2])
        yield words


class Connection(socketserver.StreamRequestHandler):
    server: ScriptedRedis

    def handle(self) -> None:
        self.server.connections.append(self.connection)
        with suppress(ConnectionError):
            for words in commands(self.rfile):
                if words[0] != b"EVALSHA":
                    self.wfile.write(b"+OK\r\n")
                    continue
                self.server.calls += 1
                if self.server.new_epochs or self.server.closes:
                    epoch = self.server.calls if self.server.new_epochs else 7
                    granted = b"*6\r\n:%d\r\n:%s\r\n:0\r\n:0\r\n:0\r\n:0\r\n"
                    self.wfile.write(granted % (epoch, words[6]))
                    if self.server.closes:
                        return
                elif self.server.held and self.server.held in words[3]:
                    assert self.server.release.wait(60)
                    self.wfile.write(self.server.held_answer + b"\r\n")
                elif self.server.answer is not None:
                    self.wfile.write(self.server.answer + b"\r\n")


@pytest.fixture(autouse=True)
def _short_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_redis_server, "SECONDS_BETWEEN_LOOKS", 0.1)
    # A busy machine must not look like an outage.
    monkeypatch.setattr(_redis_location, "_SOCKET_SECONDS", 20.0)


@pytest.fixture
def scripted() -> Iterator[ScriptedRedis]:
    with tempfile.TemporaryDirectory(prefix="r") as folder:
        server = ScriptedRedis(f"{folder}/redis")
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.stop()
        thread.join(60)


@pytest.fixture
def make_buckets() -> Iterator[MakeBuckets]:
    """Yield a function that creates buckets of several tokens, which outlive the test's loop."""
    kept: list[TokenBucket] = []

    def make(limits: RedisLimits, count: int) -> list[TokenBucket]:
        kept[:] = [redis_bucket(limits, f"token {number}") for number in range(count)]
        return list(kept)

    yield make
    kept.clear()


@pytest.mark.parametrize("answer", AWAY)
async def test_away(scripted: ScriptedRedis, make_bucket: MakeBucket, answer: bytes) -> None:
    """If Redis accepts no writes at the moment, the worker keeps to its share."""
    bucket = make_bucket(scripted.url, windows=((8, 60.0),))
    scripted.answer = answer
    await use(bucket)
    assert source(bucket)._away
    scripted.answer = GRANTED
    await look(bucket)


@pytest.mark.parametrize("policy", ["share", "fail", "open"])
@pytest.mark.parametrize("answer", [*REFUSED, *BROKEN])
async def test_broken(
    scripted: ScriptedRedis,
    make_bucket: MakeBucket,
    answer: bytes,
    policy: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Any other error fails each waiting request at once, and is logged once."""
    caplog.set_level(logging.INFO)
    bucket = make_bucket(scripted.url, windows=((99, 60.0),), on_unavailable=policy)
    scripted.answer = answer
    async with asyncio.timeout(40):
        for _ in range(3):
            errors = await asyncio.gather(*(use(bucket) for _ in range(20)), return_exceptions=True)
            assert {RedisLimitsError} == set(map(type, errors))
    assert (0, 0, "") == (
        bucket.statistics().granted,
        bucket.statistics().waiting,
        source(bucket)._away,
    )
    (record,) = caplog.records
    assert (logging.ERROR, "digitalocean_projects") == (record.levelno, record.name)
    text = record.getMessage()
    scripted.answer = GRANTED
    await use(bucket)
    if answer in REFUSED:
        assert text.startswith(f"Redis refuses key {source(bucket)._key}, so its requests fail: ")
        assert [text] == caplog.messages
    else:
        assert text.startswith("Redis can't share the limits, so requests fail: ")
        assert [text, "Redis is back, limits are shared again"] == caplog.messages


async def test_broken_while_nobody_waits(
    scripted: ScriptedRedis, make_bucket: MakeBucket, caplog: pytest.LogCaptureFixture
) -> None:
    """A report that Redis refuses is sent again after a while."""
    bucket = make_bucket(scripted.url, windows=((8, 60.0),), hold=60.0)
    lease = bucket.lease()
    await lease.__aenter__()
    scripted.answer = REFUSED[0]
    lease.settle()
    await until(lambda: bool(caplog.records))
    assert source(bucket)._ledger.untold
    scripted.answer = GRANTED
    await until(lambda: not source(bucket)._ledger.untold)
    assert 1 == len(caplog.records)


async def test_refused_while_away(scripted: ScriptedRedis, make_bucket: MakeBucket) -> None:
    """A Redis server that was away and then refuses a call is no longer away."""
    bucket = make_bucket(scripted.url, windows=((8, 60.0),))
    scripted.answer = AWAY[0]
    await use(bucket)
    scripted.answer = REFUSED[0]
    await look(bucket)
    with pytest.raises(RedisLimitsError, match="MovedError"):
        await use(bucket)


async def test_request_of_a_client(scripted: ScriptedRedis, emulator: Emulator) -> None:
    """A client's request fails with the error, whose chain has no other error."""
    scripted.answer = REFUSED[0]
    options: dict[str, Any] = {"base_url": emulator.url, "limits": RedisLimits(scripted.url)}
    async with AsyncClient(emulator.token, retry=RetryPolicy(), **options) as client:
        with pytest.raises(
            RedisLimitsError, match="the rate limits are not available from Redis: MovedError"
        ) as caught:
            await client.projects.list_resources().first_page()
    assert (None, None) == (caught.value.__cause__, caught.value.__context__)
    assert not isinstance(caught.value, RedisUnavailableError)
    assert [] == emulator.requests


def spoil(server: Server, key: str) -> None:
    """Set the key of the leases of a token to a text."""
    server.admin.set(key, "text")


def forbid(server: Server, key: str) -> None:
    """Forbid the keys of a token to the user of the buckets."""
    others = f"*[^{key[-2]}]}}*"
    server.admin.acl_setuser(
        "default", enabled=True, nopass=True, keys=[others], categories=["+@all"], reset_keys=True
    )


@pytest.mark.parametrize("break_key", [spoil, forbid])
async def test_one_key_is_refused(
    own_server: Server,
    make_buckets: MakeBuckets,
    caplog: pytest.LogCaptureFixture,
    break_key: Callable[[Server, str], None],
) -> None:
    """A refused key is logged once, and other tokens keep their connections."""
    caplog.set_level(logging.INFO)
    bad, good = make_buckets(RedisLimits(own_server.url, windows=((99, 60.0),), hold=60.0), 2)
    await use(good)
    break_key(own_server, source(bad)._key)
    before = own_server.admin.info("stats")["total_connections_received"]
    for _ in range(10):
        with pytest.raises(RedisLimitsError) as caught:
            await use(bad)
        await use(good)
    assert before == own_server.admin.info("stats")["total_connections_received"]
    assert (11, 0) == (good.statistics().granted, bad.statistics().granted)
    (record,) = caplog.records
    assert (logging.ERROR, source(bad)._key) == (record.levelno, vars(record)["do_key"])
    assert caught.value.reason == vars(record)["do_reason"]
    assert f"Redis refuses key {source(bad)._key}, so its requests fail: {caught.value.reason}" == (
        record.getMessage()
    )


async def test_many_keys_are_refused(
    scripted: ScriptedRedis, make_buckets: MakeBuckets, caplog: pytest.LogCaptureFixture
) -> None:
    """Each refused key is logged, up to 100 an hour."""
    scripted.answer = REFUSED[0]
    buckets = make_buckets(RedisLimits(scripted.url), 120)
    calls = [use(bucket) for bucket in buckets for _ in range(2)]
    errors = await asyncio.gather(*calls, return_exceptions=True)
    assert {RedisLimitsError} == set(map(type, errors))
    assert 100 == len({vars(record)["do_key"] for record in caplog.records}) == len(caplog.records)


async def test_refusal_is_said_again(
    scripted: ScriptedRedis,
    make_bucket: MakeBucket,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A refusal is logged for each reason, and again after an hour."""
    bucket = make_bucket(scripted.url, windows=((99, 60.0),))
    for answer in (*REFUSED[3:5], *REFUSED[3:5]):
        scripted.answer = answer
        with pytest.raises(RedisLimitsError):
            await use(bucket)
    assert 2 == len(caplog.records)
    monkeypatch.setattr(_redis_server, "_SECONDS_BETWEEN_RECORDS", 0.0)
    with pytest.raises(RedisLimitsError):
        await use(bucket)
    assert 3 == len(caplog.records)


async def test_refusal_from_before(scripted: ScriptedRedis, make_buckets: MakeBuckets) -> None:
    """A late refusal of a call before the outage doesn't mean that Redis is back."""
    early, late = make_buckets(RedisLimits(scripted.url, windows=((8, 60.0),)), 2)
    scripted.answer, scripted.held, scripted.held_answer = AWAY[0], b"token 0", REFUSED[0]
    asking = asyncio.create_task(use(early))
    await until(lambda: len(scripted.connections) == 1)
    await use(late)
    (link,) = source(late)._links.values()
    scripted.release.set()
    with pytest.raises(RedisLimitsError):
        await asking
    assert link._client._server.is_away


async def test_permission(own_server: Server, make_bucket: MakeBucket) -> None:
    """With a Redis user that may not run scripts, requests fail."""
    categories, passwords = ["+@all", "-@scripting"], ["+pw"]
    own_server.admin.acl_setuser(
        "limited", enabled=True, passwords=passwords, keys=["*"], categories=categories
    )
    bucket = make_bucket(own_server.url + "?username=limited&password=pw")
    with pytest.raises(RedisLimitsError, match="NoPermissionError"):
        await use(bucket)


async def test_without_replicas(own_server: Server, make_bucket: MakeBucket) -> None:
    """A Redis server that lacks replicas for writes is away until it accepts them."""
    bucket = make_bucket(own_server.url, on_unavailable="fail")
    own_server.admin.config_set("min-replicas-to-write", 1)
    with pytest.raises(RedisUnavailableError, match="NOREPLICAS"):
        await use(bucket)
    own_server.admin.config_set("min-replicas-to-write", 0)
    await asyncio.sleep(0.2)
    await use(bucket)


@pytest.mark.parametrize("host", ["x" * 64, "a..b"])
async def test_host_that_is_none(make_bucket: MakeBucket, host: str) -> None:
    """An invalid host name is an error, although redis-py reports an outage."""
    with pytest.raises(RedisLimitsError, match=r"Unicode(Encode)?Error") as caught:
        await use(make_bucket(f"redis://{host}:1"))
    assert not isinstance(caught.value, RedisUnavailableError)


async def test_deprecation_of_python(
    server: Server, make_bucket: MakeBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No function is called that Python 3.14 deprecates."""

    def deprecated(_: object) -> bool:
        warnings.warn("use inspect.iscoroutinefunction", DeprecationWarning, stacklevel=2)
        return False

    monkeypatch.setattr(asyncio, "iscoroutinefunction", deprecated)
    bucket = make_bucket(server.url)
    await use(bucket)
    assert 1 == len(server.leases(bucket))


@pytest.fixture
def tcp_server() -> Iterator[Server]:
    """Yield a Redis server on a TCP port, to which redis-py connects by host and port."""
    (port,) = free_ports(1)
    with tempfile.TemporaryDirectory(prefix="r") as folder:
        server = Server(folder, port)
        server.start()
        yield server
        server.kill()


async def test_warning_while_connecting(
    tcp_server: Server, make_bucket: MakeBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A warning as an error isn't an outage, and the incomplete connection isn't used."""

    async def warn(*_: object, **__: object) -> None:
        warnings.warn("old", DeprecationWarning, stacklevel=2)

    bucket = make_bucket(tcp_server.url.removesuffix("0") + "1")
    with monkeypatch.context() as patch:
        patch.setattr("redis.asyncio.connection.AbstractConnection.on_connect_check_health", warn)
        with pytest.raises(RedisLimitsError, match="DeprecationWarning: old"):
            await use(bucket)
    await use(bucket)
    assert ["db1"] == list(tcp_server.admin.info("keyspace"))


async def test_connections_are_shared(own_server: Server, make_buckets: MakeBuckets) -> None:
    """The buckets of 500 tokens share eight connections."""
    limits = RedisLimits(own_server.url, windows=((5, 60.0),))
    buckets = make_buckets(limits, 500)
    before = own_server.admin.info("stats")["total_connections_received"]
    await asyncio.gather(*(use(bucket) for bucket in buckets for _ in range(3)))
    made = own_server.admin.info("stats")["total_connections_received"] - before
    assert 1 <= made <= 8
    assert [(3,)] * 500 == [bucket.statistics().in_use for bucket in buckets]


async def test_fewer_connections(own_server: Server, make_buckets: MakeBuckets) -> None:
    """A URL can set fewer connections, without an outage."""
    limits = RedisLimits(own_server.url + "?max_connections=2", on_unavailable="fail")
    buckets = make_buckets(limits, 50)
    await asyncio.gather(*(use(bucket) for bucket in buckets))
    assert len(own_server.admin.client_list()) <= 3


async def test_away_is_said_once(
    scripted: ScriptedRedis,
    make_buckets: MakeBuckets,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A silent Redis server causes one warning and one timeout for all tokens."""
    monkeypatch.setattr(_redis_location, "_SOCKET_SECONDS", 0.3)
    monkeypatch.setattr(_redis_server, "SECONDS_BETWEEN_LOOKS", 60.0)
    caplog.set_level(logging.INFO)
    scripted.answer = None
    limits = RedisLimits(scripted.url, windows=((8, 60.0),))
    buckets = make_buckets(limits, 300)
    await asyncio.gather(*(use(bucket) for bucket in buckets))
    assert len(scripted.connections) <= 8
    (record,) = caplog.records
    assert record.getMessage().startswith("Redis is unavailable, limits are not shared (share): ")


async def test_answer_from_before(
    scripted: ScriptedRedis, make_buckets: MakeBuckets, caplog: pytest.LogCaptureFixture
) -> None:
    """A late answer to a call before the outage doesn't mean that Redis is back."""
    caplog.set_level(logging.INFO)
    limits = RedisLimits(scripted.url, windows=((8, 60.0),))
    early, late = make_buckets(limits, 2)
    scripted.answer, scripted.held = AWAY[0], b"token 0"
    asking = asyncio.create_task(use(early))
    await until(lambda: len(scripted.connections) == 1)
    await use(late)
    scripted.release.set()
    await asking
    assert bool(source(late)._away) > bool(source(early)._away)
    assert ["Redis is unavailable"] == [message[:20] for message in caplog.messages]
    scripted.answer = GRANTED
    await look(late)
    assert "Redis is back" == caplog.messages[-1][:13]


async def test_all_come_back(
    own_server: Server, make_buckets: MakeBuckets, caplog: pytest.LogCaptureFixture
) -> None:
    """When Redis is back, all tokens use it again, and it is logged once."""
    caplog.set_level(logging.INFO)
    limits = RedisLimits(own_server.url, windows=((50, 60.0),), hold=60.0)
    buckets = make_buckets(limits, 40)
    await asyncio.gather(*(use(bucket) for bucket in buckets))
    own_server.kill()
    await asyncio.gather(*(use(bucket) for bucket in buckets))
    own_server.start()

    async def comes_back(bucket: TokenBucket) -> None:
        while source(bucket)._away:
            await use(bucket)
            await asyncio.sleep(0.05)

    async with asyncio.timeout(40):
        await asyncio.gather(*(comes_back(bucket) for bucket in buckets))
    assert ["Redis is unavailable", "Redis is back"] == [
        message.partition(",")[0] for message in caplog.messages
    ]


def test_loops_say_it_once(caplog: pytest.LogCaptureFixture) -> None:
    """The loops of several threads log an outage once."""
    barrier = threading.Barrier(3)

    async def main(number: int) -> None:
        bucket = redis_bucket(limits, f"token {number}")
        await use(bucket)
        assert source(bucket)._away
        await asyncio.to_thread(barrier.wait, 20)

    with tempfile.TemporaryDirectory(prefix="r") as folder, ThreadPoolExecutor(3) as pool:
        limits = RedisLimits(f"unix://{folder}/redis", windows=((99, 60.0),))
        list(pool.map(lambda number: asyncio.run(main(number)), range(3)))
    assert 1 == len(caplog.records)


async def test_loops_share_what_they_know(
    scripted: ScriptedRedis,
    make_buckets: MakeBuckets,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A loop uses what another loop has found out about an outage."""
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(_redis_location, "_SOCKET_SECONDS", 0.3)
    monkeypatch.setattr(_redis_server, "SECONDS_BETWEEN_LOOKS", 60.0)
    scripted.answer = None
    limits = RedisLimits(scripted.url, windows=((8, 60.0),))
    first, second = make_buckets(limits, 2)
    await use(first)
    before = len(scripted.connections)
    await asyncio.to_thread(asyncio.run, use(second))
    assert before == len(scripted.connections)
    assert source(first)._away == source(second)._away == known_server(limits.url).reason
    scripted.answer = GRANTED
    known_server(limits.url).look_at = source(first)._look_at = 0.0
    await look(first)
    (third,) = make_buckets(limits, 1)
    await asyncio.to_thread(asyncio.run, use(third))
    assert not source(third)._away
    assert ["Redis is unavailable", "Redis is back"] == [
        message.partition(",")[0] for message in caplog.messages
    ]


async def test_redis_that_closes_each_connection(
    scripted: ScriptedRedis, make_bucket: MakeBucket
) -> None:
    """If each answer comes on a new connection, leases are granted, and the loop can end."""
    bucket = make_bucket(scripted.url, windows=((99, 60.0),), hold=60.0)
    await use(bucket)
    scripted.closes = True
    async with asyncio.timeout(20):
        for _ in range(5):
            await use(bucket)
        await told(bucket)


async def test_redis_that_names_other_epochs(
    scripted: ScriptedRedis, make_bucket: MakeBucket
) -> None:
    """If each answer has another epoch, the reports are not repeated without end."""
    bucket = make_bucket(scripted.url, windows=((99, 60.0),), hold=60.0)
    scripted.new_epochs = True
    async with asyncio.timeout(30):
        for _ in range(3):
            await use(bucket)
        await told(bucket)
    assert scripted.calls < 40


async def test_answers_that_grant_nothing(scripted: ScriptedRedis, make_bucket: MakeBucket) -> None:
    """A Redis server that grants nothing without a wait is not called all the time."""
    bucket = make_bucket(scripted.url, windows=((99, 60.0),))
    scripted.answer = b"*6\r\n:7\r\n:0\r\n:0\r\n:0\r\n:0\r\n:0"
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await use(bucket)
    assert 3 < scripted.calls < 40


async def test_pause_without_end(scripted: ScriptedRedis, make_bucket: MakeBucket) -> None:
    """No pause from Redis is longer than the longest one of the API."""
    bucket = make_bucket(scripted.url, windows=((99, 60.0),))
    scripted.answer = b"*6\r\n:7\r\n:0\r\n:0\r\n:0\r\n:0\r\n:9000000000000000"
    with pytest.raises(RateLimitWaitError, match="a pause after a response 429"):
        await use_soon(bucket)
    assert 3500 < bucket.statistics().paused < 3700


async def use_soon(bucket: TokenBucket) -> None:
    """A request that waits for no more than a minute."""
    async with bucket.lease(max_wait=60.0) as lease:
        lease.settle()


def test_node_that_redirects_to_itself(caplog: pytest.LogCaptureFixture) -> None:
    """A cluster that lists its slots but answers no call is still away."""
    caplog.set_level(logging.INFO)

    async def main(bucket: TokenBucket) -> None:
        await use(bucket)
        for _ in range(3):
            await asyncio.sleep(0.15)
            source(bucket).serve(asyncio.get_running_loop())
            await until(lambda: not is_busy(bucket))

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), RedirectingNode) as node:
        threading.Thread(target=node.serve_forever, args=(0.01,)).start()
        limits = RedisLimits("redis+cluster://{}:{}".format(*node.server_address))
        try:
            asyncio.run(main(redis_bucket(limits, "token")))
        finally:
            node.shutdown()
    messages = [text for text in caplog.messages if text.startswith("Redis ")]
    assert 1 == len(messages)
    assert "the nodes of the cluster redirect each other" in messages[0]


class RedirectingNode(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        _, port = self.connection.getsockname()
        slots = b"*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$9\r\n127.0.0.1\r\n:%d\r\n" % port
        with suppress(ConnectionError):
            for words in commands(self.rfile):
                if words[0] == b"CLUSTER":
                    self.wfile.write(slots)
                elif words[0].startswith(b"EVAL"):
                    self.wfile.write(b"-MOVED 1 127.0.0.1:%d\r\n" % port)
                else:
                    self.wfile.write(b"+OK\r\n")
