"""SEC2xx: what an ONNX graph makes its runtime do, and what its texts give away."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from functools import lru_cache
from itertools import compress, count
from math import prod
from operator import attrgetter
from typing import Any

from modelscan.graph import Graph, Node
from modelscan.model import Finding, Severity, Shape
from modelscan.rules.base import Rule, Subject

_PYTHON = frozenset({"PyOp", "PyCustomOp", "PythonOp", "PythonOpGrad", "PythonFunction", "PyFunc"})
_VENDORS = frozenset(
    {
        "ai.onnx.ml",
        "ai.onnx.training",
        "ai.onnx.preview.training",
        "ai.onnx.preview",
        "com.microsoft",
        "com.microsoft.nchwc",
        "com.microsoft.experimental",
        "com.ms.internal.nhwc",
        "pkg.onnxscript.torch_lib",
        "pkg.onnxscript.torch_lib.common",
    }
)
"""Domains that ONNX, ONNX Runtime and PyTorch's exporter define themselves."""
_ALLOCATES = 1 << 33
"""Elements that no layer of a served model needs at once."""
_NOTHING = (0,)
_GIVEN_SHAPES = {"ConstantOfShape": 0, "Expand": 1, "Tile": 1}
"""Operators and the input that says how large their result is."""
_TEXT_BYTES = 64 * 1024
_SECRET = re.compile(
    r"\b(AKIA[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{60,}|hf_[A-Za-z]{34,}|xox[baprs]-[A-Za-z0-9-]{20,}"
    r"|sk-[A-Za-z0-9_-]{32,}|AIza[0-9A-Za-z_-]{35}|glpat-[A-Za-z0-9_-]{20,})\b|-----BEGIN [A-Z ]*PRIVATE KEY-----"
)
"""Tokens by the prefix that their issuers give them, and keys; nothing that could be a mere number or hash."""
_PREFIXES = ("AKIA", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "hf_", "xox", "sk-", "AIza", "glpat-", "-----BEGIN")
"""One of these is in every text that has a token: to look for them takes a tenth of the time."""
_USER = re.compile(r"(?:/home/|/Users/|[A-Za-z]:\\Users\\)([A-Za-z0-9._-]{1,64})[/\\][^\s\"',;]{0,200}")
_URL = re.compile(r"\b(?:https?|ftp|s3|gs)://[^\s\"'<>)\]}]{3,300}")


_domain, _metadata = attrgetter("domain"), attrgetter("metadata")


def _nodes(subject: Subject, has: Callable[[Node], Any]) -> Iterator[tuple[str, Node]]:
    """The nodes of every scope, function and training graph that have a domain (other than ONNX's own) or metadata, with their paths."""
    graph = subject.model.graph if subject.model is not None and subject.model.format == "onnx" else None
    if not isinstance(graph, Graph):
        return
    for path, scope in _scopes(graph):
        for index in compress(count(), map(has, scope.nodes)):
            node = scope.nodes[index]
            yield f"{path}/{node.title(index)}" if path else node.title(index), node


def _scopes(graph: Graph) -> Iterator[tuple[str, Graph]]:
    """Every scope of the graph, its functions and training graphs, with its path."""
    roots = [("", graph), *((f"function {one.name}", one.graph) for one in graph.functions.values()), *graph.training.items()]
    for start, root in roots:
        yield from root.scopes(start)


class PythonOperator(Rule):
    """The graph calls Python code.

    What it does:
        Finds operators that run Python functions (`PyOp`, `PyCustomOp`, `PythonOp`), by their type, in every scope and function.

    Why it matters:
        A runtime with the extension loaded executes what the operator names.

    Example:
        `PyOp` of `ai.onnx.contrib` with `module: "os"`.

    What to do:
        Do not run the model. Export it without Python operators.

    References:
        ONNX Runtime: Python operators; onnxruntime-extensions: PyCustomOpDef.
    """

    code = "SEC201"
    name = "python-operator"
    severity = Severity.CRITICAL
    formats = ("onnx",)
    help = "do not run the model; export it without Python operators"

    def check(self, subject: Subject) -> Iterator[Finding]:
        """One finding per node."""
        yield from super().check(subject)
        for path, node in _nodes(subject, _domain):
            if node.op in _PYTHON:
                named = [f"{key}={value!r}" for key, value in node.attributes.items() if isinstance(value, str)]
                text = f"{node.op} of {node.domain} calls a Python function{' (' + ', '.join(named[:4])[:200] + ')' if named else ''}"
                yield self.finding(text, layer=path, offset=node.offset)


