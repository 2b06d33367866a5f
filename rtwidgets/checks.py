"""Checks of what users give, whom no type checker has warned. Floor 1: imports nothing of ours."""

from __future__ import annotations

__all__ = ["is_count", "is_positive"]


def is_count(value: object, least: int = 1) -> bool:
    """Whether a value that a user gave is a whole number of at least so much."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def is_positive(value: object) -> bool:
    """Whether a value that a user gave is a number above 0."""
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0
