"""The opt-in second opinion: what the real framework says of a file, beside what modelscan derived from its bytes.

The framework loads the file in a child process with limits (`oracle`, the only module that imports frameworks); `compare`
sets its answer against ours.
"""

from __future__ import annotations

from modelscan.verify.compare import Comparison, Verification, verify

__all__ = ["Comparison", "Verification", "verify"]
