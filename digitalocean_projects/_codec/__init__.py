"""Codec: how the models look in JSON and in headers."""
