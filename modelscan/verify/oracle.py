"""The child process of `verify`: loads files with their frameworks and says what the frameworks say of them, as JSON.

A script of its own, run as `python -P oracle.py BYTES`: one JSON object per line on standard input (`{"kind", "path"}`), one per
line as the answer. The frameworks are imported here and nowhere else in the package; of the package it imports nothing. Keras
loads with safe mode on, always; nothing of a file is executed beyond what loading does.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator
from typing import IO, Any

Answer = dict[str, Any]

MOST_TEXT = 2000
"""Characters of a framework's complaint that are kept."""


def keras_answer(path: str) -> Answer:
    """Layers, counts and shapes of a Keras 3 file; from tf-keras where Keras 3 refuses the file and tf-keras is installed."""
    answer = _load_keras(path)
    if "error" not in answer:
        return answer
    try:
        other = _load_tf_keras(path)
    except ImportError:
        return answer
    if "error" not in other:
        return other | {"note": f"Keras {answer['version']} refuses it: {answer['error']}"}
    return answer | {"note": f"tf-keras {other['version']} refuses it, too: {other['error']}"}


def legacy_keras_answer(path: str) -> Answer:
    """Those of a file that Keras 1 or 2 wrote: tf-keras is the framework of its time.

    Keras 3 also loads many of them, but takes the `batch_input_shape` of a Sequential model's first layer for a shape without
    the batch (`keras/src/legacy/saving/saving_utils.py`), so that its shapes gain a dimension.
    """
    try:
        answer = _load_tf_keras(path)
    except ImportError:
        return _load_keras(path) | {"note": "tf-keras, the framework of the file's time, is not installed: pip install tf-keras"}
    if "error" not in answer:
        return answer
    other = _load_keras(path)
    if "error" not in other:
        return other | {"note": f"tf-keras {answer['version']} refuses it: {answer['error']}"}
    return answer | {"note": f"Keras {other['version']} refuses it, too: {other['error']}"}


def _load_keras(path: str) -> Answer:
    import keras  # noqa: TID251 - the oracle

    base: Answer = {"framework": "Keras", "version": keras.__version__}
    try:
        return base | _keras_model(keras.saving.load_model(path, compile=False, safe_mode=True))
    except Exception as error:  # noqa: BLE001 - whatever the framework raises is its answer
        return base | {"error": _reason(error)}
    finally:
        keras.backend.clear_session()


def _load_tf_keras(path: str) -> Answer:
    import tf_keras

    base: Answer = {"framework": "tf-keras", "version": tf_keras.__version__}
    try:
        return base | _keras_model(tf_keras.models.load_model(path, compile=False, safe_mode=True))
    except Exception as error:  # noqa: BLE001 - whatever the framework raises is its answer
        return base | {"error": _reason(error)}
    finally:
        tf_keras.backend.clear_session()


def _keras_model(model: Any) -> Answer:
    return {
        "totals": {
            "total": _elements(model.weights),
            "trainable": _elements(model.trainable_weights),
            "non_trainable": _elements(model.non_trainable_weights),
        },
        "layers": list(_keras_layers(model, "")),
    }


def _elements(weights: Any) -> int | None:
    """Elements of the distinct variables, as `model.summary()` counts them; None when one has no shape yet."""
    sizes = {id(one): _size(one.shape) for one in weights}
    return None if None in sizes.values() else sum(size for size in sizes.values() if size is not None)


def _size(shape: Any) -> int | None:
    if shape is None or getattr(shape, "rank", 0) is None:
        return None
    total = 1
    for size in tuple(shape):
        if size is None:
            return None
        total *= int(size)
    return total


def _keras_layers(model: Any, prefix: str) -> Iterator[Answer]:
    # Operations that are no layers (`keras.ops`, `x + y`) stand in the summary, too.
    for layer in getattr(model, "operations", None) or model.layers:
        path = prefix + layer.name
        if not hasattr(layer, "weights"):
            yield {"path": path, "type": type(layer).__name__, "parameters": 0, "trainable": 0, "weights": []} | _output(layer)
            continue
        built = layer.built or bool(layer.weights)
        yield {
            "path": path,
            "type": type(layer).__name__,
            "parameters": _elements(layer.weights) if built else None,
            "trainable": _elements(layer.trainable_weights) if built else None,
            "weights": [f"{tuple(int(size) for size in one.shape)} {_dtype(one)}" for one in _distinct(layer.weights)] if built else None,
        } | _output(layer)
        if getattr(layer, "layers", None) and hasattr(layer, "count_params"):
            yield from _keras_layers(layer, path + "/")


