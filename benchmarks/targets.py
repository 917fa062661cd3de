"""The table of targets: the ratios to the floor that this package wants, and what `guard` accepts.

The guard accepts more than what two cores with little other work measured: 10 % for the start-up
and wall times, and up to 40 % for CPU times, which differ by as much between processes. Where it
accepts far more than `aim`, the aim is not reached.
"""

import attrs


@attrs.frozen
class Target:
    """The largest ratio to the floor, which is the first row of the case.

    Args:
        case: The case's key.
        row: The row's title.
        measure: The measure of the case.
        aim: The ratio to reach on a quiet machine.
        most: The largest ratio that the guard accepts.
    """

    case: str
    row: str
    measure: str
    aim: float
    most: float


_COMMAND = "python -m digitalocean_projects"

TARGETS = (
    Target("list-0ms", "ours.collect", "cpu", 1.00, 1.45),
    Target("list-0ms", "ours.iterate", "cpu", 1.05, 1.45),
    Target("list-0ms", "ours_blocking.collect", "cpu", 1.05, 1.50),
    Target("list-0ms", "ours_blocking.iterate", "cpu", 1.05, 1.50),
    Target("list-20ms", "ours.collect", "wall", 1.00, 1.15),
    Target("list-20ms", "ours.iterate", "wall", 1.10, 1.45),
    # 1.5 µs more for each unusual resource, where the floor takes 2 µs.
    Target("list-odd", "ours.collect", "cpu", 1.75, 2.20),
    Target("list-odd", "ours.collect odd=200", "cpu", 1.10, 1.80),
    Target("get", "ours.get", "cpu", 1.10, 1.60),
    Target("get", "ours_blocking.get", "cpu", 1.70, 2.20),
    Target("page", "ours.page", "cpu", 1.25, 2.40),
    Target("page", "ours_blocking.page", "cpu", 1.70, 2.60),
    Target("assign", "ours.assign", "cpu", 1.50, 1.70),
    Target("assign-20ms", "ours.assign", "wall", 0.30, 0.35),
    # Where the floor, a semaphore, takes 0.9 µs, this is 3 µs.
    Target("lease", "ours.lease", "cpu", 3.30, 5.70),
    # The ratio of the first version after each URN was read.
    Target("memory", "ours.keep", "kept", 0.74, 0.74),
    # Where a bare interpreter takes 13 ms, this is 15 ms more.
    Target("import", "python -c 'import digitalocean_projects'", "cpu", 2.15, 2.40),
    Target(
        "import-client",
        "python -c 'from digitalocean_projects import AsyncClient'",
        "cpu",
        1.10,
        1.30,
    ),
    Target("command", f"{_COMMAND} --version", "cpu", 1.50, 1.70),
    Target("command", f"{_COMMAND} --help", "cpu", 1.50, 1.70),
    Target("command", f"{_COMMAND} completion bash", "cpu", 1.50, 1.55),
    Target("command", f"{_COMMAND} list --no-such-option", "cpu", 1.50, 1.70),
    Target("emulator", "ours.emulator", "wall", 1.30, 1.50),
)
