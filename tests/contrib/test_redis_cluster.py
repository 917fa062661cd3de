"""Limits that are shared through a cluster, with two real masters."""

from __future__ import annotations

import asyncio
import logging
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from redis.crc import key_slot

from digitalocean_projects import RateLimitWaitError
from digitalocean_projects.contrib.redis import (
    RedisLimits,
    RedisLimitsError,
    RedisUnavailableError,
)
from digitalocean_projects.contrib.redis import connections as _redis_connections
from digitalocean_projects.contrib.redis import location as _redis_location
from digitalocean_projects.contrib.redis import server as _redis_server
from digitalocean_projects.contrib.redis.bucket import redis_bucket
from digitalocean_projects.contrib.redis.cluster import SlotMap
from tests.contrib.conftest import Server, free_ports, look, source, told, until, use, wait_until
from tests.exposure import exposed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from digitalocean_projects import TokenBucket

    MakeBuckets = Callable[..., list[TokenBucket]]

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_leaks")]

SLOTS = 16384


class Node(Server):
    """A node of a cluster."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        port, self.bus = free_ports(2)
        # A node that is away remains in the cluster during a test.
        options = "--repl-diskless-sync-delay 0 --cluster-enabled yes --cluster-node-timeout 60000"
        super().__init__(str(folder), port, *options.split(), "--cluster-port", str(self.bus))
        self.name = f"127.0.0.1:{port}"

    def cluster(self, *command: str | int) -> Any:
        return self.admin.execute_command("CLUSTER", *command)  # type: ignore[no-untyped-call]  # redis-py's

    def id(self) -> str:
        return str(self.cluster("MYID").decode())

    def is_ready(self) -> bool:
        return b"cluster_state:ok" in self.cluster("INFO")

    def clients(self) -> int:
        """Return the number of connections over TCP."""
        return sum(not client["addr"].endswith(":0") for client in self.admin.client_list())

    def all_keys(self) -> list[str]:
        return [key.decode() for key in self.admin.scan_iter()]


class Cluster:
    """Two masters, which have half of the slots each."""

    def __init__(self, folder: str) -> None:
        self.nodes = [Node(Path(folder) / str(number)) for number in range(2)]
        self.url = f"redis+cluster://{self.nodes[0].name}"

    def start(self) -> None:
        first, second = self.nodes
        for node, slots in ((first, (0, SLOTS // 2 - 1)), (second, (SLOTS // 2, SLOTS - 1))):
            node.start()
            node.cluster("ADDSLOTSRANGE", *slots)
            node.cluster("SET-CONFIG-EPOCH", node.bus)
        first.cluster("MEET", "127.0.0.1", second.port, second.bus)
        wait_until(lambda: all(node.is_ready() for node in self.nodes))

    def split(self, key: str) -> tuple[Node, Node]:
        """Return the master that was given the slot of a key, and the other one."""
        return self.split_slot(key_slot(key.encode()))

    def split_slot(self, slot: int) -> tuple[Node, Node]:
        first, second = self.nodes
        return (first, second) if slot < SLOTS // 2 else (second, first)

    def give_back(self, slot: int) -> None:
        """Give a slot, which loses its keys, back to the master that had it first."""
        owner, other = self.split_slot(slot)
        for node in (other, owner):
            node.admin.flushall()
            node.cluster("SETSLOT", slot, "NODE", owner.id())

    def kill(self) -> None:
        for node in self.nodes:
            node.kill()


@pytest.fixture(scope="module")
def shared_cluster() -> Iterator[Cluster]:
    with tempfile.TemporaryDirectory(prefix="r") as folder:
        cluster = Cluster(folder)
        try:
            cluster.start()
            yield cluster
        finally:
            cluster.kill()


@pytest.fixture
def cluster(shared_cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    monkeypatch.setattr(_redis_server, "SECONDS_BETWEEN_LOOKS", 0.1)
    # A busy machine must not look like an outage.
    monkeypatch.setattr(_redis_location, "_SOCKET_SECONDS", 20.0)
    for node in shared_cluster.nodes:
        node.admin.flushall()
    return shared_cluster


@pytest.fixture
def make_buckets(cluster: Cluster) -> Iterator[MakeBuckets]:
    """Yield a function that creates buckets, by default one for each master."""
    kept: list[TokenBucket] = []

    def make(*names: str, url: str = cluster.url, **options: Any) -> list[TokenBucket]:
        options = {"windows": ((5, 60.0),), "hold": 60.0, **options}
        limits = RedisLimits(url, **options)
        buckets = [redis_bucket(limits, name) for name in names or ("a", "b")]
        kept.extend(buckets)
        return buckets

    yield make
    kept.clear()


async def use_all(buckets: list[TokenBucket]) -> None:
    await asyncio.gather(*(use(bucket) for bucket in buckets))


async def test_loops_share(cluster: Cluster, make_buckets: MakeBuckets) -> None:
    """The event loops of a token share it, on either master."""

    async def use_the_rest() -> None:
        for bucket in make_buckets():
            await use(bucket)
            await use(bucket)
            with pytest.raises(RateLimitWaitError, match="other workers have the tokens"):
                await bucket.lease(max_wait=1.0).__aenter__()

    buckets = make_buckets()
    for _ in range(3):
        await use_all(buckets)
    await asyncio.to_thread(asyncio.run, use_the_rest())
    assert [1, 1] == [len(node.all_keys()) for node in cluster.nodes]


async def test_connections(
    cluster: Cluster, make_buckets: MakeBuckets, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The buckets of 500 tokens have eight connections to each master, which are closed later."""

    def made() -> list[int]:
        stats = [node.admin.info("stats") for node in cluster.nodes]
        return [each["total_connections_received"] for each in stats]

    buckets = make_buckets(*map(str, range(500)))
    before = made()
    await use_all(buckets)
    for earlier, later in zip(before, made(), strict=True):
        assert 1 <= later - earlier <= 8
    assert [(1,)] * 500 == [bucket.statistics().in_use for bucket in buckets]
    monkeypatch.setattr(_redis_connections, "_IDLE_SECONDS", 0.1)
    await use_all(buckets[:50])
    await until(lambda: not any(node.clients() for node in cluster.nodes))


