"""Layers that exporters take apart, weights in control-flow bodies, and the tree that comes of names."""

from __future__ import annotations

from onnx import TensorProto, helper

from tests.layers.onnx.onnx_graphs import FLOAT, INT64, accounts, agreed, derived, info, ints, model, node, weight

X = info("x", ["N", 4, 8])
Y = info("y", ["N", 4, 8])


def scalar(name, value):
    return helper.make_tensor(name, FLOAT, (), [value])


def test_layer_normalization_in_nine_operators(tmp_path):
    nodes = [
        node("ReduceMean", ["x"], ["mean"], axes=[-1]),
        node("Sub", ["x", "mean"], ["d"]),
        node("Pow", ["d", "two"], ["sq"]),
        node("ReduceMean", ["sq"], ["var"], axes=[-1]),
        node("Add", ["var", "eps"], ["ve"]),
        node("Sqrt", ["ve"], ["std"]),
        node("Div", ["d", "std"], ["n"]),
        node("Mul", ["n", "gamma"], ["g"]),
        node("Add", ["g", "beta"], ["y"]),
    ]
    tensors = [scalar("two", 2.0), scalar("eps", 1e-5), weight("gamma", 8), weight("beta", 8)]
    found = derived(model(nodes, [X], [Y], tensors), tmp_path)
    assert [(one.type, one.container) for one in found.layers] == [("LayerNormalization", False)]
    accounted, _ = accounts(model(nodes, [X], [Y], tensors), tmp_path)
    only = next(iter(accounted.values()))
    assert (only.parameters, agreed(only)) == (16, True)


def test_rms_normalization_in_six_operators(tmp_path):
    nodes = [
        node("Mul", ["x", "x"], ["sq"]),
        node("ReduceMean", ["sq"], ["ms"], axes=[-1]),
        node("Add", ["ms", "eps"], ["me"]),
        node("Sqrt", ["me"], ["rms"]),
        node("Reciprocal", ["rms"], ["r"]),
        node("Mul", ["x", "r"], ["n"]),
        node("Mul", ["gamma", "n"], ["y"]),
    ]
    found = derived(model(nodes, [X], [Y], [scalar("eps", 1e-6), weight("gamma", 8)]), tmp_path)
    assert [one.type for one in found.layers] == ["RMSNormalization"]


def test_group_normalization_as_pytorch_writes_it(tmp_path):
    """The ones and zeros that InstanceNormalization gets are no parameters."""
    nodes = [
        node("Reshape", ["x", "grouped"], ["g"]),
        node("InstanceNormalization", ["g", "ones", "zeros"], ["n"]),
        node("Reshape", ["n", "whole"], ["r"]),
        node("Mul", ["r", "scale"], ["s"]),
        node("Add", ["s", "shift"], ["y"]),
    ]
    tensors = [
        ints("grouped", 0, 2, -1),
        ints("whole", 1, 6, 5, 5),
        helper.make_tensor("ones", FLOAT, (2,), [1.0, 1.0]),
        helper.make_tensor("zeros", FLOAT, (2,), [0.0, 0.0]),
        weight("scale", 6, 1, 1),
        weight("shift", 6, 1, 1),
    ]
    found, result = accounts(model(nodes, [info("x", [1, 6, 5, 5])], [info("y", [1, 6, 5, 5])], tensors), tmp_path)
    assert [one.layer.type for one in found.values()] == ["GroupNormalization"]
    assert result.totals.total == result.totals.stored == 12


def test_gelu_and_swish_are_one_row(tmp_path):
    gelu = [
        node("Div", ["x", "root"], ["d"]),
        node("Erf", ["d"], ["e"]),
        node("Add", ["e", "one"], ["p"]),
        node("Mul", ["x", "p"], ["m"]),
        node("Mul", ["m", "half"], ["y"]),
    ]
    tensors = [scalar("root", 1.414), scalar("one", 1.0), scalar("half", 0.5)]
    assert [one.type for one in derived(model(gelu, [X], [Y], tensors), tmp_path).layers] == ["Gelu"]
    swish = [node("Sigmoid", ["x"], ["s"]), node("Mul", ["x", "s"], ["y"])]
    assert [one.type for one in derived(model(swish, [X], [Y]), tmp_path).layers] == ["Swish"]