def _distinct(weights: Iterable[Any]) -> list[Any]:
    return list({id(one): one for one in weights}.values())


def _dtype(weight: Any) -> str:
    return str(getattr(weight.dtype, "name", weight.dtype))


def _output(layer: Any) -> Answer:
    return {"output_shapes": _output_shapes(layer)}


def _output_shapes(layer: Any) -> list[list[int | None]] | None:
    try:
        output = layer.output
    except (AttributeError, ValueError, RuntimeError):  # called several times, or never
        return None
    shapes: list[list[int | None]] = []
    pending = [output]
    while pending:
        one = pending.pop(0)
        if isinstance(one, dict):
            pending = [*one.values(), *pending]
        elif isinstance(one, list | tuple):
            pending = [*one, *pending]
        elif hasattr(one, "shape"):
            if one.shape is None or getattr(one.shape, "rank", 0) is None:
                return None
            shapes.append([None if size is None else int(size) for size in one.shape])
    return shapes


def checkpoint_answer(path: str) -> Answer:
    """Names, shapes and types of all variables, as `tf.train.load_checkpoint` reads them, and a SavedModel's signature."""
    import tensorflow as tf  # noqa: TID251 - the oracle

    answer: Answer = {"framework": "TensorFlow", "version": tf.__version__, "tensors": []}
    prefix = path.removesuffix(".index")
    if os.path.isdir(path):
        prefix = os.path.join(path, "variables", "variables")
        try:
            answer |= _signature(path)
        except Exception as error:  # noqa: BLE001 - whatever the framework raises is its answer
            return answer | {"error": _reason(error)}
        if not os.path.exists(f"{prefix}.index") and not os.path.exists(os.path.join(path, "variables")):
            return answer | {"note": "a program without variables"}
    try:
        reader = tf.train.load_checkpoint(prefix)
    except Exception as error:  # noqa: BLE001 - whatever the framework raises is its answer
        return answer | {"error": _reason(error)}
    dtypes = reader.get_variable_to_dtype_map()
    shapes = reader.get_variable_to_shape_map()
    answer["tensors"] = [{"name": name, "shape": list(shapes[name]), "dtype": dtypes[name].name} for name in sorted(shapes)]
    return answer


def _signature(path: str) -> Answer:
    """Inputs and outputs of the signature that a server calls by default, as TensorFlow's protobuf classes read them."""
    import tensorflow as tf  # noqa: TID251 - the oracle
    from tensorflow.core.protobuf import saved_model_pb2  # noqa: TID251 - the oracle

    program = saved_model_pb2.SavedModel()
    with open(os.path.join(path, "saved_model.pb"), "rb") as file:
        program.ParseFromString(file.read())
    for graph in program.meta_graphs:
        callable_names = [name for name in graph.signature_def if name not in ("__saved_model_init_op", "__saved_model_train_op")]
        for name in sorted(callable_names, key=lambda one: (one != "serving_default", one)):
            chosen = graph.signature_def[name]
            return {
                side: [_argument(tf, key, info) for key, info in sorted(getattr(chosen, side).items())] for side in ("inputs", "outputs")
            }
    return {}


def _argument(tf: Any, name: str, info: Any) -> Answer:
    shape = None if info.tensor_shape.unknown_rank else [None if one.size < 0 else one.size for one in info.tensor_shape.dim]
    return {"name": name, "shape": shape, "dtype": tf.as_dtype(info.dtype).name if info.dtype else None}


