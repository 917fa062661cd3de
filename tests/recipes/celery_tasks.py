"""Celery tasks that assign resources.

A client that a module makes works in all children that a worker forks. `RedisLimits` keeps all
children on all hosts within the token's limits. With a `deadline`, a task that would have to wait
for them is retried later, and its child runs other tasks meanwhile. A task of at most 100 URNs is
one request. Needs `pip install ".[redis]" "celery[redis]"`; start it with
`celery --app celery_tasks worker`.
"""
# Celery isn't installed where types are checked.
# mypy: ignore-errors

import os

from celery import Celery, Task

from digitalocean_projects import Client, RateLimitWaitError
from digitalocean_projects.contrib.redis import RedisLimits

REDIS = os.environ["REDIS_URL"]

app = Celery("projects", broker=REDIS, backend=REDIS)
client = Client(limits=RedisLimits(REDIS, share=1 / 8), deadline=20.0)


@app.task(bind=True, max_retries=None)
def assign(self: Task, project: str, urns: list[str]) -> int:
    try:
        result = client.projects.assign_resources(project, urns)
    except RateLimitWaitError as error:
        raise self.retry(exc=error, countdown=error.seconds) from error
    result.raise_for_failed()
    return len(result.done)
