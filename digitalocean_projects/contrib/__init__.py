"""Contrib: integrations with other packages. Most of them have an extra of their name.

- `digitalocean_projects.contrib.doctl`: the tokens that doctl has stored.
- `digitalocean_projects.contrib.fastapi`: clients, error responses and streams for FastAPI.
- `digitalocean_projects.contrib.mcp`: tools for an assistant (Model Context Protocol).
- `digitalocean_projects.contrib.pytest`: fixtures for pytest, which finds them by itself.
- `digitalocean_projects.contrib.redis`: rate limits that several processes share through Redis.
"""
