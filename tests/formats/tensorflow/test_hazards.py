"""What a graph does beside computing: told where it can be reached, silent where it cannot, and silent on every saver."""

import pytest

from modelscan.examine import examine
from modelscan.formats.tensorflow.hazards import Walk
from modelscan.limits import Limits
from modelscan.program import ConcreteFunction, Function, MetaGraph, Operation, SavedObject
from tests.formats.tensorflow.opened import findings, kinds, read
from tests.hostile.tensorflow_bytes import (
    FLOAT,
    STRING,
    WRAPPER,
    SavedModel,
    call,
    function,
    kind,
    node,
    text,
    text_node,
)


def body(*nodes):
    return SavedModel(body=nodes)


PATH = text_node("path", "/etc/passwd")


@pytest.mark.parametrize(
    ("model", "name", "says"),
    [
        (body(PATH, node("read", "ReadFile", "path:output:0")), "file-read-op", "ReadFile reads a file '/etc/passwd'"),
        (body(PATH, node("match", "MatchingFiles", "path:output:0")), "file-read-op", "MatchingFiles lists files"),
        (body(PATH, node("w", "WriteFile", "path:output:0", "path:output:0")), "file-write-op", "WriteFile writes a file '/etc/passwd'"),
        (body(PATH, node("s", "SaveV2", "path:output:0", "path:output:0", "path:output:0")), "file-write-op", "SaveV2"),
        (body(node("p", "EagerPyFunc", "x", token=text("pyfunc_0"))), "python-op", "EagerPyFunc calls Python code"),
        (body(node("p", "PrintV2", "x", output_stream=text("file:///tmp/x"))), "file-write-op", "file:///tmp/x"),
        (body(PATH, node("d", "TextLineDataset", "path:output:0")), "file-read-op", "TextLineDataset"),
        (
            SavedModel(
                body=(node("c", "PartitionedCall", "x", f=call("inner")),),
                library=(function("inner", {"x": FLOAT}, {}, (PATH, node("r", "ReadFile", "path:output:0")), {}),),
            ),
            "file-read-op",
            "inner > r",
        ),
    ],
)
def test_what_a_signature_reaches(tmp_path, model, name, says):
    folder = model.write(tmp_path)
    assert name in findings(folder)
    found = next(one for one in examine(str(folder)).findings if one.name == name)
    assert says in found.message
    assert "the signature serving_default" in found.message


@pytest.mark.parametrize(("edges", "severity"), [(("_adapt_function",), "info"), (("_adapt_function", "__call__"), "medium")])
def test_python_that_only_adapting_calls_is_no_alarm(edges, severity):
    """Keras 2 saves the step by which a Discretization layer learns its bins; it sorts them in Python."""
    objects = [SavedObject("user_object", dict.fromkeys(edges[:1], 1) | dict.fromkeys(edges[1:], 2))]
    objects += [SavedObject("function", functions=("step",))] * 2
    library = {"step": Function("step", nodes=(Operation("p", "PyFunc"), Operation("w", "WriteFile")))}
    graph = MetaGraph(functions=library, objects=tuple(objects), concrete={"step": ConcreteFunction("step")})
    found = {one.kind: str(one.severity) for one in Walk(graph, "").run().seen}
    assert found == {"python-op": severity, "file-write-op": "medium"}


@pytest.mark.parametrize(
    "model",
    [
        SavedModel(nodes=(PATH, node("read", "ReadFile", "path"))),
        SavedModel(library=(function("unused", {"x": STRING}, {}, (node("r", "ReadFile", "x"),), {}),)),
        body(node("p", "PrintV2", "x", output_stream=text("stderr"))),
        body(node("s", "SaveV2", "x", "x", "x")),
        body(node("cache", "CacheDataset", "x", "empty:output:0"), text_node("empty", "")),
        body(node("own", "SimpleMLInferenceOp", "x")),
    ],
)
def test_what_nobody_reaches_or_what_is_harmless(tmp_path, model):
    assert findings(model.write(tmp_path)) == []


def test_an_operation_that_tensorflow_does_not_have_is_said(tmp_path):
    folder = body(node("own", "SimpleMLInferenceOp", "x")).write(tmp_path)
    assert kinds(folder) == {"custom-op": 1}


def test_a_library_that_calls_itself(tmp_path):
    library = tuple(
        function(name, {"x": FLOAT}, {}, (node("c", "PartitionedCall", "x", f=call(other)),), {})
        for name, other in (("f", "g"), ("g", "h"), ("h", "f"))
    )
    folder = SavedModel(body=(node("c", "PartitionedCall", "x", f=call("f")),), library=library).write(tmp_path)
    assert findings(folder) == ["recursive-call"]
    assert "f > g > h > f" in next(one.message for one in read(folder).observations)


def test_a_long_chain_of_functions_is_no_recursion(tmp_path):
    library = tuple(
        function(f"f{at}", {"x": FLOAT}, {}, (node("c", "PartitionedCall", "x", f=call(f"f{at + 1}")),), {}) for at in range(3000)
    )
    library += (function("f3000", {"x": FLOAT}, {}, (), {}),)
    folder = SavedModel(body=(node("c", "PartitionedCall", "x", f=call("f0")),), library=library).write(tmp_path)
    assert findings(folder) == []


def test_a_function_that_is_not_there_and_one_that_is_there_twice(tmp_path):
    twice = function("twice", {"x": FLOAT}, {}, (), {})
    model = SavedModel(body=(node("c", "PartitionedCall", "x", f=call("nobody")),), library=(twice, twice))
    assert findings(model.write(tmp_path)) == ["library-duplicate", "undefined-function"]


def test_more_nodes_than_the_limit(tmp_path):
    many = tuple(node(f"n{at}", "NoOp") for at in range(300))
    model = SavedModel(nodes=many, body=many)
    folder = model.write(tmp_path)
    assert kinds(folder, Limits(nodes=200))["limit-exceeded"] >= 1
    assert kinds(folder) == {}
    assert WRAPPER in read(folder, Limits(nodes=200)).program.metagraphs[0].functions


def test_a_value_of_another_kind_than_text_is_no_path(tmp_path):
    assert findings(body(node("n", "Const", dtype=kind(FLOAT)), node("r", "ReadFile", "n:output:0")).write(tmp_path)) == ["file-read-op"]
