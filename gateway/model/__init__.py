"""Frozen values that every other part speaks in; this package imports nothing from Regate."""
