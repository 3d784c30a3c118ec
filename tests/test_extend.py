"""Custom layers: formulas from the configuration and from Python, and what is refused."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from modelscan import extend, inspect, scan, teach
from modelscan.errors import ConfigError
from modelscan.layers.keras.registry import CATALOGUE

TABLE = {
    "weights": {"kernel": ["inputs", "2 * units"], "bias": ["2 * units"], "scale": ["inputs[-1]", 1]},
    "when": {"bias": "use_bias"},
    "frozen": ["scale"],
    "output": ["...", "units"],
}


@pytest.fixture(autouse=True)
def catalogue():
    """What a test teaches is forgotten after it."""
    before = dict(CATALOGUE)
    yield
    CATALOGUE.clear()
    CATALOGUE.update(before)


@pytest.fixture(scope="module")
def gated(tmp_path_factory):
    """A file with a layer of its author's, and what Keras counts for it."""
    keras = pytest.importorskip("keras")

    @keras.saving.register_keras_serializable("mine")
    class GatedDense(keras.layers.Layer):
        def __init__(self, units, use_bias=True, **kwargs):
            super().__init__(**kwargs)
            self.units, self.use_bias = units, use_bias

        def build(self, shape):
            self.kernel = self.add_weight(shape=(shape[-1], 2 * self.units), name="kernel")
            self.bias = self.add_weight(shape=(2 * self.units,), name="bias") if self.use_bias else None
            self.scale = self.add_weight(shape=(shape[-1], 1), name="scale", trainable=False)

        def call(self, x):
            return keras.ops.matmul(x, self.kernel)[..., : self.units]

        def get_config(self):
            return super().get_config() | {"units": self.units, "use_bias": self.use_bias}

    model = keras.Sequential([keras.Input((7, 6)), GatedDense(5, name="gated"), keras.layers.Dense(3, name="after")])
    folder = tmp_path_factory.mktemp("gated")
    paths = [folder / "model.keras", folder / "model.h5"]
    for path in paths:
        model.save(path)
    return (
        paths,
        {one.name: one.count_params() for one in model.layers},
        sum(int(w.shape[0] * w.shape[1]) for w in model.non_trainable_weights),
    )


def test_untaught_its_weights_are_counted_and_its_formula_is_unknown(gated):
    for path in gated[0]:
        report = inspect(path)
        assert (report.layer("gated").parameters, report.layer("gated").verdict) == (gated[1]["gated"], "unknown")
        # only an archive says with which shape the next layer was built
        assert report.layer("after").verdict == ("match" if path.suffix == ".keras" else "inferred")


def test_a_table_is_a_formula(gated):
    extend.install({"mine>GatedDense": TABLE})
    for path in gated[0]:
        report = inspect(path)
        layer = report.layer("gated")
        assert (layer.verdict, layer.parameters) == ("match", gated[1]["gated"])
        assert layer.formula == "2 × inputs × units + 2 × units + inputs"
        assert layer.output_shapes == ((None, 7, 5),)
        assert report.layer("after").verdict == "match"
        assert report.parameters.non_trainable == gated[2]
        assert [one for one in report.findings if one.severity != "info"] == []


def test_a_function_is_a_formula(gated):
    @teach("GatedDense")
    def gated_dense(c):
        units = c.dim("units")
        weights = [c.weight("kernel", c.from_input("inputs", -1), 2 * units, multiplied=True)]
        if c.flag("use_bias", True):
            weights.append(c.weight("bias", 2 * units))
        weights.append(c.weight("scale", c.from_input("inputs", -1), extend.const(1), trainable=False))
        return extend.Derived(weights, c.replace_last(units.value), c.positions())

    for path in gated[0]:
        assert inspect(path).layer("gated").verdict == "match"


def test_a_wrong_formula_is_told(gated):
    extend.install({"GatedDense": TABLE | {"weights": TABLE["weights"] | {"kernel": ["inputs", "3 * units"]}}})
    report = inspect(gated[0][0])
    assert report.layer("gated").verdict == "mismatch"
    assert [one.name for one in report.findings if one.severity == "high"] == ["weight-mismatch"]


