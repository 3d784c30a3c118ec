"""Discover, examine each file, collect: from paths to a `Report`. Prints nothing."""

from __future__ import annotations

from modelscan.examine import examine, read

__all__ = ["examine", "read"]