def test_attention_scores_are_one_row_with_their_cost(tmp_path):
    """Two products of 4 × 4 × 8."""
    nodes = [
        node("Transpose", ["k"], ["kt"], perm=[0, 2, 1]),
        node("MatMul", ["x", "kt"], ["s"]),
        node("Div", ["s", "root"], ["d"]),
        node("Softmax", ["d"], ["p"], axis=-1),
        node("MatMul", ["p", "v"], ["y"]),
    ]
    inputs = [X, info("k", ["N", 4, 8]), info("v", ["N", 4, 8])]
    found = derived(model(nodes, inputs, [Y], [scalar("root", 2.8)]), tmp_path)
    assert [(one.type, one.extra_macs) for one in found.layers] == [("Attention", 2 * 4 * 4 * 8)]


def test_attention_with_a_guard_against_rows_without_a_place_is_one_row(tmp_path):
    """As PyTorch's scaled_dot_product_attention is exported: NaN behind the softmax becomes zero."""
    nodes = [
        node("Transpose", ["k"], ["kt"], perm=[0, 2, 1]),
        node("MatMul", ["x", "kt"], ["s"]),
        node("Add", ["s", "mask"], ["d"]),
        node("Softmax", ["d"], ["p"], axis=-1),
        node("IsNaN", ["p"], ["nan"]),
        node("Where", ["nan", "zero", "p"], ["w"]),
        node("MatMul", ["w", "v"], ["y"]),
    ]
    inputs = [X, info("k", ["N", 4, 8]), info("v", ["N", 4, 8]), info("mask", ["N", 4, 4])]
    (found,) = derived(model(nodes, inputs, [Y], [scalar("zero", 0.0)]), tmp_path).layers
    assert (found.type, found.extra_macs, len(found.input_shapes)) == ("Attention", 2 * 4 * 4 * 8, 3)


def loop_rnn(prefix=""):
    """A SimpleRNN of 7 units over 8 inputs as tf2onnx writes it: a Loop that gets the weights as states."""
    name = f"{prefix}rnn/while/rnn_cell"
    body = helper.make_graph(
        [
            node("Gather", ["x_t", "i"], ["step"], axis=0),
            node("MatMul", ["state", "r_in"], ["hr"], name=f"{name}/MatMul_1"),
            node("MatMul", ["step", "w_in"], ["xw"], name=f"{name}/MatMul"),
            node("Add", ["xw", "b_in"], ["xb"], name=f"{name}/BiasAdd"),
            node("Add", ["xb", "hr"], ["sum"], name=f"{name}/add"),
            node("Tanh", ["sum"], ["h"], name=f"{name}/Tanh"),
            node("Identity", ["c"], ["c_out"]),
        ],
        "body",
        [
            info("i", [], INT64),
            info("c", [], TensorProto.BOOL),
            info("state", ["N", 7]),
            info("w_in", [8, 7]),
            info("b_in", [7]),
            info("r_in", [7, 7]),
        ],
        [info("c_out", [], TensorProto.BOOL), info("h", ["N", 7]), info("w_in", [8, 7]), info("b_in", [7]), info("r_in", [7, 7])],
    )
    nodes = [
        node("Transpose", ["x"], ["x_t"], perm=[1, 0, 2], name=f"{prefix}rnn/transpose"),
        node("Loop", ["turns", "go", "h0", "w", "b", "r"], ["y", "w_o", "b_o", "r_o"], body=body, name=f"{prefix}rnn/while_loop"),
    ]
    tensors = [
        helper.make_tensor("turns", INT64, (), [5]),
        helper.make_tensor("go", TensorProto.BOOL, (), [True]),
        weight("w", 8, 7),
        weight("b", 7),
        weight("r", 7, 7),
    ]
    return nodes, [info("x", ["N", 5, 8]), info("h0", ["N", 7])], [info("y", ["N", 7])], tensors


def test_a_recurrent_cell_in_a_loop_is_the_layer_that_it_was(tmp_path):
    found, result = accounts(model(*loop_rnn()), tmp_path)
    account = found["rnn"]
    assert account.layer.type == "RNN"
    assert account.formula.symbolic == "units × (inputs + units + 1)"
    assert (account.parameters, account.macs) == (7 * (8 + 7 + 1), 5 * 7 * (8 + 7))
    assert agreed(account)
    assert result.totals.stored == account.parameters


def test_weights_in_both_branches_are_counted_and_names_may_shadow(tmp_path):
    def branch(name, units):
        return helper.make_graph(
            [node("MatMul", ["x", "w"], ["m"]), node("ReduceSum", ["m", "axes"], [f"{name}_y"], keepdims=0)],
            name,
            [],
            [info(f"{name}_y", ["N"])],
            [weight("w", 8, units), ints("axes", 1)],
        )

    nodes = [node("If", ["c"], ["y"], then_branch=branch("then", 3), else_branch=branch("else", 5), name="choice")]
    proto = model(nodes, [info("x", ["N", 8]), info("c", [], TensorProto.BOOL)], [info("y", ["N"])])
    found, result = accounts(proto, tmp_path)
    assert sorted(one.parameters for one in found.values()) == [24, 40]
    assert result.totals.stored == 64
    assert all(path.startswith("choice/") for path in found)


