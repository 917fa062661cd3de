"""Paginator: fetches pages concurrently and yields their items in order."""