def test_loop_that_ends(cluster: Cluster, make_buckets: MakeBuckets) -> None:
    """A loop that ends reports to both masters, and closes its connections."""
    buckets = make_buckets()
    asyncio.run(use_all(buckets))
    for node in cluster.nodes:
        wait_until(lambda node=node: node.clients() == 0)  # type: ignore[misc]  # bound
    for bucket in buckets:
        node, _ = cluster.split(source(bucket)._key)
        (counted,) = node.leases(bucket).values()
        assert counted <= node.now()


async def test_master_that_dies(
    cluster: Cluster, make_buckets: MakeBuckets, caplog: pytest.LogCaptureFixture
) -> None:
    """Only the tokens of the master that is away are not shared."""
    caplog.set_level(logging.INFO)
    policies = ["share", "open", "fail"]
    by_policy = {each: make_buckets("a", on_unavailable=each)[0] for each in policies}
    (other,) = make_buckets("b")
    dead, living = cluster.split(source(by_policy["fail"])._key)
    assert living is cluster.split(source(other)._key)[0]
    await use_all([*by_policy.values(), other])
    dead.kill()
    for _ in range(2):
        await use(other)
        with pytest.raises(RedisUnavailableError, match="Connect"):
            await use(by_policy["fail"])
    await use(by_policy["open"])
    with pytest.raises(RateLimitWaitError, match="while Redis is unavailable"):
        await by_policy["share"].lease(max_wait=1.0).__aenter__()
    dead.start()
    for bucket in by_policy.values():
        await look(bucket)
    await told(by_policy["open"])
    assert 4 == len(dead.leases(by_policy["open"]))
    assert not source(other)._away
    away, back = caplog.messages
    assert away.startswith(f"Redis at {dead.name} is unavailable, limits are not shared (")
    assert f"Redis at {dead.name} is back, limits are shared again" == back


