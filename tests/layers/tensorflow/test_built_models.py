"""Programs that TensorFlow and Keras write here and now, against their own counts: names that repeat, parts, types, states."""

import pytest

import modelscan

pytestmark = pytest.mark.slow
tf = pytest.importorskip("tensorflow")
keras = pytest.importorskip("keras")
TYPES = "bfloat16 half int8 uint8 int16 uint16 int32 int64 float64 complex64 complex128 bool string".split()


def checked(path, total, trainable, types=None):
    """The report of a model that TensorFlow has just written, which has nothing to answer for."""
    report = modelscan.inspect(path)
    assert [one.message for one in report.findings if one.severity != "info"] == []
    assert (report.parameters.total, report.parameters.trainable) == (total, trainable)
    assert report.parameters.explained == report.parameters.stored
    if types is not None:
        assert [one.type for one in report.layers if one.parameters and one.verdict == "match" and one.type != "Scope"] == types
    assert len({one.path for one in report.layers}) == len(report.layers)
    return report


def elements(variables):
    return sum(one.shape.num_elements() if hasattr(one.shape, "num_elements") else keras.ops.size(one).numpy() for one in variables)


def test_a_class_of_the_authors_own_as_keras_exports_it(tmp_path):
    """Its layers share one scope, and every bias of zeros looks like the others."""

    @keras.saving.register_keras_serializable("test")
    class Net(keras.Model):
        def __init__(self):
            super().__init__()
            self.first = keras.layers.Dense(8)
            self.norms = [keras.layers.BatchNormalization() for _ in range(2)]
            self.others = [keras.layers.Dense(8) for _ in range(3)]

        def call(self, x):
            x = self.first(x)
            for one in (*self.norms, *self.others):
                x = one(x)
            return x

    model = Net()
    model(tf.ones((1, 7)))
    model.export(str(tmp_path / "net"), verbose=False)
    types = ["Dense", "BatchNormalization", "BatchNormalization", "Dense", "Dense", "Dense"]
    checked(tmp_path / "net", model.count_params(), elements(model.trainable_variables), types)


def test_a_stateful_layer_as_keras_exports_it(tmp_path):
    model = keras.Sequential([keras.Input(batch_shape=(2, 6, 4)), keras.layers.LSTM(3, stateful=True), keras.layers.Dense(1)])
    model.export(str(tmp_path / "rnn"), verbose=False)
    checked(tmp_path / "rnn", model.count_params(), elements(model.trainable_variables), ["LSTM", "Dense"])


def test_modules_of_one_class(tmp_path):
    class Layer(tf.Module):
        def __init__(self, inputs, units):
            super().__init__()
            self.w, self.b = tf.Variable(tf.random.normal((inputs, units)), name="w"), tf.Variable(tf.zeros(units), name="b")

    module = tf.Module()
    module.layers = [Layer(7, 8), Layer(8, 8), Layer(8, 8)]

    def call(x):
        for one in module.layers:
            x = tf.nn.relu(x @ one.w + one.b)
        return x

    module.call = tf.function(call, input_signature=[tf.TensorSpec((None, 7))])
    tf.saved_model.save(module, str(tmp_path / "module"))
    report = checked(tmp_path / "module", elements(module.variables), elements(module.trainable_variables), ["Dense"] * 3)
    assert [one.parameters for one in report.layers if one.type == "Dense"] == [64, 72, 72]


def test_a_partitioned_variable_of_tensorflow_1(tmp_path):
    v1 = tf.compat.v1
    with v1.Graph().as_default() as graph, v1.Session(graph=graph) as session:
        x = v1.placeholder(tf.float32, [None, 30], name="x")
        with v1.variable_scope("fc", partitioner=v1.fixed_size_partitioner(3)):
            kernel = v1.get_variable("kernel", [30, 8])
        y = tf.matmul(x, tf.convert_to_tensor(kernel))
        session.run(v1.global_variables_initializer())
        builder = v1.saved_model.Builder(str(tmp_path / "parts"))
        signature = v1.saved_model.predict_signature_def({"x": x}, {"y": y})
        builder.add_meta_graph_and_variables(session, ["serve"], signature_def_map={"serving_default": signature})
        builder.save()
    checked(tmp_path / "parts", 240, 240, ["Dense"])


def test_every_type_of_element(tmp_path):
    values = {f"of_{name}": tf.Variable(tf.fill((3, 5), "abc") if name == "string" else tf.zeros((3, 5), name)) for name in TYPES}
    path = tf.train.Checkpoint(**values).write(str(tmp_path / "types"))
    reader = tf.train.load_checkpoint(path)
    report = modelscan.inspect(f"{path}.index", values=True)
    assert [one.message for one in report.findings if one.severity in ("high", "critical", "medium")] == []
    stored = {row.name: row for one in report.layers for row in one.weights}
    for name, dtype in reader.get_variable_to_dtype_map().items():
        if dtype != tf.string:
            assert stored[name].stored_dtype == dtype.name
            assert list(stored[name].stored_shape) == reader.get_variable_to_shape_map()[name]