def test_node_names_become_a_tree_and_single_layers_take_their_modules_name(tmp_path):
    nodes = [
        node("MatMul", ["x", "w1"], ["a"], name="/encoder/fc1/MatMul"),
        node("Relu", ["a"], ["b"], name="/encoder/act/Relu"),
        node("MatMul", ["b", "w2"], ["y"], name="/encoder/fc2/MatMul"),
    ]
    found = derived(model(nodes, [X], [Y], [weight("w1", 8, 6), weight("w2", 6, 8)]), tmp_path)
    assert [(one.path, one.type, one.container) for one in found.layers] == [
        ("encoder", "Scope", True),
        ("encoder/fc1", "Dense", False),
        ("encoder/act", "Relu", False),
        ("encoder/fc2", "Dense", False),
    ]
    assert [one.inbound for one in found.layers[1:]] == [(), ("encoder/fc1",), ("encoder/act",)]


def test_exporter_metadata_gives_classes(tmp_path):
    one = node("MatMul", ["x", "w"], ["y"], name="node_linear")
    one.metadata_props.add(key="pkg.torch.onnx.name_scopes", value="['', 'block', 'block.fc', 'linear']")
    classes = "['__main__.Net', '__main__.Block', 'torch.nn.modules.linear.Linear', 'aten.linear.default']"
    one.metadata_props.add(key="pkg.torch.onnx.class_hierarchy", value=classes)
    other = node("Relu", ["y"], ["z"], name="node_relu")
    other.metadata_props.add(key="pkg.torch.onnx.name_scopes", value="['', 'block', 'relu']")
    other.metadata_props.add(key="pkg.torch.onnx.class_hierarchy", value="['__main__.Net', '__main__.Block', 'aten.relu.default']")
    found = derived(model([one, other], [X], [info("z", ["N", 4, 8])], [weight("w", 8, 8)]), tmp_path)
    assert [(layer.path, layer.type) for layer in found.layers] == [
        ("block", "Block"),
        ("block/fc", "torch.nn.Linear"),
        ("block/relu", "Relu"),
    ]


def test_state_dict_keys_give_scopes_where_nodes_have_none(tmp_path):
    nodes = [node("Gemm", ["x", "net.0.weight", "net.0.bias"], ["a"], name="Gemm_0"), node("Relu", ["a"], ["y"], name="Relu_1")]
    tensors = [weight("net.0.weight", 8, 6), weight("net.0.bias", 6)]
    found = derived(model(nodes, [info("x", ["N", 8])], [info("y", ["N", 6])], tensors), tmp_path)
    assert [one.path for one in found.layers] == ["net", "net/0", "net/Relu_1"]


def test_weights_of_fused_operators_join_the_scopes_of_the_others(tmp_path):
    """What an optimiser fuses has no scope of its own any more; `layer/0` of a weight's name is `layer.0` of the nodes'."""
    nodes = [
        node("MatMul", ["x", "w"], ["a"], name="/encoder/layer.0/dense/MatMul"),
        node("SkipLayerNormalization", ["a", "x", "encoder.layer.0.norm.weight"], ["b"], name="Skip_0", domain="com.microsoft"),
        node("FusedGemm", ["b", "v"], ["y"], name="fused /encoder/fc/Gemm", domain="com.microsoft"),
    ]
    tensors = [weight("w", 8, 8), weight("encoder.layer.0.norm.weight", 8), weight("v", 8, 8)]
    found = derived(model(nodes, [info("x", ["N", 8])], [info("y", ["N", 8])], tensors), tmp_path)
    assert [(one.path, one.type) for one in found.layers] == [
        ("encoder", "Scope"),
        ("encoder/layer.0", "Scope"),
        ("encoder/layer.0/dense", "Dense"),
        ("encoder/layer.0/norm", "SkipLayerNormalization"),
        ("encoder/fc", "Dense"),
    ]