async def test_slot_that_moves(cluster: Cluster, make_buckets: MakeBuckets) -> None:
    """No request fails, and no lease is lost, while the slot of a key moves to another master."""
    # The slot is computed from the prefix, which is the same for all these tokens.
    options: dict[str, Any] = {
        "prefix": "{moving}",
        "on_unavailable": "fail",
        "windows": ((50, 60.0),),
    }
    buckets = make_buckets(*"abcdefgh", **options)
    new = iter(range(100))

    async def use_them() -> None:
        """Use known tokens, new ones, and those of a new loop."""
        newcomers = make_buckets(*(f"new {next(new)}" for _ in range(5)), **options)
        twins = make_buckets(*"abcdefgh", **options)
        await use_all([*buckets, *newcomers])
        await asyncio.to_thread(asyncio.run, use_all(twins))

    await use_them()
    source, target = cluster.split("{moving}")
    slot = key_slot(b"moving")
    target.admin.script_flush()
    target.cluster("SETSLOT", slot, "IMPORTING", source.id())
    source.cluster("SETSLOT", slot, "MIGRATING", target.id())
    await use_them()
    for key in source.all_keys():
        source.admin.migrate("127.0.0.1", target.port, key, 0, 5000)
        await use_them()
    for node in (target, source):
        node.cluster("SETSLOT", slot, "NODE", target.id())
        await use_them()
    for bucket in buckets:
        await told(bucket)
    used = {bucket.statistics().in_use for bucket in buckets}
    assert {len(target.leases(bucket)) for bucket in buckets} == {2 * count for (count,) in used}
    assert [] == source.all_keys()
    cluster.give_back(slot)


async def test_replica_that_takes_over(make_buckets: MakeBuckets) -> None:
    """The tokens of a master that is away are shared again when its replica has taken over."""
    with tempfile.TemporaryDirectory(prefix="r") as folder:
        cluster, replica = Cluster(folder), Node(Path(folder) / "replica")
        try:
            cluster.start()
            (bucket,) = make_buckets("a", url=cluster.url, on_unavailable="fail")
            master, other = cluster.split(source(bucket)._key)
            replica.start()
            replica.cluster("MEET", "127.0.0.1", other.port, other.bus)
            wait_until(lambda: b"cluster_known_nodes:3" in replica.cluster("INFO"))
            replica.cluster("REPLICATE", master.id())
            await use(bucket)
            await told(bucket)
            wait_until(lambda: replica.admin.dbsize() == 1)
            master.kill()
            with pytest.raises(RedisUnavailableError):
                await use(bucket)
            replica.cluster("FAILOVER", "TAKEOVER")
            wait_until(lambda: replica.port in [slots[2][1] for slots in other.cluster("SLOTS")])
            await look(bucket)
            await use(bucket)
            assert 2 == len(replica.leases(bucket))
        finally:
            cluster.kill()
            replica.kill()


