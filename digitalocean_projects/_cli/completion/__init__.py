"""Completion: the scripts that let a shell complete the command; `generator.py` writes them."""
