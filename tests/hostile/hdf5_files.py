"""HDF5 files that reach outside, declare what they do not store, or lead their reader astray."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from tests.hostile.exhibit import (
    BAD,
    DENSE_WEIGHTS,
    Exhibit,
    arrays,
    bad,
    dense,
    input_layer,
    keras_zip,
    layer,
    legacy_h5,
    noted,
    sequential,
    weights_h5,
    write,
)


@bad("hdf5-external-link")
def hdf5_external_link(folder: Path) -> Path:
    def edit(file: h5py.File) -> None:
        del file["model_weights/dense/dense/kernel:0"]
        file["model_weights/dense/dense/kernel:0"] = h5py.ExternalLink("/etc/passwd", "/x")

    return legacy_h5(folder / "model.h5", edit=edit)


@bad("hdf5-external-storage")
def hdf5_external_storage(folder: Path) -> Path:
    def edit(file: h5py.File) -> None:
        del file["model_weights/dense/dense/kernel:0"]
        file["model_weights/dense/dense"].create_dataset("kernel:0", (4, 3), "f4", external=[("/etc/passwd", 0, 48)])

    return legacy_h5(folder / "model.h5", edit=edit)


@bad("hdf5-external-storage")
def hdf5_external_storage_in_archive(folder: Path) -> Path:
    def edit(file: h5py.File) -> None:
        del file["layers/dense/vars/0"]
        file["layers/dense/vars"].create_dataset("0", (4, 3), "f4", external=[("/etc/shadow", 0, 48)])

    return keras_zip(folder / "model.keras", weights=weights_h5(DENSE_WEIGHTS, edit))


@bad("hdf5-virtual-dataset")
def hdf5_virtual_dataset(folder: Path) -> Path:
    def edit(file: h5py.File) -> None:
        del file["model_weights/dense/dense/kernel:0"]
        layout = h5py.VirtualLayout((4, 3), "f4")
        layout[:] = h5py.VirtualSource("/etc/other.h5", "data", (4, 3))
        file["model_weights/dense/dense"].create_virtual_dataset("kernel:0", layout)

    return legacy_h5(folder / "model.h5", edit=edit)


@bad("hdf5-soft-link")
def hdf5_soft_link(folder: Path) -> Path:
    def edit(file: h5py.File) -> None:
        file["model_weights/dense/dense/gamma:0"] = h5py.SoftLink("/model_weights/dense/dense/bias:0")

    return legacy_h5(folder / "model.h5", edit=edit)


@bad("hdf5-link-cycle")
def hdf5_link_cycle(folder: Path) -> Path:
    def edit(file: h5py.File) -> None:
        file["layers/dense/loop"] = file["layers"]

    return keras_zip(folder / "model.keras", weights=weights_h5(DENSE_WEIGHTS, edit))


@bad("hdf5-extent")
def hdf5_declared_terabytes(folder: Path) -> Path:
    def edit(file: h5py.File) -> None:
        del file["layers/dense/vars/0"]
        file["layers/dense/vars"].create_dataset("0", (1 << 20, 1 << 20), "f4", chunks=(1024, 1024), compression="gzip")

    return keras_zip(folder / "model.keras", weights=weights_h5(DENSE_WEIGHTS, edit))


@bad("hdf5-object-dtype")
def hdf5_object_weights(folder: Path) -> Path:
    def edit(file: h5py.File) -> None:
        del file["layers/dense/vars/0"]
        file["layers/dense/vars"].create_dataset("0", data=[b"a", b"b"], dtype=h5py.string_dtype())

    return keras_zip(folder / "model.keras", weights=weights_h5(DENSE_WEIGHTS, edit))


@bad("hdf5-plugin-filter")
def hdf5_plugin_filter(folder: Path) -> Path:
    def edit(file: h5py.File) -> None:
        del file["layers/dense/vars/0"]
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_chunk((4, 3))
        plist.set_filter(32015, h5py.h5z.FLAG_OPTIONAL, (3,))  # zstd, a plugin
        space = h5py.h5s.create_simple((4, 3))
        h5py.h5d.create(file["layers/dense/vars"].id, b"0", h5py.h5t.IEEE_F32LE, space, plist)

    return keras_zip(folder / "model.keras", weights=weights_h5(DENSE_WEIGHTS, edit))


@bad("npz-object-array")
def npz_with_objects(folder: Path) -> Path:
    buffer = io.BytesIO()
    np.savez(buffer, **{"layers/dense/vars": np.array([*arrays((4, 3), (3,))], dtype=object)})
    return keras_zip(folder / "model.keras", without=("model.weights.h5",), extra=[("model.weights.npz", buffer.getvalue())])


@bad("hdf5-soft-link")
def hdf5_soft_link_to_itself(folder: Path) -> Path:
    def edit(file: h5py.File) -> None:
        file["layers/dense/loop"] = h5py.SoftLink("/layers/dense/loop")

    return keras_zip(folder / "model.keras", weights=weights_h5(DENSE_WEIGHTS, edit))


@bad("hdf5-object-dtype")
def hdf5_weights_of_variable_length(folder: Path) -> Path:
    def edit(file: h5py.File) -> None:
        del file["layers/dense/vars/0"]
        ragged = file["layers/dense/vars"].create_dataset("0", (4,), dtype=h5py.vlen_dtype("f4"))
        ragged[0] = [1.0, 2.0]

    return keras_zip(folder / "model.keras", weights=weights_h5(DENSE_WEIGHTS, edit))


@bad("malformed-hdf5")
def hdf5_heap_without_end(folder: Path) -> Path:
    """The list of a layer's weights lies in a heap whose first object has no size: the library would never return."""

    def edit(file: h5py.File) -> None:
        names = ["dense/kernel:0", "dense/bias:0"]
        file["model_weights/dense"].attrs["weight_names"] = np.array(names, dtype=h5py.string_dtype())

    path = legacy_h5(folder / "model.h5", edit=edit)
    data = bytearray(path.read_bytes())
    heap = data.index(b"GCOL")
    data[heap + 16 : heap + 32] = bytes(16)
    return write(path, bytes(data))


