"""Random assignments with faults, at any concurrency: each resource is reported once, and truly."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st

from digitalocean_projects import (
    APIError,
    AssignmentError,
    AssignmentResult,
    AsyncClient,
    ClientUsageError,
    RetryPolicy,
)
from digitalocean_projects.testing import Emulator, faults
from tests.assigning import BUSY, asked, droplets, sent

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from digitalocean_projects import AppliedPlan, Reconciliation
    from digitalocean_projects.testing import RecordedRequest

    Outcome = AssignmentResult | AppliedPlan | Reconciliation | AssignmentError

RETRY = RetryPolicy(attempts=3, base_delay=0.0)
IPS = [f"do:floatingip:192.0.2.{number}" for number in range(3)]
# Resources in the project that `reconcile` removes.
EXTRA = droplets(50, 51, 52)
FATAL = [
    faults.Status(401),
    faults.Status(403),
    faults.Status(404),
    faults.Status(500),
    faults.LostAnswer(),
    faults.Reset(),
    faults.Garbage(),
]
REFUSALS = [faults.Status(412), faults.Status(422)]
# The API's word about resources that it hasn't moved.
NOT_ASSIGNED = [faults.NotAssigned("service_down"), faults.NotAssigned("not_found")]
FAULTS = [*FATAL, *REFUSALS, *NOT_ASSIGNED, faults.Delay(0.005), BUSY]


@attrs.frozen
class Trouble:
    """A fault of the assignments of a resource."""

    position: int
    fault: faults.Fault | dict[str, str]
    times: int | None


@attrs.frozen
class Example:
    """An assignment with faults, a close or a cancellation when a request arrives."""

    operation: str
    droplets: int
    ips: int
    order: int
    chunk_size: int
    concurrency: int
    troubles: Sequence[Trouble]
    end: str | None
    end_at: int

    @property
    def urns(self) -> list[str]:
        """The resources in the order in which they are passed."""
        urns = [*droplets(*range(self.droplets)), *IPS[: self.ips]]
        at = self.order % len(urns)
        return urns[at:] + urns[:at]


EXAMPLES = st.builds(
    Example,
    operation=st.sampled_from(["assign", "apply", "reconcile"]),
    droplets=st.integers(1, 10),
    ips=st.sampled_from([0, 0, 1, 3]),
    order=st.integers(0, 12),
    chunk_size=st.integers(1, 4),
    concurrency=st.sampled_from([1, 2, 4, 8]),
    troubles=st.lists(
        st.builds(
            Trouble,
            position=st.integers(0, 15),
            fault=st.sampled_from(FAULTS),
            times=st.sampled_from([1, 2, 4, None]),
        ),
        max_size=4,
    ),
    end=st.sampled_from([None, None, None, "close", "cancel"]),
    end_at=st.integers(1, 8),
)


@settings(derandomize=True, max_examples=100)
@given(EXAMPLES)
def test_accounting(example: Example) -> None:
    """Each resource is in one field of the outcome, in order, and is where the outcome says."""
    with Emulator(limits=()) as emulator:
        urns = example.urns
        emulator.seed(urns[::2], name="one")
        emulator.seed(urns[1::2], name="two")
        web = emulator.seed(EXTRA if example.operation == "reconcile" else [], name="web")
        outcome = asyncio.run(_assign(example, emulator, web))
        held = set(map(str, emulator.resources(web)))
        requests = sent(emulator)
    _check_removals(example, requests)
    if isinstance(outcome, asyncio.CancelledError):
        assert example.end == "cancel"
        return
    if not isinstance(outcome, AssignmentError) and isinstance(outcome, Exception):
        # Nothing is known of any resource.
        assert isinstance(outcome, APIError | ClientUsageError)
        assert outcome.__context__ is None
        assert getattr(outcome, "in_doubt", False) or held.isdisjoint(urns)
        return
    _check(example, outcome, held)


async def _assign(
    example: Example, emulator: Emulator, web: str
) -> Outcome | APIError | ClientUsageError | asyncio.CancelledError:
    """Return the result or the exception of an assignment, which has an end."""
    loop, urns = asyncio.get_running_loop(), example.urns
    options: dict[str, Any] = {
        "chunk_size": example.chunk_size,
        "concurrency": example.concurrency,
    }
    async with (
        asyncio.timeout(20),
        AsyncClient(emulator.token, base_url=emulator.url, limits=None, retry=RETRY) as client,
    ):
        projects = client.projects
        plan = await projects.plan({web: urns})
        emulator.forget_requests()
        closing: list[asyncio.Task[None]] = []

        def ends(request: RecordedRequest) -> bool:
            if asked(request) and example.end_at == len(sent(emulator)):
                loop.call_soon_threadsafe(end)
            return False

        def end() -> None:
            if example.end == "cancel":
                task.cancel()
            else:
                closing.append(loop.create_task(client.aclose()))

        if example.end is not None:
            emulator.respond(500, when=ends, times=None)
        _make_trouble(example, emulator)
        before = asyncio.all_tasks()
        operations: dict[str, Callable[[], Coroutine[Any, Any, Outcome]]] = {
            "apply": lambda: projects.apply(plan, **options),
            "assign": lambda: projects.assign_resources(web, iter(urns), **options),
            "reconcile": lambda: projects.reconcile(web, iter(urns), prune=True, **options),
        }
        task = loop.create_task(operations[example.operation]())
        outcome: Any
        try:
            outcome = await task
        except (APIError, ClientUsageError, asyncio.CancelledError) as error:
            outcome = error
        await asyncio.gather(*closing)
        assert before == asyncio.all_tasks()
    return outcome  # type: ignore[no-any-return]  # of `task`


def _make_trouble(example: Example, emulator: Emulator) -> None:
    urns = example.urns + EXTRA
    for trouble in example.troubles:
        urn = urns[trouble.position % len(urns)]

        def when(request: RecordedRequest, urn: str = urn) -> bool:
            return urn in asked(request)

        if isinstance(trouble.fault, dict):
            emulator.respond(403, trouble.fault, when=when, times=trouble.times)
        else:
            emulator.fail(trouble.fault, when=when, times=trouble.times)


def _check(example: Example, outcome: Any, held: set[str]) -> None:
    """Check the outcome of resources whose project holds some of them at the end."""
    urns = example.urns
    wanted = [*urns, *EXTRA] if example.operation == "reconcile" else urns
    if example.operation == "apply":  # in the order of the plan
        wanted = sorted(urns, key=IPS.__contains__)
    fields = {
        name: [str(getattr(some, "urn", some)) for some in getattr(outcome, name, ())]
        for name in ("done", "moved", "added", "removed", "kept", "failed", "unknown", "untouched")
    }
    if isinstance(outcome, AssignmentError | AssignmentResult):
        done = fields["done"]
    else:
        done = [urn for name in ("moved", "added", "removed", "kept") for urn in fields[name]]
    parts = [done, *(fields[name] for name in ("failed", "unknown", "untouched"))]
    assert sorted(wanted) == sorted(urn for part in parts for urn in part)
    for field in fields.values():
        assert field == sorted(field, key=wanted.index)
    # Resources are done if they are where they were wanted.
    arrived = held.intersection(urns) | set(EXTRA).difference(held)
    assert arrived.issuperset(done)
    assert arrived.isdisjoint(fields["untouched"])
    assert arrived.isdisjoint(fields["failed"])
    refused = [str(refusal.urn) for refusal in outcome.refused]
    assert refused == [urn for urn in fields["failed"] if urn in refused]


def _check_removals(example: Example, requests: Sequence[Sequence[str]]) -> None:
    """Check that nothing is removed before the last addition, nor if an addition fails."""
    removals = [at for at, urns in enumerate(requests) if not set(EXTRA).isdisjoint(urns)]
    if not removals:
        return
    assert example.operation == "reconcile"
    urns = example.urns
    additions = [at for at, some in enumerate(requests) if not set(EXTRA).issuperset(some)]
    assert set(urns) == {urn for at in additions for urn in requests[at]}
    assert max(additions) < min(removals)
    if all(trouble.fault in FATAL for trouble in example.troubles):
        assert not any(
            trouble.times is None and trouble.fault in FATAL
            for trouble in example.troubles
            if trouble.position % (len(urns) + len(EXTRA)) < len(urns)
        )
