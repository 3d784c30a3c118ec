"""modelscan: audits model files without loading them.

>>> import modelscan
>>> ledger = modelscan.inspect("model.keras")
>>> ledger.parameters.total
19082
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from modelscan._version import __version__

if TYPE_CHECKING:
    from modelscan.api import inspect, scan
    from modelscan.diff import Diff, diff
    from modelscan.extend import teach
    from modelscan.ledger import LayerReport, ModelReport, Report
    from modelscan.model import Finding, Layer, Model, Severity, Verdict

_HOMES = {
    "inspect": "modelscan.api",
    "Diff": "modelscan.diff",
    "diff": "modelscan.diff",
    "scan": "modelscan.api",
    "teach": "modelscan.extend",
    "LayerReport": "modelscan.ledger",
    "ModelReport": "modelscan.ledger",
    "Report": "modelscan.ledger",
    "Finding": "modelscan.model",
    "Layer": "modelscan.model",
    "Model": "modelscan.model",
    "Severity": "modelscan.model",
    "Verdict": "modelscan.model",
}

__all__ = [
    "Diff",
    "Finding",
    "Layer",
    "LayerReport",
    "Model",
    "ModelReport",
    "Report",
    "Severity",
    "Verdict",
    "__version__",
    "diff",
    "inspect",
    "scan",
    "teach",
]


def __getattr__(name: str) -> Any:
    """Imports the public names when they are first used: `import modelscan` alone stays cheap."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


class _Package(ModuleType):
    """This package. Importing its module `scan` must not put the module in the place of the function of that name."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _HOMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