def test_the_command_line_reads_tables_and_plugins(gated, tmp_path):
    (tmp_path / "my_layers.py").write_text(
        "from modelscan import teach\nfrom modelscan.extend import Derived\n\n\n@teach('Other')\ndef other(c):\n    return Derived((), c.inputs)\n"
    )
    settings = 'plugins = ["my_layers"]\n[layers.GatedDense]\n'
    settings += 'weights = { kernel = ["inputs", "2 * units"], bias = ["2 * units"], scale = ["inputs", 1] }\noutput = ["...", "units"]\n'
    (tmp_path / "modelscan.toml").write_text(settings)
    command = [sys.executable, "-m", "modelscan", "inspect", "--format", "json", str(gated[0][0])]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["models"][0]["layers"][0]["verdict"] == "match"
    diff = subprocess.run(
        [*command[:3], "diff", *map(str, gated[0]), "--format", "json"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert json.loads(diff.stdout)["totals"]["parameters"] == [report_total(command, tmp_path)] * 2
    explain = [*command[:3], "explain", str(gated[0][0]), "gated"]
    explained = [
        subprocess.run([*explain, *more], cwd=tmp_path, capture_output=True, text=True, check=True) for more in ([], ["--isolated"])
    ]
    assert ["no formula is known" in one.stdout for one in explained] == [False, True]
    (tmp_path / "modelscan.toml").write_text('plugins = ["no_such_module"]\n')
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "plugins: no_such_module cannot be imported: ModuleNotFoundError" in done.stderr


def report_total(command, folder):
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)["models"][0]["parameters"]["total"]


SETTINGS = """values = true
[layers.GatedDense]
weights = { kernel = ["inputs", "2 * units"], bias = ["2 * units"], scale = ["inputs", 1] }
output = ["...", "units"]
"""


def test_the_library_and_the_plugin_know_the_layers_of_the_settings(gated, tmp_path):
    """As the command does: also where the model was read before, and with its values."""
    from modelscan.config import load
    from modelscan.pytest_plugin import ModelScan

    (tmp_path / "modelscan.toml").write_text(SETTINGS + "[require]\nexplained = 100\n")
    plugin = ModelScan()
    assert plugin.inspect(gated[0][0]).layer("gated").verdict == "unknown"
    settings = load(config=str(tmp_path / "modelscan.toml"), environment={})
    (scanned,) = scan(gated[0][0], settings=settings).models
    assert scanned.layer("gated").verdict == "match"
    CATALOGUE.pop("GatedDense")
    checked = plugin.assert_model(gated[0][0], policy=tmp_path / "modelscan.toml", findings_below="critical")
    assert checked.layer("gated").verdict == "match"
    assert checked.to_dict()["layers"][0] == scanned.to_dict()["layers"][0]


def test_a_wrong_formula_names_its_settings_file(tmp_path):
    from modelscan.config import load

    (tmp_path / "x.toml").write_text("[layers.A]\nweights = 3\n")
    with pytest.raises(ConfigError, match=r"x\.toml: layers\.A: weights: expected"):
        scan("x.onnx", settings=load(config=str(tmp_path / "x.toml"), environment={}))


def test_nothing_is_imported_that_a_model_names(tmp_path):
    config = {"module": "antigravity", "class_name": "Thing", "config": {"layers": []}, "registered_name": "antigravity>Thing"}
    with zipfile.ZipFile(tmp_path / "model.keras", "w") as archive:
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("metadata.json", "{}")
    inspect(tmp_path / "model.keras")
    assert "antigravity" not in sys.modules


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ({"weights": {"kernel": ["inputs + 1"]}}, "is no product"),
        ({"weights": {"kernel": "inputs"}}, "expected a table of lists"),
        ({}, "weights: expected a table of lists"),
        ({"weights": {}, "shape": []}, "shape: unknown key"),
        ({"weights": {"kernel": ["inputs"]}, "when": {"bias": "use_bias"}}, "when: expected"),
        ({"weights": {"kernel": ["inputs"]}, "frozen": ["bias"]}, "frozen: expected a list of weights"),
        ({"weights": {"kernel": ["inputs"]}, "output": ["units", "..."]}, "output: expected a list"),
    ],
)
def test_what_is_no_formula_is_refused(table, says):
    with pytest.raises(ConfigError, match=says):
        extend.install({"Mine": table})


def test_a_layer_of_keras_keeps_its_formula():
    with pytest.raises(ConfigError, match="is a layer of Keras"):
        extend.install({"Dense": {"weights": {}}})


def test_a_hyperparameter_that_is_not_there_is_a_finding(gated):
    extend.install({"GatedDense": {"weights": {"kernel": ["inputs", "width"]}}})
    report = inspect(gated[0][0])
    assert [one.name for one in report.findings if one.severity == "high"] == ["invalid-hyperparameter"]
    assert report.layer("gated").parameters == gated[1]["gated"]

    assert "the settings' formula asks for width, which the layer's configuration does not have" in report.findings[0].message


@pytest.mark.parametrize(
    ("formula", "says"),
    [
        (lambda c: c.nothing, "failed: AttributeError: 'Config' object has no attribute 'nothing'"),
        (lambda _: (1, 2), "returned tuple, not Derived"),
        (lambda c: extend.Derived([c.dim("units")], ()), "returned weights that are none"),
    ],
    ids=["a fault", "another thing", "no weights"],
)
def test_a_formula_that_fails_is_told_of_its_layer(gated, formula, says):
    """It is the user's own code: not a fault of ours, and the rest of the model is reported."""
    teach("GatedDense")(formula)
    report = inspect(gated[0][0])
    assert report.readable
    (bad,) = [one for one in report.findings if one.severity == "high"]
    assert (bad.name, bad.layer) == ("invalid-hyperparameter", "gated")
    assert "its formula tests.test_extend.<lambda> " in bad.message
    assert says in bad.message
    assert report.parameters.total == gated[1]["gated"] + report.layers[-1].parameters


def test_the_page_shows_the_table_that_is_used():
    root = Path(__file__).parent.parent
    assert (root / "docs" / "examples" / "custom-layers.toml").read_text() in (root / "docs" / "custom-layers.md").read_text()