def graphdef_answer(path: str) -> Answer:
    """The constants of a frozen graph, as TensorFlow's own protobuf classes read them."""
    import tensorflow as tf  # noqa: TID251 - the oracle

    answer: Answer = {"framework": "TensorFlow", "version": tf.__version__}
    graph = tf.compat.v1.GraphDef()
    try:
        with open(path, "rb") as file:
            graph.ParseFromString(file.read())
    except Exception as error:  # noqa: BLE001 - whatever the framework raises is its answer
        return answer | {"error": _reason(error)}
    scopes = [("", graph.node), *((function.signature.name + "/", function.node_def) for function in graph.library.function)]
    answer["tensors"] = [
        {
            "name": scope + node.name,
            "shape": [size.size for size in node.attr["value"].tensor.tensor_shape.dim],
            "dtype": tf.as_dtype(node.attr["value"].tensor.dtype).name,
        }
        for scope, nodes in scopes
        for node in nodes
        if node.op == "Const"
    ]
    return answer


def onnx_answer(path: str) -> Answer:
    """Initializers as the onnx package reads them, its full checker's verdict, and ONNX Runtime's session."""
    import onnx
    import onnxruntime

    answer: Answer = {"framework": "onnx", "version": f"{onnx.__version__}, ONNX Runtime {onnxruntime.__version__}", "checks": {}}
    try:
        model = onnx.load(path, load_external_data=False)
    except Exception as error:  # noqa: BLE001 - whatever the framework raises is its answer
        return answer | {"error": _reason(error)}
    try:
        onnx.checker.check_model(path, full_check=True)
        answer["checks"]["onnx full checker"] = "ok"
    except Exception as error:  # noqa: BLE001 - whatever the framework raises is its answer
        answer["checks"]["onnx full checker"] = _reason(error)
    try:
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.log_severity_level = 4
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # noqa: BLE001 - whatever the framework raises is its answer
        answer["checks"]["ONNX Runtime session"] = _reason(error)
    else:
        answer["checks"]["ONNX Runtime session"] = "ok"
        answer["inputs"] = [_node_argument(one) for one in session.get_inputs()]
        answer["outputs"] = [_node_argument(one) for one in session.get_outputs()]
    answer["tensors"] = [
        {"name": tensor.name, "shape": list(tensor.dims), "dtype": _onnx_dtype(tensor.data_type)} for tensor in model.graph.initializer
    ]
    return answer


def _node_argument(one: Any) -> Answer:
    return {"name": one.name, "shape": (list(one.shape) or None) if one.type.startswith("tensor") else None, "dtype": None}


def _onnx_dtype(number: int) -> str:
    import onnx

    try:
        name: str = onnx.TensorProto.DataType.Name(number).lower()
    except ValueError:
        return f"data_type {number}"
    return {"float": "float32", "double": "float64", "float8e4m3fn": "float8_e4m3fn", "float8e5m2": "float8_e5m2"}.get(name, name)


def _reason(error: BaseException) -> str:
    """The error's type and the first line of what it says."""
    lines = str(error).strip().splitlines() or [repr(error)]
    return f"{type(error).__name__}: {lines[0].strip()}"[:MOST_TEXT]


ANSWERS = {
    "keras": keras_answer,
    "keras-legacy": legacy_keras_answer,
    "checkpoint": checkpoint_answer,
    "graphdef": graphdef_answer,
    "onnx": onnx_answer,
}


def answer_to(question: Answer) -> Answer:
    """The answer to one question; a framework that is not installed is one, too."""
    try:
        return ANSWERS[question["kind"]](question["path"])
    except ImportError as error:
        return {"missing": error.name or str(error)}
    except MemoryError:
        return {"error": "MemoryError: the framework needs more memory than it may take"}


def _limit(memory: int) -> None:
    try:
        import resource
    except ImportError:  # Windows: the parent's time-out is the only limit there
        return
    resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def serve(questions: IO[str], answers: IO[str]) -> None:
    """A line for a line, until there are no more questions."""
    for line in questions:
        json.dump(answer_to(json.loads(line)), answers)
        answers.write("\n")
        answers.flush()


def main(arguments: list[str]) -> int:
    """Answer on the descriptor that was standard output; what frameworks print goes to standard error."""
    _limit(int(arguments[0]))
    stream = os.dup(1)
    os.dup2(2, 1)
    with os.fdopen(stream, "w", encoding="utf-8") as answers:
        serve(sys.stdin, answers)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
