"""Contrib: modules for other packages, which extras install.

- `digitalocean_projects.contrib.fastapi`: clients, error documents and streams for FastAPI.
- `digitalocean_projects.contrib.pytest`: fixtures for pytest, which finds them by itself.
- `digitalocean_projects.contrib.redis`: rate limits that several processes share through Redis.
"""
