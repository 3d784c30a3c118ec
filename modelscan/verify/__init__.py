"""The opt-in second opinion: what the real framework says of a file, beside what modelscan derived from its bytes.

The framework loads the file in a child process with limits (`oracle`, the only module that imports frameworks; `process` is the
parent's side of it); `compare` sets its answer against ours.
"""

from __future__ import annotations

from modelscan.verify.compare import Comparison, Verification
from modelscan.verify.opinion import verify
from modelscan.verify.process import Oracle

__all__ = ["Comparison", "Oracle", "Verification", "verify"]
