"""Limiter: token buckets that keep requests within the API's rate limits."""
