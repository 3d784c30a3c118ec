"""`make bench`: generates the models, measures modelscan and its peers side by side, writes docs/benchmarks.md."""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.measure import measure

ROOT = Path(__file__).parent.parent
OUT = ROOT / "bench" / "out"
SCAN = [sys.executable, "-m", "modelscan"]
PEERS = ROOT / ".venv-peers"


@dataclass(frozen=True)
class Contest:
    """Commands measured in one group; the first is ours, the second the yardstick of the ratios."""

    title: str
    commands: dict[str, list[str]]


def python(code: str, *arguments: str, interpreter: str = sys.executable) -> list[str]:
    return [interpreter, "-c", code, *arguments]


def peer(code: str, *arguments: str) -> list[str]:
    return python(code, *arguments, interpreter=str(PEERS / "bin" / "python"))


KERAS_SUMMARY = "import sys, keras; keras.models.load_model(sys.argv[1], compile=False).summary(print_fn=lambda *a, **k: None)"
ONNX_LOAD = "import sys, onnx; onnx.load(sys.argv[1])"
ONNX_IR = "import sys, onnx_ir; onnx_ir.load(sys.argv[1])"
ONNX_TOOL = "import sys, onnx_tool; m = onnx_tool.Model(sys.argv[1], {'verbose': False}); g = m.graph; g.shape_infer(); g.profile()"
PLAIN_LOOP = """
import sys, glob, onnx
for path in sorted(glob.glob(sys.argv[1] + '/*.onnx')):
    try:
        model = onnx.load(path); onnx.checker.check_model(model); onnx.shape_inference.infer_shapes(model)
    except Exception:
        pass
"""


UNISOLATED = (
    "import sys; from importlib import import_module; import_module('modelscan.scan').can_isolate = lambda: False; "
    "from modelscan.__main__ import main; main()"
)
"""The command line without its child processes."""


