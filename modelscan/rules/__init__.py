"""Rules: each one class, registered by being defined, whose docstring is its documentation."""

from __future__ import annotations

from modelscan.rules.base import Rule, Subject, all_rules, judge

__all__ = ["Rule", "Subject", "all_rules", "judge"]
