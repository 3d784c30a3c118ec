"""The tables about ONNX Runtime against the one that is installed, and against what it says of the whole corpus."""

import json

import pytest

from fixtures.onnxruntime_operators import TABLE, text
from modelscan.formats import ReadOptions
from modelscan.policy import Gate
from modelscan.scan import examine_all
from modelscan.targets import onnxruntime as tables
from modelscan.versions import Versions, version
from tests.corpus import ROOT as CORPUS
from tests.corpus import expected
from tests.policy_cases import settings


def installed():
    runtime = pytest.importorskip("onnxruntime")
    runtime.set_default_logger_severity(4)
    return runtime


def newest():
    """The installed ONNX Runtime, when it is the one that the last row is about."""
    runtime = installed()
    if version(runtime.__version__)[:2] != tables.NEWEST:
        pytest.skip(f"the last row is about {tables.NEWEST}, installed is {runtime.__version__}")
    return runtime


@pytest.mark.oracle
def test_the_table_of_operators_is_that_of_the_installed_runtime():
    newest()
    assert TABLE.read_text(encoding="utf-8") == text(), "run `python -m fixtures.onnxruntime_operators`"


@pytest.mark.oracle
@pytest.mark.parametrize("column", ["ai.onnx", "ai.onnx.ml", "ir"])
def test_the_newest_release_loads_exactly_up_to_its_row(column):
    from onnx import TensorProto, helper

    runtime = newest()

    def loads(number):
        values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy"]
        graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", values[:1], values[1:])
        domains = {"": 17} | ({"": number} if column == "ai.onnx" else {"ai.onnx.ml": number} if column == "ai.onnx.ml" else {})
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid(*one) for one in domains.items()])
        model.ir_version = number if column == "ir" else 8
        try:
            runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        except Exception:  # noqa: BLE001 - the runtime has many classes for refusing
            return False
        return True

    limit = tables.limit(tables.NEWEST, column)
    assert limit.sure == limit.possible
    assert [loads(limit.sure), loads(limit.sure + 1)] == [True, False]


@pytest.mark.oracle
@pytest.mark.parametrize(
    ("domain", "name", "opset"),
    [
        ("", "MaxRoiPool", 22),
        ("", "MaxRoiPool", 16),
        ("", "AveragePool", 6),
        ("", "AveragePool", 11),
        ("", "Celu", 12),
        ("ai.onnx.ml", "Scaler", 3),
    ],
)
def test_operators_run_where_the_table_says_so(domain, name, opset):
    from onnx import TensorProto, helper

    runtime = newest()
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8] if name != "Scaler" else [1, 3])]
    more = {"pooled_shape": [2, 2]} if name == "MaxRoiPool" else {"kernel_shape": [2, 2]} if name == "AveragePool" else {}
    if name == "MaxRoiPool":
        inputs.append(helper.make_tensor_value_info("r", TensorProto.FLOAT, [2, 5]))
    if name == "Scaler":
        more = {"offset": [0.0], "scale": [1.0]}
    node = helper.make_node(name, [one.name for one in inputs], ["y"], domain=domain, **more)
    graph = helper.make_graph([node], "g", inputs, [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)])
    domains = {"": opset} if not domain else {"": 17, domain: opset}
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid(*one) for one in domains.items()], ir_version=8)
    try:
        runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        refused = ""
    except Exception as error:  # noqa: BLE001 - the runtime has many classes for refusing
        refused = str(error)
    assert ("Could not find an implementation" in refused) is bool(refused)
    assert (tables.problem(domain, name, opset) is not None) is bool(refused)


def test_rows_only_grow():
    for column in ("ai.onnx", "ai.onnx.ml", "ir"):
        limits = [tables.limit(one, column) for one in tables.RELEASES]
        assert [one.sure for one in limits] == sorted(one.sure for one in limits)
        assert all(one.possible is not None and one.possible >= one.sure for one in limits)


def test_a_release_between_rows_is_bounded_and_one_behind_the_table_is_open():
    assert tables.limit((1, 22), "ai.onnx") == tables.Limit(21, 23)
    assert tables.limit((1, 99), "ai.onnx") == tables.Limit(28, None)
    assert tables.limit((0, 1), "ai.onnx") == tables.Limit(0, 10)


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        (">=1.15", (1, 15), tables.NEWEST),
        ("==1.17", (1, 17), (1, 17)),
        ("==1.17.3", (1, 17), (1, 17)),
        (">=1.99", tables.NEWEST, tables.NEWEST),
    ],
)
def test_releases_of_a_range(text, first, last):
    found = tables.releases_in(Versions.parse(text))
    assert (found[0], found[-1]) == (first, last)


def test_the_first_release_that_loads_a_model():
    assert tables.oldest_release({"": 17}, 8) == "1.12"
    assert tables.oldest_release({"": 17}, 10) == "1.18"
    assert tables.oldest_release({"": 9, "ai.onnx.ml": 3}, 3) == "1.12"
    assert tables.oldest_release({"": 99}, 3) is None


@pytest.mark.corpus
def test_what_the_runtime_loads_is_never_called_undeployable():
    """Over every file of the corpus: a file of which the runtime made a session has no finding about the target."""
    rows = expected("onnx")
    gate = Gate(settings(f"require.runtimes = [{json.dumps(f'onnxruntime=={tables.NEWEST[0]}.{tables.NEWEST[1]}')}]"))
    paths = [str(CORPUS / "onnx" / row["path"]) for row in rows]
    wrong, named, refused = [], 0, 0
    for row, model in zip(rows, examine_all(paths, ReadOptions(), jobs=2), strict=True):
        found = [one for one in gate.judge(model).findings if one.code.startswith("DEP") and one.severity != "info"]
        if row["runtime"] == "ok":
            wrong += [(row["path"], one.message) for one in found]
        else:
            refused += 1
            named += bool(found)
    assert not wrong
    assert named >= 0.6 * refused, f"{named} of {refused} refused files are named"
