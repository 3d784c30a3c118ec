"""SavedModels and checkpoints that are not whole, contradict themselves, or do more than compute. Written without TensorFlow."""

from __future__ import annotations

import json
import os
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from tests.hostile.exhibit import BAD, CLEAN, Exhibit, bad, clean, field, write
from tests.hostile.keras_files import legacy_lambda
from tests.hostile.tensorflow_bytes import (
    BIAS,
    BOOL,
    FLOAT,
    INT32,
    INT64,
    KERNEL,
    VALUE,
    Entry,
    SavedModel,
    bare_node,
    call,
    checkpoint,
    function,
    kind,
    node,
    numbers,
    text,
    text_node,
    words,
)

REAL = Path(__file__).parents[2] / "fixtures" / "saved_model" / "simple_rnn_savedmodel"
"""What TensorFlow itself has written, for what only it writes: a fingerprint, the order of its saver."""
MODEL = SavedModel()
PB, INDEX, DATA = "saved_model.pb", "variables/variables.index", "variables/variables.data-00000-of-00001"


def model(name: str, rule: str, made: SavedModel) -> None:
    """Registers a model."""
    BAD.append(Exhibit(name, rule, made.write))


def edited(name: str, rule: str, edit: Callable[[Path], object], made: SavedModel = MODEL) -> None:
    """Registers a model whose files are changed after they were written."""

    def build(folder: Path) -> Path:
        root = made.write(folder)
        edit(root)
        return root

    BAD.append(Exhibit(name, rule, build))


def bytes_of(name: str, change: Callable[[bytes], bytes]) -> Callable[[Path], object]:
    """An edit of one file."""
    return lambda root: write(root / name, change((root / name).read_bytes()))


# --- the files --------------------------------------------------------------------------------------------------------------------

