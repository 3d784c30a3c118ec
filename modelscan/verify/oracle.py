"""The child process of `verify`: loads one file with its framework and prints what the framework says, as JSON.

Run as `python -m modelscan.verify.oracle KIND PATH SECONDS BYTES`. The frameworks are imported here and nowhere else in the
package. Keras loads with safe mode on; nothing of the file is executed beyond what loading does.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from typing import Any

Answer = dict[str, Any]


def keras_answer(path: str) -> Answer:
    """Keras' own layers, counts and shapes; tf-keras' where Keras 3 refuses the file and tf-keras is installed."""
    import keras  # noqa: TID251 - the oracle

    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # noqa: BLE001 - whatever the framework raises is its answer
        refusal = _reason(error)
    else:
        return _keras_model("keras", keras.__version__, model)
    try:
        import tf_keras
    except ImportError:
        return {"framework": "keras", "version": keras.__version__, "error": refusal}
    try:
        model = tf_keras.models.load_model(path, compile=False, safe_mode=True)
    except Exception:  # noqa: BLE001 - then the newer framework's reason is the one to tell
        return {"framework": "keras", "version": keras.__version__, "error": refusal}
    return _keras_model("tf-keras", tf_keras.__version__, model) | {"note": f"Keras {keras.__version__} refuses it: {refusal}"}


def _keras_model(framework: str, version: str, model: Any) -> Answer:
    return {
        "framework": framework,
        "version": version,
        "totals": {
            "total": model.count_params() if model.built else None,
            "trainable": _elements(model.trainable_weights),
            "non_trainable": _elements(model.non_trainable_weights),
        },
        "layers": list(_keras_layers(model, "")),
    }


def _elements(weights: Any) -> int:
    """Elements of the distinct variables, as `model.summary()` counts them."""
    sizes = {id(one): _size(one.shape) for one in weights}
    return sum(sizes.values())


def _size(shape: Any) -> int:
    total = 1
    for size in tuple(shape):
        total *= int(size)
    return total


def _keras_layers(model: Any, prefix: str) -> Iterator[Answer]:
    for layer in model.layers:
        path = prefix + layer.name
        yield {
            "path": path,
            "type": type(layer).__name__,
            "parameters": layer.count_params() if layer.built or not layer.weights else None,
            "output_shapes": _output_shapes(layer),
        }
        if getattr(layer, "layers", None) and hasattr(layer, "count_params"):
            yield from _keras_layers(layer, path + "/")


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
    """Names, shapes and types of all variables, as `tf.train.load_checkpoint` reads them."""
    import tensorflow as tf  # noqa: TID251 - the oracle

    inner = os.path.join(path, "variables", "variables")
    prefix = inner if os.path.isdir(path) else path.removesuffix(".index")
    answer: Answer = {"framework": "tensorflow", "version": tf.__version__}
    try:
        reader = tf.train.load_checkpoint(prefix)
    except Exception as error:  # noqa: BLE001 - whatever the framework raises is its answer
        return answer | {"error": _reason(error)}
    dtypes = reader.get_variable_to_dtype_map()
    shapes = reader.get_variable_to_shape_map()
    answer["tensors"] = [{"name": name, "shape": list(shapes[name]), "dtype": dtypes[name].name} for name in sorted(shapes)]
    return answer


def graphdef_answer(path: str) -> Answer:
    """The constants of a frozen graph, as TensorFlow's own protobuf classes read them."""
    import tensorflow as tf  # noqa: TID251 - the oracle

    answer: Answer = {"framework": "tensorflow", "version": tf.__version__}
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
        answer["inputs"] = [{"name": one.name, "shape": list(one.shape)} for one in session.get_inputs()]
        answer["outputs"] = [{"name": one.name, "shape": list(one.shape)} for one in session.get_outputs()]
    answer["tensors"] = [
        {"name": tensor.name, "shape": list(tensor.dims), "dtype": _onnx_dtype(tensor.data_type)} for tensor in model.graph.initializer
    ]
    return answer


def _onnx_dtype(number: int) -> str:
    import onnx

    try:
        name: str = onnx.TensorProto.DataType.Name(number).lower()
    except ValueError:
        return str(number)
    return {"float": "float32", "double": "float64", "float8e4m3fn": "float8_e4m3fn", "float8e5m2": "float8_e5m2"}.get(name, name)


def _reason(error: BaseException) -> str:
    text = str(error).strip() or repr(error)
    return f"{type(error).__name__}: {text}"[:2000]


def _limit(seconds: int, memory: int) -> None:
    try:
        import resource
    except ImportError:  # Windows: the parent's time-out is the only limit there
        return
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))
    resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


ANSWERS = {"keras": keras_answer, "checkpoint": checkpoint_answer, "graphdef": graphdef_answer, "onnx": onnx_answer}


def main(arguments: list[str]) -> int:
    """Answer one question on the descriptor that was standard output; what frameworks print goes to standard error."""
    kind, path, seconds, memory = arguments
    _limit(int(seconds), int(memory))
    answer_to = os.dup(1)
    os.dup2(2, 1)
    try:
        answer = ANSWERS[kind](path)
    except ImportError as error:
        answer = {"missing": error.name or str(error)}
    with os.fdopen(answer_to, "w", encoding="utf-8") as stream:
        json.dump(answer, stream)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