@pytest.mark.parametrize("policy", ["fail", "share"])
async def test_wrong_password(
    cluster: Cluster, make_buckets: MakeBuckets, policy: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A cluster that refuses the login is away, and the password isn't shown."""
    url = cluster.url.replace("//", "//:wr0ng-pass@")
    (bucket,) = make_buckets("a", url=url, on_unavailable=policy)
    if policy == "fail":
        with pytest.raises(RedisUnavailableError, match="AuthenticationError") as caught:
            await use(bucket)
        assert not any("wr0ng" in text for text in exposed(caught.value))
    else:
        await use(bucket)
    (record,) = caplog.records
    assert record.getMessage().startswith("Redis is unavailable, limits are not shared (")
    assert "wr0ng" not in repr(vars(record))


async def test_seeds(cluster: Cluster, make_buckets: MakeBuckets) -> None:
    """One node that answers is enough, and the hosts of the URL aren't called again."""
    (port,) = free_ports(1)
    url = f"redis+cluster://127.0.0.1:{port},{cluster.nodes[0].name}"
    await use_all(make_buckets(url=url, on_unavailable="fail"))


async def test_no_node(make_buckets: MakeBuckets, caplog: pytest.LogCaptureFixture) -> None:
    """A cluster without a node that answers is away, for all tokens at once."""
    ports = free_ports(2)
    url = "redis+cluster://" + ",".join(f"127.0.0.1:{port}" for port in ports)
    buckets = make_buckets(url=url)
    await use_all(buckets)
    assert all(f"127.0.0.1:{ports[1]}" in source(bucket)._away for bucket in buckets)
    assert ["Redis is unavailable"] == [message[:20] for message in caplog.messages]


async def test_no_cluster(make_buckets: MakeBuckets, caplog: pytest.LogCaptureFixture) -> None:
    """With a server that isn't a node of a cluster, requests fail."""
    with tempfile.TemporaryDirectory(prefix="r") as folder:
        (port,) = free_ports(1)
        server = Server(folder, port)
        server.start()
        (bucket,) = make_buckets("a", url=f"redis+cluster://127.0.0.1:{server.port}")
        for _ in range(2):
            with pytest.raises(RedisLimitsError, match="cluster support disabled") as caught:
                await use(bucket)
            assert not isinstance(caught.value, RedisUnavailableError)
        server.kill()
    assert ["Redis can't share the limits"] == [message[:28] for message in caplog.messages]


async def test_slot_of_no_node(
    cluster: Cluster, make_buckets: MakeBuckets, caplog: pytest.LogCaptureFixture
) -> None:
    """A token whose slot no node serves isn't shared until one does."""
    caplog.set_level(logging.INFO)
    lost, other = make_buckets(on_unavailable="fail")
    owner, _ = cluster.split(source(lost)._key)
    slot = key_slot(source(lost)._key.encode())
    for node in cluster.nodes:
        node.admin.config_set("cluster-require-full-coverage", "no")
        node.cluster("DELSLOTS", slot)
    for _ in range(2):
        with pytest.raises(RedisUnavailableError, match="no node of the cluster has the slot"):
            await use(lost)
        await use(other)
    owner.cluster("ADDSLOTS", slot)
    wait_until(lambda: all(node.is_ready() for node in cluster.nodes))
    await look(lost)
    await use(lost)
    assert ["Redis is unavailable", "Redis is back"] == [
        message.partition(",")[0] for message in caplog.messages
    ]


async def test_nodes_that_disagree(cluster: Cluster, make_buckets: MakeBuckets) -> None:
    """Redirections between nodes that disagree are limited."""
    (bucket,) = make_buckets("a", on_unavailable="fail")
    await use(bucket)
    owner, other = cluster.split(source(bucket)._key)
    slot = key_slot(source(bucket)._key.encode())
    await told(bucket)
    owner.admin.flushall()
    owner.cluster("SETSLOT", slot, "NODE", other.id())
    with pytest.raises(RedisUnavailableError, match="nodes of the cluster redirect each other"):
        await use(bucket)
    cluster.give_back(slot)
    await look(bucket)
    await use(bucket)


async def test_hosts_that_are_not_said(cluster: Cluster, make_buckets: MakeBuckets) -> None:
    """A missing host in a list of slots or in a redirection means the node's own host."""
    buckets = make_buckets(on_unavailable="fail")
    for node in cluster.nodes:
        node.admin.config_set("cluster-preferred-endpoint-type", "unknown-endpoint")
    await use_all(buckets)
    for bucket in buckets:
        slots = source(bucket)._links[asyncio.get_running_loop()]._client._slots
        assert slots is not None
        owner, other = cluster.split(source(bucket)._key)
        slots.move(source(bucket)._key, ("127.0.0.1", other.port))
        await use(bucket)
        assert ("127.0.0.1", owner.port) == slots.owner(source(bucket)._key)
    for node in cluster.nodes:
        node.admin.config_set("cluster-preferred-endpoint-type", "ip")


@pytest.mark.parametrize(
    "answer", [5, [5], [[0, 5]], [[0, 5, []]], [[0, 5, [b"host"]]], [[0, 5, [b"host", b"port"]]]]
)
def test_slots_that_are_none(answer: Any) -> None:
    """A malformed list of slots is an error, and changes nothing."""
    slots = SlotMap((("seed", 1),))
    slots.read([[0, SLOTS - 1, ["host", 2]]], ("seed", 1))
    with pytest.raises((LookupError, TypeError, ValueError)):
        slots.read(answer, ("seed", 1))
    assert [("host", 2), ("seed", 1)] == slots.addresses()
    assert ("host", 2) == slots.owner("key")