class CustomDomain(Rule):
    """Operators of a domain that ONNX does not define.

    What it does:
        Lists the domains of operators that are neither ONNX's, ONNX Runtime's nor functions of the model itself.

    Why it matters:
        The runtime needs a library that registers them; what they do is not in the file.

    Example:
        `MyNms` of the domain `ai.example`.

    What to do:
        Deliver the library with the model.

    References:
        ONNX Runtime: custom operators.
    """

    code = "SEC202"
    name = "custom-domain"
    severity = Severity.INFO
    formats = ("onnx",)
    help = "deliver the library with the operators together with the model"

    def check(self, subject: Subject) -> Iterator[Finding]:
        """One finding per domain."""
        yield from super().check(subject)
        if subject.model is None or not isinstance(subject.model.graph, Graph):
            return
        functions = {(one.domain, one.name) for one in subject.model.graph.functions.values()}
        used: dict[str, Counter[str]] = {}
        for _, node in _nodes(subject, _domain):
            if node.domain not in _VENDORS and (node.domain, node.op) not in functions:
                used.setdefault(node.domain, Counter())[node.op] += 1
        for domain, operators in sorted(used.items()):
            listed = ", ".join(f"{op} × {count}" for op, count in sorted(operators.items())[:8])
            more = f" and {len(operators) - 8} more" if len(operators) > 8 else ""
            yield self.finding(f"operators of {domain}, which no public library defines: {listed}{more}")


class HugeAllocation(Rule):
    """An operator allocates more than any machine has.

    What it does:
        Multiplies the dimensions that constants give to ConstantOfShape, Expand or Tile, and those of every value whose shape follows
        from the file (Range, Resize, Pad, RandomNormal and so on), where the operator's inputs are not as large themselves.

    Why it matters:
        A file of a few bytes makes the runtime ask for terabytes, already when it optimises the graph.

    Example:
        ConstantOfShape of `[1048576, 1048576]`.

    What to do:
        Distrust the file.

    References:
        CWE-789.
    """

    code = "SEC203"
    name = "huge-allocation"
    severity = Severity.HIGH
    formats = ("onnx",)
    help = "distrust the file"

    def check(self, subject: Subject) -> Iterator[Finding]:
        """One finding per node."""
        yield from super().check(subject)
        graph = subject.model.graph if subject.model is not None and subject.model.format == "onnx" else None
        if not isinstance(graph, Graph):
            return
        if graph.folded is not None and not any(_allocations(graph.folded.graph)):
            return  # what its copies do not do, no copy does
        for title, node, sizes in _allocations(graph.inlined or graph):
            text = f"{node.op} {title} makes a tensor of {' × '.join(f'{one:,}' for one in sizes)} = {prod(sizes):,} elements"
            yield self.finding(text, layer=title, offset=node.offset)


def _allocations(graph: Graph) -> Iterator[tuple[str, Node, tuple[int, ...]]]:
    """Titles and nodes of all scopes that make tensors beyond the bound, with their dimensions."""
    for path, scope in graph.scopes():
        shapes = {info.shape for info in scope.values.values()}
        beyond = {shape for shape in shapes if shape and prod(_sizes(shape)) > _ALLOCATES}
        huge = {name for name, info in scope.values.items() if info.shape in beyond} if beyond else set()
        for index, node in enumerate(scope.nodes):
            if not huge and node.op not in _GIVEN_SHAPES:
                continue
            sizes = _asked(node, scope) or (_made(node, scope, huge) if huge else None)
            if sizes:
                yield f"{path}/{node.title(index)}" if path else node.title(index), node, sizes


def _asked(node: Node, scope: Graph) -> tuple[int, ...] | None:
    """Dimensions beyond the bound that a constant gives to an operator."""
    place = _GIVEN_SHAPES.get(node.op)
    if place is None or node.domain or len(node.inputs) <= place:
        return None
    sizes = tuple(one for one in scope.contents.get(node.inputs[place]) or () if isinstance(one, int) and one > 0)
    return sizes if prod(sizes) > _ALLOCATES and len(sizes) == len(scope.contents[node.inputs[place]]) else None