@bad("malformed-hdf5")
def hdf5_group_without_signature(folder: Path) -> Path:
    path = legacy_h5(folder / "model.h5")
    data = bytearray(path.read_bytes())
    data[data.rindex(b"SNOD") :][:4] = b"XXXX"
    at = data.rindex(b"SNOD")
    data[at : at + 4] = b"XXXX"
    return write(path, bytes(data))


@bad("missing-dataset")
def weight_names_list_what_is_not_there(folder: Path) -> Path:
    def edit(file: h5py.File) -> None:
        file["model_weights/dense"].attrs["weight_names"] = [b"dense/kernel:0", b"dense/bias:0", b"dense/gone:0"]

    return legacy_h5(folder / "model.h5", edit=edit)


def listing(name: str, *listed: bytes) -> None:
    """Registers a file whose list of layers is this; each is one that Keras 3.15 refuses to load."""

    def edit(file: h5py.File) -> None:
        file["model_weights"].attrs["layer_names"] = list(listed)

    BAD.append(Exhibit(name, "missing-dataset", lambda folder: legacy_h5(folder / "model.h5", edit=edit)))


listing("layer_names_list_what_is_not_there", b"dense", b"../../etc")
listing("layer_names_list_one_twice", b"dense", b"dense")
listing("layer_names_leave_one_out")


@bad("malformed-config")
def legacy_config_is_a_number(folder: Path) -> Path:
    def edit(file: h5py.File) -> None:
        file.attrs["model_config"] = 1.5

    return legacy_h5(folder / "model.h5", edit=edit)


@bad("malformed-config")
def legacy_config_is_not_utf_8(folder: Path) -> Path:
    def edit(file: h5py.File) -> None:
        text = file.attrs["model_config"]
        file.attrs["model_config"] = np.bytes_((text if isinstance(text, bytes) else text.encode()).replace(b'"Dense"', b'"D\xffnse"'))

    return legacy_h5(folder / "model.h5", edit=edit)


@bad("malformed-hdf5")
def hdf5_kernel_without_a_dataspace(folder: Path) -> Path:
    def edit(file: h5py.File) -> None:
        del file["model_weights/dense/dense/kernel:0"]
        file["model_weights/dense"].create_dataset("dense/kernel:0", data=h5py.Empty("f4"))

    return legacy_h5(folder / "model.h5", edit=edit)


@bad("malformed-training-config")
def training_config_is_no_json(folder: Path) -> Path:
    def edit(file: h5py.File) -> None:
        file.attrs["training_config"] = "{'loss': mse"

    return legacy_h5(folder / "model.h5", edit=edit)


@noted("not-keras")
def hdf5_of_another_program(folder: Path) -> Path:
    with h5py.File(folder / "data.h5", "w") as file:
        file.create_dataset("measurements", data=np.arange(12.0))
    return folder / "data.h5"


@bad("malformed-npy")
def npz_member_without_header(folder: Path) -> Path:
    import zipfile

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("layers/dense/vars/0.npy", b"\x93NUMPY\x01\x00\x10\x00 not a header    ")
    return keras_zip(folder / "model.keras", without=("model.weights.h5",), extra=[("model.weights.npz", buffer.getvalue())])


@bad("missing-shard")
def shard_gone(folder: Path) -> Path:
    index = {"metadata": {"total_size": 60}, "weight_map": {"/layers/dense/vars": "model_00000.weights.h5"}}
    return write(folder / "model.weights.json", json.dumps(index))


@bad("invalid-hyperparameter")
def reshape_to_more_than_there_is(folder: Path) -> Path:
    return keras_zip(
        folder / "model.keras", sequential(input_layer(4), dense("dense", 3, 4), layer("Reshape", "reshape", target_shape=[5]))
    )


@noted("custom-object")
def custom_layer_registered(folder: Path) -> Path:
    custom = layer("Gate", "gate", module="project.layers") | {"registered_name": "project>Gate"}
    return keras_zip(folder / "model.keras", sequential(input_layer(4), dense("dense", 3, 4), custom))


@bad("declared-shape-mismatch")
def consumer_declares_another_shape(folder: Path) -> Path:
    def call(of: str, size: int) -> list[dict[str, Any]]:
        tensor = {"class_name": "__keras_tensor__", "config": {"shape": [None, size], "dtype": "float32", "keras_history": [of, 0, 0]}}
        return [{"args": [tensor], "kwargs": {}}]

    first = input_layer(4) | {"name": "input_layer", "inbound_nodes": []}
    one = dense("dense", 3, 4) | {"name": "dense", "inbound_nodes": call("input_layer", 4)}
    two = layer("ReLU", "relu") | {"name": "relu", "inbound_nodes": call("dense", 7)}
    config = {"name": "f", "layers": [first, one, two], "input_layers": [["input_layer", 0, 0]], "output_layers": [["relu", 0, 0]]}
    model = {"module": "keras.src.models.functional", "class_name": "Functional", "config": config, "registered_name": "Functional"}
    return keras_zip(folder / "model.keras", model)
