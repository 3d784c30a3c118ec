"""Which weights make one layer, where the variables' own names do not tell them apart."""

from modelscan.layers.tensorflow.grouping import grouped
from modelscan.layers.tensorflow.recognise import recognised
from modelscan.layers.tensorflow.trace import Body, Use
from modelscan.layers.tensorflow.weights import Weight
from modelscan.model import StoredTensor
from modelscan.program import Operation


class Program:
    """A body that is written operation by operation, and the weights that it uses."""

    def __init__(self):
        self.nodes = {}
        self.body = Body(self.nodes, {})
        self.weights = []

    def weight(self, name, *shape):
        self.weights.append(Weight(StoredTensor(f"key {len(self.weights)}", shape, "float32"), name, declared=shape, trainable=True))
        return self.weights[-1]

    def run(self, name, op, *inputs, place=1, weight=None):
        """One operation; the weight is the input at the place."""
        references = [*inputs]
        if weight is not None:
            references.insert(place, f"{weight.tensor.name} read")
        self.nodes[name] = Operation(name, op, tuple(references))
        if weight is not None:
            weight.uses.append(Use(self.nodes[name], place, self.body, len(self.nodes)))
        return name

    def layers(self):
        found = [(group.path, recognised(group)) for group in grouped(self.weights)]
        return {path: draft and draft.type for path, draft in found}

    def members(self):
        return [[one.tensor.name for one in group.weights] for group in grouped(self.weights)]


def dense(program, scope, site, before, inputs, units):
    kernel, bias = program.weight(f"{scope}/kernel", inputs, units), program.weight(f"{scope}/bias", units)
    product = program.run(f"{site}/MatMul", "MatMul", before, weight=kernel)
    return program.run(f"{site}/BiasAdd", "BiasAdd", product, weight=bias)


def test_layers_that_keras_gave_one_scope_go_by_the_scope_that_uses_them():
    program = Program()
    x = dense(program, "net", "net_1/dense_1", "x", 7, 8)
    norm = [program.weight(f"net/{word}", 8) for word in ("gamma", "beta", "moving_mean", "moving_variance")]
    for one, op in zip(norm, ("Mul", "Sub", "Mul", "AddV2"), strict=True):
        x = program.run(f"net_1/batch_normalization_1/batchnorm/{op}_{len(program.nodes)}", op, x, weight=one)
    dense(program, "net", "net_1/dense_2", x, 8, 8)
    assert program.layers() == {"net/dense_1": "Dense", "net/batch_normalization_1": "BatchNormalization", "net/dense_2": "Dense"}
    assert [len(one) for one in program.members()] == [2, 4, 2]


def test_a_recurrent_layer_among_others_of_its_scope_stays_one():
    program = Program()
    names = {"kernel": (5, 32), "recurrent_kernel": (8, 32), "bias": (32,)}
    cell = {word: program.weight(f"net/{word}", *shape) for word, shape in names.items()}
    left = program.run("net_1/lstm_1/while/lstm_cell_1/MatMul", "MatMul", "x", weight=cell["kernel"])
    right = program.run("net_1/lstm_1/while/lstm_cell_1/MatMul_1", "MatMul", "h", weight=cell["recurrent_kernel"])
    both = program.run("net_1/lstm_1/while/lstm_cell_1/add", "AddV2", left, right)
    program.run("net_1/lstm_1/while/lstm_cell_1/add_1", "AddV2", both, weight=cell["bias"])
    dense(program, "net", "net_1/dense_1", "y", 8, 2)
    assert program.layers() == {"net/lstm_1": "LSTM", "net/dense_1": "Dense"}


def test_variables_without_scopes_meet_in_their_normalisation():
    program = Program()
    program.nodes["norm"] = Operation("norm", "FusedBatchNormV3", tuple("xgbmv"))
    for place, word in enumerate("gbmv", 1):
        one = program.weight(word, 6)
        one.uses.append(Use(program.nodes["norm"], place, program.body, place))
    assert list(program.layers().values()) == ["BatchNormalization"]


def test_a_bias_goes_to_the_nearest_of_the_products_that_are_summed():
    program = Program()
    first, second = program.weight("u", 5, 8), program.weight("v", 8, 8)
    bias = program.weight("c", 8)
    x = program.run("MatMul", "MatMul", "x", weight=first)
    y = program.run("MatMul_1", "MatMul", "h", weight=second)
    program.run("add_1", "AddV2", program.run("add", "AddV2", x, y), weight=bias)
    assert [len(one) for one in program.members()] == [2, 1]


def test_what_has_axes_of_its_own_is_no_bias():
    """A table of positions that is added to a product."""
    program = Program()
    kernel, table = program.weight("w", 8, 8), program.weight("positions", 1, 6, 8)
    x = program.run("MatMul", "MatMul", "x", weight=kernel)
    program.run("add", "AddV2", x, weight=table)
    assert program.layers() == {"w": "Dense", "positions": "Add"}


def test_every_path_is_one_layers_own():
    program = Program()
    for number in range(3):
        program.run(f"cond/MatMul_{number}", "MatMul", "x", weight=program.weight(f"w{number}", 4, 4))
    assert list(program.layers()) == ["cond", "cond_1", "cond_2"]


def test_words_of_older_libraries():
    program = Program()
    kernels = program.weight("sep/depthwise_weights", 3, 3, 4, 1), program.weight("sep/pointwise_weights", 1, 1, 4, 6)
    x = program.run("sep/depthwise", "DepthwiseConv2dNative", "x", weight=kernels[0])
    program.run("sep/Conv2D", "Conv2D", x, weight=kernels[1])
    assert program.layers() == {"sep": "SeparableConv2D"}


def test_what_a_normalization_has_learnt_is_explained_though_the_program_holds_it_as_constants():
    program = Program()
    for word, shape in {"mean": (4,), "variance": (4,), "count": ()}.items():
        program.weight(f"normalization/{word}", *shape)
    assert program.layers() == {"normalization": "Normalization"}


def test_a_weight_of_the_scope_that_other_layers_lie_in_stands_beside_them():
    program = Program()
    product = program.run("linear/age/MatMul", "MatMul", "x", weight=program.weight("linear/age/weights", 1, 1))
    program.run("linear/sum", "AddN", product)
    program.run("linear/shifted", "BiasAdd", "linear/sum", weight=program.weight("linear/bias_weights", 1))
    assert program.layers() == {"linear/age": "Dense", "linear/bias_weights": "BiasAdd"}


def test_a_cell_of_tensorflow_1_with_peepholes():
    program = Program()
    program.run("rnn/lstm_cell/MatMul", "MatMul", "x", weight=program.weight("rnn/lstm_cell/kernel", 13, 32))
    program.run("rnn/lstm_cell/BiasAdd", "BiasAdd", "rnn/lstm_cell/MatMul", weight=program.weight("rnn/lstm_cell/bias", 32))
    for gate in "ifo":
        program.run(f"rnn/lstm_cell/mul_{gate}", "Mul", "c", weight=program.weight(f"rnn/lstm_cell/w_{gate}_diag", 8))
    assert program.layers() == {"rnn": "LSTMCell"}