def _made(node: Node, scope: Graph, huge: Collection[str]) -> tuple[int, ...] | None:
    """The shape of an output beyond the bound, if no input of the node is as large."""
    made = next((name for name in node.outputs if name in huge), None)
    if made is None or node.graphs or any(name in huge for name in node.inputs):
        return None
    return _sizes(scope.values[made].shape or ())


@lru_cache(maxsize=1024)
def _sizes(shape: Shape) -> tuple[int, ...]:
    """A shape of which every dimension is a number, (0,) where one is not."""
    sizes = tuple([one for one in shape if isinstance(one, int)])
    return sizes if len(sizes) == len(shape) else _NOTHING


class SecretInMetadata(Rule):
    """A text of the file holds an access token or private key.

    What it does:
        Looks for tokens by the prefixes that their issuers give them, in metadata and doc strings, never in weights.

    Why it matters:
        Whoever gets the model gets the access.

    Example:
        A metadata entry with a token that begins with `ghp_`.

    What to do:
        Revoke the token, then export the model without it.

    References:
        CWE-540.
    """

    code = "SEC204"
    name = "secret-in-metadata"
    severity = Severity.MEDIUM
    help = "revoke the token, then export the model without it"

    def check(self, subject: Subject) -> Iterator[Finding]:
        """One finding per text; the token itself is not repeated."""
        yield from super().check(subject)
        for place, text in _texts(subject):
            found = _SECRET.search(text) if any(map(text.__contains__, _PREFIXES)) else None
            if found:
                yield self.finding(f"{place} holds what looks like an access token or key ({found[0][:6]}…)", where=place)


class TraceInMetadata(Rule):
    """Texts of the file tell where and by whom it was made.

    What it does:
        Counts user names in paths, and URLs, in metadata, doc strings and stack traces.

    Why it matters:
        Published models tell the names of people and machines.

    Example:
        `/home/maria/train/model.py` in a stack trace of the exporter.

    What to do:
        Export without stack traces, if that matters to you.

    References:
        CWE-200.
    """

    code = "SEC205"
    name = "trace-in-metadata"
    severity = Severity.INFO
    help = "export without stack traces"

    def check(self, subject: Subject) -> Iterator[Finding]:
        """One finding for the users, one for the URLs."""
        yield from super().check(subject)
        users: Counter[str] = Counter()
        urls: Counter[str] = Counter()
        first: dict[str, str] = {}
        for place, text in _texts(subject):
            for match in _USER.finditer(text) if "/home/" in text or "Users" in text else ():
                users[match[1]] += 1
                first.setdefault("user", f"{match[0][:120]} in {place}")
            for match in _URL.finditer(text) if "://" in text else ():
                urls[match[0]] += 1
                first.setdefault("url", f"{match[0][:120]} in {place}")
        if users:
            yield self.finding(f"paths with the user name{'s' if len(users) > 1 else ''} {_listed(users)}, first {first['user']}")
        if urls:
            yield self.finding(f"{len(urls)} URL{'s' if len(urls) > 1 else ''}, first {first['url']}")


def _listed(found: Counter[str]) -> str:
    shown = ", ".join(f"{name} ({count:,})" for name, count in sorted(found.items())[:5])
    return f"{shown} and {len(found) - 5} more" if len(found) > 5 else shown


def _texts(subject: Subject) -> Iterator[tuple[str, str]]:
    """Metadata and doc strings of the model, its scopes and its nodes, each with its place; bounded in length."""
    model = subject.model
    if model is None or model.format != "onnx":
        return
    metadata = model.facts.get("metadata") or {}
    yield from ((f"metadata {key}", str(value)[:_TEXT_BYTES]) for key, value in metadata.items())
    if model.facts.get("doc_string"):
        yield "doc_string", str(model.facts["doc_string"])[:_TEXT_BYTES]
    if isinstance(model.graph, Graph):
        for path, scope in _scopes(model.graph):
            yield from ((f"{path or 'graph'} {_label(key)}", value[:_TEXT_BYTES]) for key, value in scope.metadata.items())
        for path, node in _nodes(subject, _metadata):
            yield from ((f"node {path} {key}", value[:_TEXT_BYTES]) for key, value in node.metadata.items())


def _label(key: str) -> str:
    return key if key == "doc_string" else f"metadata {key}"
