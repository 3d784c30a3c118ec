"""What the onnx package's registry says of the operators that a model uses, and what the model says of itself."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from modelscan.formats.onnx import contrib
from modelscan.formats.onnx.context import Reading
from modelscan.formats.onnx.native import knows, newest_opset
from modelscan.graph import FunctionKey, Graph, Node
from modelscan.model import Severity

STANDARD = frozenset({"", "ai.onnx.ml", "ai.onnx.training", "ai.onnx.preview.training", "ai.onnx.preview"})
_RUNTIME = "SimplifiedLayerNormalization"
"""ONNX Runtime's own operator in the standard domain, in every version of it (onnxruntime/core/graph/contrib_ops/contrib_defs.cc): its
optimiser and its model builder write it for the normalisations of Llama and T5."""
_WITHDRAWN = frozenset(("Affine", "Crop", "DynamicSlice", "ImageScaler", "ParametricSoftplus", "Scale", "ScaledTanh"))
"""Operators that were experimental once, which it runs in models of the versions before it withdrew them
(onnxruntime/core/graph/contrib_ops/onnx_deprecated_operators.cc)."""
_WITHDRAWAL = 10
_RUNTIMES = ("ai.onnx", "com.microsoft", "com.ms.", "org.pytorch.")
"""Beginnings of the domains in which runtimes and exporters keep operators under the standard's names, imported or not."""
NEWEST_IR = 14
"""The newest version of the format, of onnx 1.23 and ONNX Runtime 1.32."""
_TWO_GIB = (1 << 31) - 1


def check(reading: Reading, graph: Graph, facts: Mapping[str, Any], has_graph: bool) -> None:
    """Versions and operators."""
    version = facts.get("ir_version")
    if not has_graph:
        reading.note("missing-graph", "the model has no graph")
    if version is None:
        reading.note("missing-ir-version", "no ir_version is given")
    elif version > NEWEST_IR:
        reading.note("unknown-opset", f"ir_version {version}; the newest one that is known is {NEWEST_IR}", where="ir_version")
    if reading.wire.size > _TWO_GIB:
        text = f"{reading.wire.size:,} bytes; a protobuf message ends at {_TWO_GIB:,}"
        reading.note("protobuf-over-2-gib", text)
    if not graph.opsets and (version or 3) >= 3 and has_graph:
        reading.note("missing-opset", "no opset_import is given")
    _check_scope(reading, graph, graph.opsets, graph.functions, "graph")
    for function in graph.functions.values():
        _check_scope(reading, function.graph, {**graph.opsets, **function.graph.opsets}, graph.functions, f"function {function.name}")


def _check_scope(reading: Reading, graph: Graph, opsets: Mapping[str, int], functions: Collection[FunctionKey], where: str) -> None:
    """Each operator once: whether its domain is imported, its version known, and the operator in it."""
    seen: set[tuple[str, str]] = set()
    domains: set[str] = set()
    for path, scope in graph.scopes():
        for index, node in enumerate(scope.nodes):
            kind = (node.domain, node.op)
            if kind in seen or (node.domain, node.op, node.overload) in functions:
                continue
            seen.add(kind)
            place = f"{where} > {path}.node[{index}]" if path else f"{where}.node[{index}]"
            if node.domain not in domains:
                domains.add(node.domain)
                _check_domain(reading, node.domain, opsets, place)
            if node.domain in STANDARD and not _known(node.op, node.domain, opsets.get(node.domain)):
                text, milder = _unknown(node, opsets.get(node.domain))
                reading.note("unknown-operator", text, layer=node.title(index), offset=node.offset, where=place, severity=milder)
            elif (problem := _misplaced(node, opsets)) is not None:
                reading.note("unknown-operator", problem, layer=node.title(index), offset=node.offset, where=place)


def _unknown(node: Node, version: int | None) -> tuple[str, Severity | None]:
    """What is wrong with an operator that the registry does not have, and how grave it is if less than usual.

    Of a version after its own the registry cannot tell: a good model must not fail because the package beside us is an older one.
    """
    text = f"{node.op or 'an operator without name'} is none of {node.domain or 'ai.onnx'}"
    newest = newest_opset(node.domain)
    if version is not None and version > newest > 0 and node.op:
        return f"{text} {newest}, the newest that the installed onnx package knows; the model asks for {version}", Severity.MEDIUM
    if version is not None:
        text = f"{text} {version}"
    if node.domain == "" and (node.op == _RUNTIME or (node.op in _WITHDRAWN and (version or 1) < _WITHDRAWAL)):
        text = f"{text}; ONNX Runtime has it in that domain and runs it, others cannot be expected to"
        return text, Severity.INFO if node.op == _RUNTIME else Severity.LOW
    return text, Severity.MEDIUM if knows(node.op, node.domain) else None


def _misplaced(node: Node, opsets: Mapping[str, int]) -> str | None:
    """Why a domain cannot have the operator: it is ONNX Runtime's own and has not; or nobody imports it, and the operator is another one's.

    A vendor's domain that is not imported may be known to a runtime that was taught it; Constant is one to ONNX Runtime wherever it is.
    """
    domain, op = node.domain, node.op
    if domain == contrib.DOMAIN:
        return None if contrib.knows(op) else f"{op} is none of {domain}"
    if not domain or domain in opsets or domain.startswith(_RUNTIMES) or op == "Constant":
        return None
    owner = "ai.onnx" if knows(op, "") else contrib.DOMAIN if contrib.knows(op) else None
    return f"{op} is an operator of {owner}, and no version of {domain} is imported" if owner else None


def _check_domain(reading: Reading, domain: str, opsets: Mapping[str, int], where: str) -> None:
    shown = domain or "ai.onnx"
    if domain not in opsets:
        if opsets:
            milder = None if domain in STANDARD else Severity.MEDIUM
            reading.note("missing-opset", f"operators of {shown} are used, and no version of it is imported", where=where, severity=milder)
    elif not domain and opsets[domain] > newest_opset():
        text = f"opset {opsets[domain]} of {shown}; the installed onnx package knows {newest_opset()}"
        reading.note("unknown-opset", text, where="opset_import")
    elif opsets[domain] < 1:
        reading.note("missing-opset", f"opset {opsets[domain]} of {shown} does not exist", where="opset_import")


def _known(op: str, domain: str, version: int | None) -> bool:
    if version is None or (not domain and version > newest_opset()):
        return knows(op, domain)
    return knows(op, domain, version)