edited("program_empty", "missing-program", bytes_of(PB, lambda data: b""))
edited("program_is_a_web_page", "missing-program", bytes_of(PB, lambda data: b"<html><body>404: Not found</body></html>"))
edited("program_cut_in_half", "truncated-file", bytes_of(PB, lambda data: data[: len(data) // 2]))
edited("program_gone", "missing-program", lambda root: (root / PB).unlink())
edited("index_gone", "missing-index", lambda root: (root / INDEX).unlink())
edited("variables_gone", "missing-index", lambda root: shutil.rmtree(root / "variables"))
edited("index_cut", "index-footer", bytes_of(INDEX, lambda data: data[:-20]))
edited("index_empty", "index-footer", bytes_of(INDEX, lambda data: b""))
edited("index_with_another_magic", "index-footer", bytes_of(INDEX, lambda data: data[:-1] + b"\x00"))
edited("index_with_a_flipped_bit", "index-block-crc", bytes_of(INDEX, lambda data: data[:40] + bytes([data[40] ^ 4]) + data[41:]))
edited("shard_of_a_checkpoint_gone", "missing-checkpoint-shard", lambda root: (root / DATA).unlink())
edited("shard_of_a_checkpoint_cut", "entry-out-of-bounds", bytes_of(DATA, lambda data: data[:-8]))
edited("shard_of_a_checkpoint_empty", "entry-out-of-bounds", bytes_of(DATA, lambda data: b""))
edited("shard_with_bytes_behind", "unreferenced-bytes", bytes_of(DATA, lambda data: data + b"\x7fELF" + bytes(4000)))
edited("shard_outside_of_the_folder", "path-escape", lambda root: ((root / DATA).unlink(), (root / DATA).symlink_to("/etc/passwd")))
edited(
    "index_is_a_pointer",
    "index-footer",
    bytes_of(INDEX, lambda data: b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64),
)


@bad("several-models")
def archive_of_two_models(folder: Path) -> Path:
    with tarfile.open(folder / "models.tar.gz", "w:gz") as archive:
        for name in ("a", "b"):
            (folder / name).mkdir()
            archive.add(MODEL.write(folder / name), f"{name}/1")
    return folder / "models.tar.gz"


@bad("fingerprint-mismatch")
def variables_of_another_export(folder: Path) -> Path:
    root = folder / "saved_model"
    shutil.copytree(REAL, root)
    for path in (root / "variables").iterdir():
        path.unlink()
    checkpoint(root / "variables" / "variables", MODEL.with_entries().entries or {})
    return root


# --- entries against their bytes --------------------------------------------------------------------------------------------------

kernel, bias = numbers(KERNEL), numbers(BIAS)
model("entry_past_the_end", "entry-out-of-bounds", MODEL.with_entries(kernel=replace(kernel, offset=1 << 40)))
model("entry_inside_another", "overlapping-entries", MODEL.with_entries(kernel=replace(kernel, offset=4, data=kernel.data)))
model("entry_of_fewer_bytes", "entry-size", MODEL.with_entries(kernel=replace(kernel, size=44)))
model("entry_of_more_bytes", "entry-size", MODEL.with_entries(kernel=replace(kernel, data=kernel.data + bytes(16))))
model("entry_with_another_checksum", "entry-crc", MODEL.with_entries(kernel=replace(kernel, crc=12345)))
model("entry_of_another_shape", "variable-shape", MODEL.with_entries(kernel=numbers(KERNEL.T)))
model("entry_of_another_type", "variable-type", MODEL.with_entries(kernel=replace(kernel, dtype=INT32)))
model("variable_without_a_value", "variable-without-entry", MODEL.with_entries(kernel=None))
model("value_without_a_variable", "entry-without-variable", MODEL.with_entries(stowaway=numbers(np.ones((64, 64)))))
model("program_of_another_shape", "variable-shape", replace(MODEL, kernel_shape=(4, 5)))
model("entry_with_a_negative_dimension", "malformed-index", MODEL.with_entries(kernel=replace(kernel, shape=(-4, 3))))
model("entry_in_a_shard_that_there_is_not", "entry-out-of-bounds", MODEL.with_entries(kernel=replace(kernel, offset=0, shard=7)))


@bad("entry-crc")
def weight_changed_in_its_shard(folder: Path) -> Path:
    root = MODEL.write(folder)
    data = bytearray((root / DATA).read_bytes())
    data[-5] ^= 0x40
    write(root / DATA, bytes(data))
    return root


def saver(*keys: str) -> tuple[bytes, ...]:
    """The nodes of a saver that writes these entries, in this order."""
    slices = text_node("save/slices", [""] * len(keys))
    values = tuple(key.removesuffix(VALUE) for key in keys)
    save = node("save/SaveV2", "SaveV2", "save/file", "save/names", "save/slices", *values)
    return (text_node("save/file", "model"), text_node("save/names", keys), slices, save)


model("weights_in_another_order_than_saved", "entry-order", replace(MODEL, nodes=saver(f"kernel{VALUE}", f"bias{VALUE}")))


@bad("missing-slice")
def partition_gone(folder: Path) -> Path:
    """A variable in two parts of which none is stored."""
    parts = tuple(field(1, field(1, begin) + field(2, 2)) + field(1, b"") for begin in (0, 2))
    return checkpoint(folder / "model.ckpt", {"w": Entry(FLOAT, (4, 3), b"", slices=parts), "b": bias})


# --- functions ----------------------------------------------------------------------------------------------------------------------


def helper(name: str, *nodes: bytes) -> bytes:
    """A function without arguments that runs these nodes."""
    return function(name, {}, {}, nodes, {})


LOOP = tuple(helper(one, node("again", "StatefulPartitionedCall", f=call(other))) for one, other in (("__a", "__b"), ("__b", "__a")))
model(
    "functions_that_call_each_other",
    "recursive-call",
    replace(MODEL, library=LOOP, body=(node("go", "StatefulPartitionedCall", f=call("__a")),)),
)
model(
    "function_of_the_library_twice",
    "library-duplicate",
    replace(MODEL, library=(helper("__f"), helper("__f", node("n", "NoOp")))),
)
model("call_of_a_function_that_there_is_not", "undefined-function", replace(MODEL, body=(node("go", "PartitionedCall", f=call("__gone")),)))

# --- graphs that contradict themselves: what TensorFlow refuses -------------------------------------------------------------------

CUT = node("c", "Const", dtype=kind(INT32), value=field(8, field(1, INT32) + field(2, field(2, field(1, 4))) + field(4, bytes(12))))
REFUSED: dict[str, tuple[str, bytes]] = {
    "refused_an_input_that_there_is_not": ("undefined-value", node("r", "Relu", "gone:activations:0")),
    "refused_an_output_that_there_is_not": ("undefined-value", node("r", "Relu", "matmul:sum:0")),
    "refused_two_nodes_of_one_name": ("duplicate-node", node("add", "Relu", "x")),
    "refused_a_circle": ("node-cycle", node("r", "AddV2", "x", "r:z:0")),
    "refused_a_node_without_its_type": ("node-definition", bare_node("r", "Relu", "x")),
    "refused_an_input_too_many": ("node-definition", node("r", "Relu", "x", "x")),
    "refused_a_product_that_does_not_fit": ("operand-shapes", node("m", "MatMul", "add:output:0", "read_kernel:value:0")),
    "refused_a_cut_constant": ("constant-payload", CUT),
}
for name, (rule, one) in REFUSED.items():
    model(name, rule, replace(MODEL, body=(one,)))
edited(
    "refused_signature_names_nothing",
    "signature-tensor",
    bytes_of(PB, lambda data: data.replace(b"serving_default_x:0", b"serving_default_y:0")),
)
edited(
    "refused_a_capture_removed",
    "undefined-object",
    bytes_of(PB, lambda data: data.replace(field(2, bytes((1, 2))), field(2, 1) + field(15, 0))),
)

# --- what a graph does besides computing -------------------------------------------------------------------------------------------

SECRET = "/etc/passwd"
DANGERS: tuple[tuple[str, str, tuple[bytes, ...]], ...] = (
    ("PyFunc", "python-op", (node("evil", "PyFunc", token=text("pyfunc_0")),)),
    ("EagerPyFunc", "python-op", (node("evil", "EagerPyFunc", token=text("pyfunc_0")),)),
    ("PyFuncStateless", "python-op", (node("evil", "PyFuncStateless", token=text("pyfunc_0")),)),
    ("ReadFile", "file-read-op", (text_node("path", SECRET), node("evil", "ReadFile", "path:output:0"))),
    ("MatchingFiles", "file-read-op", (text_node("path", "/home/*/.ssh/*"), node("evil", "MatchingFiles", "path:output:0"))),
    (
        "TextLineDataset",
        "file-read-op",
        (text_node("path", SECRET), node("evil", "TextLineDataset", "path:output:0", "path:output:0", "path:output:0")),
    ),
    ("WholeFileReaderV2", "file-read-op", (node("evil", "WholeFileReaderV2"),)),
    ("WriteFile", "file-write-op", (text_node("path", "/tmp/x.sh"), node("evil", "WriteFile", "path:output:0", "path:output:0"))),
    ("PrintV2", "file-write-op", (text_node("what", "x"), node("evil", "PrintV2", "what:output:0", output_stream=text("file:///tmp/x")))),
    (
        "CreateSummaryFileWriter",
        "file-write-op",
        (text_node("path", "/tmp/logs"), node("evil", "CreateSummaryFileWriter", "path:output:0", "path:output:0")),
    ),
    ("RpcClient", "network-op", (text_node("address", "203.0.113.7:80"), node("evil", "RpcClient", "address:output:0"))),
)
for _op, _rule, _nodes in DANGERS:
    model(f"operation_{_op}", _rule, replace(MODEL, body=_nodes))
model(
    "operation_in_a_called_function",
    "file-read-op",
    replace(
        MODEL,
        library=(helper("__inner", text_node("path", SECRET), node("evil", "ReadFile", "path:output:0")),),
        body=(node("go", "StatefulPartitionedCall", f=call("__inner")),),
    ),
)
model(
    "operation_in_a_branch",
    "file-write-op",
    replace(
        MODEL,
        library=(
            helper("__then", text_node("path", "/tmp/x"), node("evil", "WriteFile", "path:output:0", "path:output:0")),
            helper("__else", node("nothing", "NoOp")),
        ),
        body=(
            node("yes", "Const", dtype=kind(BOOL), value=field(8, field(1, BOOL) + field(2, b"") + field(11, 1))),
            node("go", "If", "yes:output:0", then_branch=call("__then"), else_branch=call("__else")),
        ),
    ),
)

READS = (text_node("path", SECRET), node("evil", "ReadFile", "path:output:0"))
NOTHING = node("nothing", "NoOp")
model(
    "operation_in_the_body_of_a_loop",
    "file-read-op",
    replace(
        MODEL,
        library=(helper("__body", *READS), helper("__cond", NOTHING)),
        body=(node("go", "While", "x", body=call("__body"), cond=call("__cond")),),
    ),
)
model(
    "operation_in_the_condition_of_a_loop",
    "file-read-op",
    replace(
        MODEL,
        library=(helper("__body", NOTHING), helper("__cond", *READS)),
        body=(node("go", "StatelessWhile", "x", body=call("__body"), cond=call("__cond")),),
    ),
)
model(
    "operation_in_the_function_of_a_dataset",
    "file-read-op",
    replace(MODEL, library=(helper("__map", *READS),), body=(node("go", "MapDataset", "x", f=call("__map")),)),
)
model(
    "operation_thirty_calls_deep",
    "file-read-op",
    replace(
        MODEL,
        library=tuple(
            helper(f"__f{at}", *((node("go", "PartitionedCall", f=call(f"__f{at + 1}")),) if at < 30 else READS)) for at in range(31)
        ),
        body=(node("go", "StatefulPartitionedCall", f=call("__f0")),),
    ),
)
model("operation_of_the_library_by_name", "file-read-op", replace(MODEL, library=(helper("MyOp", *READS),), body=(node("go", "MyOp"),)))
edited(
    "shard_behind_a_link_out_of_the_folder",
    "path-escape",
    lambda root: ((root / DATA).rename(root.parent / "weights"), (root / DATA).symlink_to("../../weights")),
)
edited("shard_is_a_fifo", "missing-checkpoint-shard", lambda root: ((root / DATA).unlink(), os.mkfifo(root / DATA)))


@bad("pickle-member")
def pickle_member_of_a_tar(folder: Path) -> Path:
    write(folder / "extra.pkl", b"\x80\x04N.")
    with tarfile.open(folder / "model.tar", "w") as archive:
        archive.add(MODEL.write(folder), "model")
        archive.add(folder / "extra.pkl", "model/extra.pkl")
    return folder / "model.tar"


# --- assets and metadata -----------------------------------------------------------------------------------------------------------

model("asset_that_escapes", "path-escape", replace(MODEL, assets=("../../../../etc/passwd",)))
model("asset_gone", "missing-asset", replace(MODEL, assets=("vocabulary.txt",)))


def _metadata(*layers: dict[str, object]) -> str:
    plain = [{"class_name": one["class_name"], "config": one["config"]} for one in layers]
    return json.dumps({"class_name": "Sequential", "config": {"name": "sequential", "layers": plain}, "name": "sequential"})


model("lambda_in_keras_metadata", "lambda-code", replace(MODEL, keras_metadata=_metadata(legacy_lambda())))

# --- legal --------------------------------------------------------------------------------------------------------------------------


def legal(name: str, made: SavedModel, note: str | None = None) -> None:
    """Registers a legal model."""
    CLEAN.append(Exhibit(name, None, made.write, note))


legal("saved_model", MODEL)
legal(
    "operation_that_nothing_reaches",
    replace(MODEL, library=(helper("__dead", text_node("p", SECRET), node("r", "ReadFile", "p:output:0")),)),
)
legal(
    "loop_that_nothing_reaches",
    replace(
        MODEL,
        library=(
            helper("__dead_body", *READS),
            helper("__dead_cond", NOTHING),
            helper("__dead", node("go", "While", body=call("__dead_body"), cond=call("__dead_cond"))),
        ),
    ),
)
legal("weights_in_the_order_of_the_saver", replace(MODEL, nodes=saver(f"bias{VALUE}", f"kernel{VALUE}")))
legal(
    "print_to_standard_output",
    replace(MODEL, body=(text_node("what", "x"), node("say", "PrintV2", "what:output:0", output_stream=text("stderr")))),
)
legal("words_of_code_in_constants", replace(MODEL, body=(text_node("what", "import os; os.system('id') # PyFunc ReadFile /etc/passwd"),)))
legal("metadata_of_another_kind", replace(MODEL, keras_metadata=_metadata()))
legal("operation_of_a_library", replace(MODEL, body=(node("own", "MyVeryOwnOp"),)), "custom-op")


@clean
def saved_model_of_tensorflow(folder: Path) -> Path:
    shutil.copytree(REAL, folder / "saved_model")
    return folder / "saved_model"


@clean
def saved_model_with_an_asset(folder: Path) -> Path:
    root = replace(MODEL, assets=("vocabulary.txt",)).write(folder)
    (root / "assets").mkdir()
    write(root / "assets" / "vocabulary.txt", "a\nb\n")
    return root


@clean
def saved_model_in_an_archive(folder: Path) -> Path:
    root = MODEL.write(folder)
    with zipfile.ZipFile(folder / "model.zip", "w") as archive:
        for path in sorted(root.rglob("*")):
            archive.write(path, f"1/{path.relative_to(root)}")
    return folder / "model.zip"


@clean
def checkpoint_alone(folder: Path) -> Path:
    return checkpoint(folder / "model.ckpt", {"w": kernel, "b": bias})


@clean
def checkpoint_of_two_shards(folder: Path) -> Path:
    return checkpoint(folder / "model.ckpt", {"w": replace(kernel, shard=1), "b": bias}, shards=2)


@clean
def checkpoint_with_strings_and_scalars(folder: Path) -> Path:
    step = Entry(INT64, (), np.int64(7).tobytes())
    return checkpoint(folder / "model.ckpt", {"w": kernel, "labels": words(b"cat", b"dog"), "global_step": step})