def keras_model(name: str, megabytes: int) -> list[Path]:
    """Dense layers of about this size, saved as .keras and .h5 by Keras."""
    paths = [OUT / f"{name}{ending}" for ending in (".keras", ".h5")]
    if not all(path.exists() for path in paths):
        code = (
            "import sys, keras\n"
            "n, target = 0, int(sys.argv[1]) * 2**18\n"
            "layers = [keras.Input((2048,))]\n"
            "while n < target:\n"
            "    layers.append(keras.layers.Dense(2048, kernel_initializer='zeros')); n += 2048 * 2049\n"
            "model = keras.Sequential(layers)\n"
            "[model.save(path) for path in sys.argv[2:]]\n"
        )
        subprocess.run(python(code, str(megabytes), *map(str, paths)), check=True, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    return paths


def onnx_model(kind: str, name: str, *arguments: str) -> Path:
    path = OUT / name
    if not path.exists():
        subprocess.run(
            [sys.executable, str(ROOT / "bench" / "generate_onnx.py"), kind, str(path), *arguments], check=True, stdout=subprocess.DEVNULL
        )
    return path


def folder_of_small_files(count: int) -> Path:
    """The fixtures' ONNX files, copied until there are enough."""
    folder = OUT / f"small_{count}"
    if not folder.exists():
        folder.mkdir(parents=True)
        sources = [
            path
            for path in sorted((ROOT / "fixtures" / "good").glob("*.onnx"))
            if path.stat().st_size < 4000 and path.name != "external.onnx"
        ]
        for index in range(count):
            shutil.copy(sources[index % len(sources)], folder / f"model_{index:05}.onnx")
    return folder


def peers() -> None:
    if not (PEERS / "bin" / "python").exists():
        subprocess.run([sys.executable, "-m", "venv", str(PEERS)], check=True)
        subprocess.run([str(PEERS / "bin" / "python"), "-m", "pip", "install", "--quiet", "onnx", "onnx_ir", "onnx-tool"], check=True)


def start() -> list[Contest]:
    small = str(ROOT / "fixtures" / "good" / "simple_rnn.keras")
    return [
        Contest(
            "Starting up",
            {
                "modelscan --help": [*SCAN, "--help"],
                "python -c pass": python("pass"),
                "modelscan inspect (the example)": [*SCAN, "inspect", small],
                "import h5py": python("import h5py"),
                "import onnx": python("import onnx"),
            },
        )
    ]


def keras_contests() -> list[Contest]:
    found = []
    for name, size in (("keras_33mb", 33), ("keras_1gb", 1024)):
        for path in keras_model(name, size):
            commands = {
                "modelscan inspect": [*SCAN, "inspect", str(path)],
                "import h5py": python("import h5py"),
                "keras load_model + summary": python(KERAS_SUMMARY, str(path)),
            }
            found.append(Contest(f"Keras, {path.stat().st_size / 2**20:,.0f} MiB, `{path.suffix}`", commands))
    return found


def application(name: str, ending: str) -> Path:
    """One of `keras.applications` with random weights: `.keras`, `.h5`, or exported as a SavedModel."""
    path = OUT / f"{name}{ending}"
    if not path.exists():
        code = (
            "import sys, keras\n"
            "model = getattr(keras.applications, sys.argv[1])(weights=None)\n"
            "model.save(sys.argv[2]) if sys.argv[2].endswith(('.keras', '.h5')) else model.export(sys.argv[2], verbose=False)\n"
        )
        subprocess.run(python(code, name, str(path)), check=True, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    return path


def deep_model(layers: int) -> Path:
    """A functional model of so many small Dense layers, in branches that Keras' own recursion bears."""
    path = OUT / f"deep_{layers}.keras"
    if not path.exists():
        code = (
            "import sys, keras\n"
            "inputs, ends = keras.Input((8,)), []\n"
            "for _ in range(int(sys.argv[1]) // 50):\n"
            "    x = inputs\n"
            "    for _ in range(50): x = keras.layers.Dense(8)(x)\n"
            "    ends.append(x)\n"
            "keras.Model(inputs, keras.layers.Add()(ends)).save(sys.argv[2])\n"
        )
        subprocess.run(python(code, str(layers), str(path)), check=True, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    return path


def tensorflow_contests() -> list[Contest]:
    exported = application("MobileNetV2", "_savedmodel")
    size = sum(one.stat().st_size for one in exported.rglob("*") if one.is_file()) / 2**20
    cli = [str(Path(sys.executable).with_name("saved_model_cli")), "show", "--all", "--dir", str(exported)]
    found = [
        Contest(
            f"Keras, ResNet50, `{ending}`",
            {"modelscan inspect": [*SCAN, "inspect", str(application("ResNet50", ending))], "import h5py": python("import h5py")},
        )
        for ending in (".keras", ".h5")
    ]
    deep = {f"modelscan inspect, {count:,} layers": [*SCAN, "inspect", str(deep_model(count))] for count in (1_250, 2_500, 5_000)}
    found.append(Contest("Keras, growth with the number of layers", deep))
    found.append(
        Contest(
            f"SavedModel, MobileNetV2, {size:,.0f} MiB",
            {"modelscan inspect": [*SCAN, "inspect", str(exported)], "saved_model_cli show --all": cli},
        )
    )
    return found


def onnx_contests() -> list[Contest]:
    models = {
        "1.9 GB embedded": onnx_model("embedded", "embedded.onnx", "--gigabytes", "1.9"),
        "8 GB external": onnx_model("external", "external.onnx", "--gigabytes", "8"),
        "20,000 nodes": onnx_model("nodes", "nodes_20000.onnx", "--count", "20000"),
        "20,000 nodes, no block like another": onnx_model("varied", "varied_20000.onnx", "--count", "20000"),
        "50,000 initializers": onnx_model("initializers", "initializers_50000.onnx", "--count", "50000"),
    }
    found = []
    for title, path in models.items():
        commands = {
            "modelscan inspect": [*SCAN, "inspect", str(path)],
            "import onnx": python("import onnx"),
            "onnx.load": python(ONNX_LOAD, str(path)),
            "onnx_ir.load": peer(ONNX_IR, str(path)),
            "onnx-tool": peer(ONNX_TOOL, str(path)),
        }
        found.append(Contest(f"ONNX, {title}", commands))
    nodes = {f"{count:,} nodes": onnx_model("nodes", f"nodes_{count}.onnx", "--count", str(count)) for count in (5_000, 20_000, 80_000)}
    linear = {f"modelscan inspect, {title}": [*SCAN, "inspect", str(path)] for title, path in nodes.items()}
    found.append(Contest("ONNX, growth with the number of nodes", linear))
    filled = str(onnx_model("filled", "filled.onnx", "--gigabytes", "1.9"))
    values = [*SCAN, "inspect", "--values", filled]
    found.append(
        Contest(
            "ONNX, reading every value of 1.9 GB",
            {"modelscan inspect --values": values, "onnx.load": python(ONNX_LOAD, filled)},
        )
    )
    return found


def folder_contests() -> list[Contest]:
    found = []
    for count in (700, 2_000):
        folder = str(folder_of_small_files(count))
        commands = {
            "modelscan scan --jobs 1": [*SCAN, "scan", "--jobs", "1", folder],
            "the same without isolation": python(UNISOLATED, "scan", "--jobs", "1", folder),
            "modelscan scan": [*SCAN, "scan", folder],
            "onnx.load + checker + shape inference": python(PLAIN_LOOP, folder),
        }
        found.append(Contest(f"A folder of {count:,} small ONNX files", commands))
    return found


GROUPS: dict[str, Callable[[], list[Contest]]] = {
    "start": start,
    "keras": keras_contests,
    "tensorflow": tensorflow_contests,
    "onnx": onnx_contests,
    "folders": folder_contests,
}


def lines(contest: Contest, runs: int) -> list[str]:
    """The contest as a table, ratios to the second command."""
    figures = measure(contest.commands, runs)
    for name, one in figures.items():
        print(f"  {contest.title}: {name}: {one}", file=sys.stderr, flush=True)
    yardstick = list(figures.values())[1]
    found = [f"## {contest.title}", "", f"| | seconds | MB | × {list(figures)[1]} |", "|---|---:|---:|---:|"]
    for name, one in figures.items():
        failed = " (fails)" if one.status not in ((0, 1) if name.startswith("modelscan") else (0,)) else ""
        found.append(f"| {name}{failed} | {one.seconds:.2f} | {one.megabytes:,.0f} | {one.seconds / yardstick.seconds:.2f} |")
    return [*found, ""]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("groups", nargs="*", default=list(GROUPS))
    parser.add_argument("--runs", type=int, default=5)
    chosen = parser.parse_args()
    OUT.mkdir(parents=True, exist_ok=True)
    peers()
    text = [
        "# Benchmarks",
        "",
        "Whole processes, wall time and peak resident memory, medians, the commands of a table taking turns in one run: `make bench`. Ratios are to the second line.",
        f"Measured on {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}. Models are generated; large ones are sparse files, but for the one of which every value is read.",
        "",
    ]
    for group in chosen.groups:
        for contest in GROUPS[group]():
            text += lines(contest, chosen.runs)
    (ROOT / "docs" / "benchmarks.md").write_text("\n".join(text).rstrip() + "\n")


if __name__ == "__main__":
    main()
