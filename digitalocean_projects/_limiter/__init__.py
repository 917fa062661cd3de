"""Limiter: the token buckets that keep requests within the API's limits."""
