"""Facade: the blocking client, which is generated, and the thread that runs its event loop."""
