"""Real Keras files with one thing changed: each change must be told, at `high` or above."""

import io
import json
import random
import shutil
import zipfile

import h5py
import numpy as np
import pytest

import modelscan
from tests.corpus import ROOT, corpus, expected

pytestmark = [pytest.mark.corpus, pytest.mark.slow]
SEED, FILES = 20_26, 60
HYPERPARAMETERS = {"units": 3, "filters": 3, "kernel_size": 2, "input_dim": 5, "output_dim": 2, "num_heads": 1, "output_dim_": 1}


def chosen():
    """Files that a framework loads, with more than one weight, spread over the sources."""
    rows = [row for row in expected("keras") if row["oracle"] != "none" and int(row["bytes"]) // 100 < 20_000 and int(row["total"]) > 10]
    random.Random(SEED).shuffle(rows)
    seen, found = {}, []
    for row in rows:
        source = row["path"].split("/")[0]
        if seen.get(source, 0) < 12:
            seen[source] = seen.get(source, 0) + 1
            found.append(row)
    return found[:FILES]


class Edited:
    """A file opened for editing, `.keras` or HDF5, and written back."""

    def __init__(self, source, target):
        self.target = target
        self.zipped = zipfile.is_zipfile(source)
        if self.zipped:
            with zipfile.ZipFile(source) as archive:
                self.members = {name: archive.read(name) for name in archive.namelist()}
            self.buffer = io.BytesIO(self.members["model.weights.h5"])
            self.file = h5py.File(self.buffer, "r+")
            self.config = json.loads(self.members["config.json"])
        else:
            shutil.copy(source, target)
            target.chmod(0o644)
            self.file = h5py.File(target, "r+")
            text = self.file.attrs["model_config"]
            self.config = json.loads(text)

    def save(self):
        if self.zipped:
            self.file.close()
            self.members |= {"config.json": json.dumps(self.config).encode(), "model.weights.h5": self.buffer.getvalue()}
            with zipfile.ZipFile(self.target, "w") as archive:
                for name, data in self.members.items():
                    archive.writestr(name, data)
        else:
            self.file.attrs["model_config"] = json.dumps(self.config)
            self.file.close()

    def datasets(self):
        found = []
        self.file.visititems(lambda name, one: found.append(name) if isinstance(one, h5py.Dataset) else None)
        return [name for name in found if not name.startswith(("optimizer", "metrics", "_optimizer")) and "seed_generator" not in name]

    def layers(self):
        """Every layer's entry, nested ones and wrapped ones included."""

        def walk(entry):
            config = entry.get("config")
            inner = config if isinstance(config, list) else config.get("layers", []) if isinstance(config, dict) else []
            for one in inner:
                yield one
                yield from walk(one)
            for name in ("layer", "backward_layer", "cell"):
                if isinstance(config, dict) and isinstance(config.get(name), dict):
                    yield config[name]
                    yield from walk(config[name])

        return list(walk(self.config))

    def replace(self, name, array):
        attributes = dict(self.file[name].attrs)
        del self.file[name]
        self.file.create_dataset(name, data=array)
        self.file[name].attrs.update(attributes)


def edit_hyperparameter(edited, rng):
    options = [
        (layer, name)
        for layer in edited.layers()
        for name in HYPERPARAMETERS
        if isinstance(layer.get("config"), dict)
        and layer["config"].get(name)
        and not (name == "input_dim" and layer["class_name"] != "Embedding")
        and layer["class_name"] not in ("Masking", "MaxPooling1D")
    ]
    if not options:
        return False
    layer, name = rng.choice(options)
    value = layer["config"][name]
    layer["config"][name] = [value[0] + 1, *value[1:]] if isinstance(value, list) else value + HYPERPARAMETERS[name]
    return True


def edit_bias(edited, rng):
    options = [
        layer for layer in edited.layers() if isinstance(layer.get("config"), dict) and isinstance(layer["config"].get("use_bias"), bool)
    ]
    options = [layer for layer in options if not layer["class_name"].startswith("CuDNN")]
    if not options:
        return False
    config = rng.choice(options)["config"]
    config["use_bias"] = not config["use_bias"]
    return True


def dataset_edit(change, needs=lambda array: True):
    def edit(edited, rng):
        options = [name for name in edited.datasets() if edited.file[name].dtype.kind == "f" and needs(edited.file[name])]
        if not options:
            return False
        name = rng.choice(options)
        edited.replace(name, change(edited.file[name][()]))
        return True

    return edit


def drop(edited, rng):
    options = edited.datasets()
    if not options:
        return False
    del edited.file[rng.choice(options)]
    return True


def swap(edited, rng):
    """Two layers' groups, in a way that can be told: other shapes, or names beside the weights."""
    groups = {}
    for name in edited.datasets():
        root = "model_weights/" if name.startswith("model_weights/") else "layers/" if name.startswith("layers/") else None
        if root is None:
            return False
        groups.setdefault(root + name[len(root) :].split("/")[0], []).append(name)
    names = sorted(groups)
    shapes = {group: [edited.file[one].shape for one in groups[group]] for group in names}
    pairs = [(a, b) for a in names for b in names if a < b and shapes[a] != shapes[b]]
    if not pairs:
        return False
    first, second = rng.choice(pairs)
    edited.file.move(first, "swapped")
    edited.file.move(second, first)
    edited.file.move("swapped", second)
    return True


KINDS = {
    "hyperparameter": edit_hyperparameter,
    "use_bias": edit_bias,
    "grown": dataset_edit(lambda a: np.concatenate([a, a[:1]]), lambda d: d.ndim > 0),
    "transposed": dataset_edit(lambda a: a.T.copy(), lambda d: d.ndim > 1 and d.shape != d.shape[::-1]),
    "flattened": dataset_edit(lambda a: a.ravel(), lambda d: d.ndim > 1),
    "other dtype": dataset_edit(lambda a: a.astype("float16" if a.dtype != np.float16 else "float32")),
    "integers": dataset_edit(lambda a: a.astype("int32")),
    "NaN": dataset_edit(
        lambda a: np.where(np.arange(a.size).reshape(a.shape) == a.size // 2, np.nan, a).astype(a.dtype), lambda d: d.size > 0
    ),
    "dropped": drop,
    "swapped": swap,
}
CUTS = {"cut at 30 %": 0.3, "cut at 90 %": 0.9, "cut at 99.9 %": 0.999}


def flagged(path, values=False):
    report = modelscan.inspect(path, values=values)
    return any(one.severity in ("high", "critical") for one in report.findings)


def test_mutations(tmp_path):
    files = chosen()
    assert len(files) >= 30 or not (ROOT / "keras").exists(), corpus("keras")
    rng = random.Random(SEED)
    told = dict.fromkeys([*KINDS, *CUTS], 0)
    made = dict.fromkeys([*KINDS, *CUTS], 0)
    missed = []
    for row in files:
        source = corpus("keras", row["path"])
        target = tmp_path / f"model{source.suffix}"
        for kind, edit in KINDS.items():
            edited = Edited(source, target)
            done = edit(edited, rng)
            edited.save()
            if done:
                made[kind] += 1
                hit = flagged(target, values=kind == "NaN")
                told[kind] += hit
                missed += [] if hit else [(row["path"], kind)]
        for kind, share in CUTS.items():
            data = source.read_bytes()
            target.write_bytes(data[: int(len(data) * share)])
            made[kind] += 1
            hit = flagged(target)
            told[kind] += hit
            missed += [] if hit else [(row["path"], kind)]
    for kind, count in made.items():
        print(f"{kind:>16}: {told[kind]} of {count}")
    print(f"{'all':>16}: {sum(told.values())} of {sum(made.values())} over {len(files)} files")
    assert sum(told.values()) >= 0.99 * sum(made.values()), missed
