"""Frozen values that are cheap to make.

A request makes a dozen values with a hundred fields, and `dataclass(frozen=True)` sets each field
through `object.__setattr__`, which takes three times as long as a plain assignment. So here the
type checker holds them frozen, and nothing does at run time. For the values that every request
makes; all others are plain frozen dataclasses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataclasses import dataclass as value
else:
    from dataclasses import dataclass

    def value(*, frozen: bool, slots: bool, kw_only: bool = False) -> Any:
        """Make a dataclass that compares and hashes as a frozen one does."""
        if not frozen:
            raise TypeError("a value that changes is a plain dataclass")
        return dataclass(slots=slots, kw_only=kw_only, unsafe_hash=True)


__all__ = ["value"]
