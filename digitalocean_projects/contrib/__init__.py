"""Contrib: modules that each need an optional extra."""