def test_classes_are_named_without_their_packages(tmp_path):
    one = node("Relu", ["x"], ["y"], name="node_relu")
    one.metadata_props.add(key="pkg.torch.onnx.name_scopes", value="['', 'act', 'relu']")
    classes = "['models.net.Net', 'transformers.activations.ReLUSquared', 'aten.relu.default']"
    one.metadata_props.add(key="pkg.torch.onnx.class_hierarchy", value=classes)
    found = derived(model([one], [X], [Y]), tmp_path)
    assert [(layer.path, layer.type) for layer in found.layers] == [("act", "ReLUSquared")]


def test_masks_that_are_laid_out_anew_are_no_layers(tmp_path):
    nodes = [node("Flatten", ["m"], ["f"], name="flat"), node("Relu", ["x"], ["y"], name="act"), node("Flatten", ["y"], ["z"], name="out")]
    outputs = [info("z", ["N", 32]), info("f", ["N", 3], INT64)]
    found = derived(model(nodes, [X, info("m", ["N", 3], INT64)], outputs), tmp_path)
    assert [one.path for one in found.layers] == ["act", "out"]


def test_paths_are_unique(tmp_path):
    nodes = [node("Relu", ["x"], ["a"], name="act"), node("Relu", ["a"], ["y"], name="act")]
    found = derived(model(nodes, [X], [Y]), tmp_path)
    assert len({one.path for one in found.layers}) == len(found.layers) == 2


def test_a_target_computed_from_shapes_carries_the_width(tmp_path):
    """Shape → Gather → Concat → Reshape: the usual way, without a constant in it."""
    nodes = [
        node("Shape", ["x"], ["s"]),
        node("Gather", ["s", "first"], ["n"], axis=0),
        node("Concat", ["n", "rest"], ["target"], axis=0),
        node("Reshape", ["x", "target"], ["flat"]),
        node("MatMul", ["flat", "w"], ["y"]),
    ]
    tensors = [ints("first", 0), ints("rest", 32), weight("w", 32, 5)]
    found, _ = accounts(model(nodes, [X], [info("y", ["N", 5])], tensors), tmp_path)
    assert agreed(next(iter(found.values())))


def test_activation_bytes_and_their_peak(tmp_path):
    """x of 128 B, a of 128 B and b of 256 B for one sample; x goes when a is made, a lives on into y."""
    nodes = [
        node("Relu", ["x"], ["a"], name="relu"),
        node("Concat", ["a", "a"], ["b"], axis=-1, name="concat"),
        node("ReduceMean", ["b"], ["y"], axes=[-1], name="mean"),
    ]
    found = derived(model(nodes, [X], [info("y", ["N", 4, 1])]), tmp_path)
    assert found.facts["activations"] == {"bytes": 128 + 256 + 16, "peak_bytes": 128 + 256, "peak_at": "concat", "unknown": 0}


def noted(one, scopes, classes):
    """A node as PyTorch's exporter annotates it."""
    for key, value in (("pkg.torch.onnx.name_scopes", scopes), ("pkg.torch.onnx.class_hierarchy", classes)):
        one.metadata_props.add(key=key, value=repr(value))
    return one


def test_a_convolution_into_which_a_normalisation_was_folded_is_named_by_its_weight(tmp_path):
    """The exporter leaves it in the place of the normalisation; a Sequential around one layer is not its type."""
    norm = "torch.nn.modules.batchnorm.BatchNorm2d"
    first = noted(
        node("Conv", ["x", "block.conv1.weight", "b1"], ["h"], kernel_shape=[1, 1]),
        ["", "block", "block.bn1", "norm"],
        ["Net", "Block", norm, "aten.norm"],
    )
    second = noted(
        node("Conv", ["h", "down.0.weight", "b2"], ["y"], kernel_shape=[1, 1]),
        ["", "down", "down.1", "norm"],
        ["Net", "torch.nn.modules.container.Sequential", norm, "aten.norm"],
    )
    tensors = [weight("block.conv1.weight", 4, 3, 1, 1), weight("b1", 4), weight("down.0.weight", 5, 4, 1, 1), weight("b2", 5)]
    found = derived(model([first, second], [info("x", ["N", 3, 8, 8])], [info("y", ["N", 5, 8, 8])], tensors), tmp_path)
    assert [(one.path, one.type) for one in found.layers] == [("block", "Block"), ("down", "Conv")]


def test_products_of_one_module_are_named_by_what_their_weights_belong_to(tmp_path):
    """`/layers/layers.0/attn/MatMul` with `layers.0.attn.qkv.bias` is the layer `qkv`."""
    nodes = [
        node("MatMul", ["x", "onnx::MatMul_9"], ["a"], name="/layers/layers.0/attn/MatMul"),
        node("Add", ["layers.0.attn.qkv.bias", "a"], ["h"], name="/layers/layers.0/attn/Add"),
        node("Softmax", ["h"], ["s"], name="/layers/layers.0/attn/Softmax"),
        node("MatMul", ["s", "onnx::MatMul_10"], ["o"], name="/layers/layers.0/attn/MatMul_1"),
        node("Add", ["layers.0.attn.out.bias", "o"], ["y"], name="/layers/layers.0/attn/Add_1"),
    ]
    tensors = [weight("onnx::MatMul_9", 8, 12), weight("layers.0.attn.qkv.bias", 12)]
    tensors += [weight("onnx::MatMul_10", 12, 8), weight("layers.0.attn.out.bias", 8)]
    found = derived(model(nodes, [X], [Y], tensors), tmp_path)
    assert [(one.name, one.type) for one in found.layers if not one.container] == [
        ("qkv", "Dense"),
        ("Softmax", "Softmax"),
        ("out", "Dense"),
    ]


def test_one_unit_has_its_bias_in_the_formula(tmp_path):
    nodes = [node("Gemm", ["x", "w", "b"], ["y"], transB=1)]
    proto = model(nodes, [info("x", ["N", 8])], [info("y", ["N", 1])], [weight("w", 1, 8), weight("b", 1)])
    accounted, _ = accounts(proto, tmp_path)
    assert str(next(iter(accounted.values())).formula) == "units × (inputs + 1)"


def test_buffers_are_what_the_exporter_says_and_no_weights(tmp_path):
    """`torch.onnx` notes beside what it stores whether that was a parameter; without the note a table is taken for a weight."""
    nodes = [
        node("Add", ["x", "pos"], ["a"], name="node_add"),
        node("Sub", ["a", "anchors"], ["b"], name="node_sub"),
        node("Mul", ["b", "plain"], ["y"], name="node_mul"),
    ]
    tensors = [weight("pos", 4, 8), weight("anchors", 4, 8), weight("plain", 4, 8)]
    proto = model(nodes, [X], [Y], tensors)
    for name, kind in (("pos", "PARAMETER"), ("anchors", "BUFFER")):
        proto.graph.value_info.append(info(name, [4, 8]))
        proto.graph.value_info[-1].metadata_props.add(key="pkg.torch.export.graph_signature.InputSpec.kind", value=kind)
    found = derived(proto, tmp_path)
    assert [(one.name, one.type) for one in found.layers] == [("pos", "Add"), ("anchors", "Buffer"), ("node_mul", "Mul")]
    assert {one.name: one.kind.value for one in found.tensors} == {"pos": "weight", "anchors": "constant", "plain": "weight"}


def test_single_tensors_have_the_names_of_their_state_dict(tmp_path):
    nodes = [
        node("Add", ["x", "encoder.pos_embed"], ["a"], name="/encoder/Add"),
        node("Mul", ["a", "onnx::Mul_3"], ["b"], name="/encoder/Mul"),
        node("MatMul", ["b", "onnx::MatMul_4"], ["c"], name="/attn/MatMul"),
        node("Add", ["attn.in_proj_bias", "c"], ["y"], name="/attn/Add"),
    ]
    tensors = [weight("encoder.pos_embed", 4, 8), weight("onnx::Mul_3", 8), weight("onnx::MatMul_4", 8, 8), weight("attn.in_proj_bias", 8)]
    found = accounts(model(nodes, [X], [Y], tensors), tmp_path)[0]
    assert list(found) == ["encoder/pos_embed", "encoder/Mul", "attn"]
    assert found["encoder/pos_embed"].formula.symbolic == "length × width"


def test_what_was_folded_in_is_said(tmp_path):
    """The exporter's optimiser leaves the convolution where the normalisation was; its weight's name tells which one it is."""
    one = node("Conv", ["x", "net.0.weight", "net.0.weight_bias"], ["y"], name="node_bn", kernel_shape=[1, 1])
    one.metadata_props.add(key="pkg.torch.onnx.name_scopes", value="['', 'net.1', 'bn']")
    classes = "['Net', 'torch.nn.modules.batchnorm.BatchNorm2d', 'aten.batch_norm.default']"
    one.metadata_props.add(key="pkg.torch.onnx.class_hierarchy", value=classes)
    tensors = [weight("net.0.weight", 4, 3, 1, 1), weight("net.0.weight_bias", 4)]
    (found,) = derived(model([one], [info("x", [1, 3, 5, 5])], [info("y", [1, 4, 5, 5])], tensors), tmp_path).layers
    assert found.type == "Conv"
    assert found.note is not None
    assert found.note.startswith("a BatchNormalization is folded in")
