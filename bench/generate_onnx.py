"""Large ONNX models for measurements, made in moments: payloads are holes of sparse files, so that gigabytes take no disk space.

    python bench/generate_onnx.py embedded OUT.onnx --gigabytes 1.9
    python bench/generate_onnx.py filled OUT.onnx --gigabytes 1.9      (no holes: other numbers in each weight)
    python bench/generate_onnx.py external OUT.onnx --gigabytes 8
    python bench/generate_onnx.py nodes OUT.onnx --count 20000
    python bench/generate_onnx.py varied OUT.onnx --count 20000
    python bench/generate_onnx.py initializers OUT.onnx --count 50000

The wire format is written by hand: the onnx package would need the payloads in memory.
"""

from __future__ import annotations

import argparse
import os
import random
from collections.abc import Iterator
from math import prod

Piece = bytes | int
"""Bytes, or a number of zero bytes that become a hole."""


def varint(value: int) -> bytes:
    out = bytearray()
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def size(pieces: list[Piece]) -> int:
    return sum(len(one) if isinstance(one, bytes) else one for one in pieces)


def message(number: int, pieces: list[Piece]) -> list[Piece]:
    return [varint(number << 3 | 2) + varint(size(pieces)), *pieces]


def text(number: int, value: str) -> bytes:
    return varint(number << 3 | 2) + varint(len(value)) + value.encode()


def integer(number: int, value: int) -> bytes:
    return varint(number << 3) + varint(value)


def tensor(name: str, shape: tuple[int, ...], payload: list[Piece]) -> list[Piece]:
    head = b"".join(integer(1, one) for one in shape) + integer(2, 1) + text(8, name)
    return message(5, [head, *payload])


def raw(nbytes: int) -> list[Piece]:
    return [varint(9 << 3 | 2) + varint(nbytes), nbytes]


def outside(location: str, offset: int, nbytes: int) -> list[Piece]:
    entries = (("location", location), ("offset", str(offset)), ("length", str(nbytes)))
    return [b"".join(b"".join(message(13, [text(1, key) + text(2, value)])) for key, value in entries) + integer(14, 1)]  # type: ignore[arg-type]


def node(op: str, inputs: list[str], output: str, name: str) -> list[Piece]:
    return message(1, [b"".join(text(1, one) for one in inputs) + text(2, output) + text(3, name) + text(4, op)])


def value(number: int, name: str, shape: tuple[int | str, ...]) -> list[Piece]:
    dims = b"".join(
        b"".join(message(1, [integer(1, one) if isinstance(one, int) else text(2, one)]))  # type: ignore[arg-type]
        for one in shape
    )
    kind = message(1, [integer(1, 1), *message(2, [dims])])
    return message(number, [text(1, name), *message(2, kind)])


def model(graph: list[Piece]) -> list[Piece]:
    opset = message(8, [text(1, "") + integer(2, 17)])
    return [integer(1, 8), text(2, "generator"), text(3, "1.0"), *opset, *message(7, graph)]


def layers(count: int, width: int) -> Iterator[tuple[str, str, str]]:
    for index in range(count):
        before = f"value_{index}" if index else "input"
        yield f"layers.{index}.weight", before, f"value_{index + 1}"


def dense_model(count: int, width: int, location: str | None = None) -> list[Piece]:
    """A chain of `count` matrix products of `width` × `width`."""
    graph: list[Piece] = []
    nbytes = width * width * 4
    for index, (name, before, after) in enumerate(layers(count, width)):
        graph += node("MatMul", [before, name], after, f"/layers.{index}/MatMul")
    graph.append(text(2, "generated"))
    for index, (name, _, _) in enumerate(layers(count, width)):
        payload = raw(nbytes) if location is None else outside(location, index * nbytes, nbytes)
        graph += tensor(name, (width, width), payload)
    graph += value(11, "input", ("N", width)) + value(12, f"value_{count}", ("N", width))
    return model(graph)


def node_model(count: int, varied: bool = False) -> list[Piece]:
    """A chain of `count` nodes: Gemm-like blocks of five operators with two small tensors each, all alike or each of another width."""
    graph: list[Piece] = []
    tensors: list[Piece] = []
    before = "input"
    draw = random.Random(count)
    widths = [draw.randrange(4, 36) if varied else 4 for _ in range(count // 5 + 2)]
    for index in range(count):
        kind, name, after = index % 5, f"/block.{index // 5}", f"v{index}"
        if kind in (0, 1):
            key = f"block.{index // 5}.{'weight' if kind == 0 else 'bias'}"
            graph += node("MatMul" if kind == 0 else "Add", [before, key], after, f"{name}/{'MatMul' if kind == 0 else 'Add'}")
            inputs, units = widths[index // 5 : index // 5 + 2]
            shape = (inputs, units) if kind == 0 else (units,)
            tensors += tensor(key, shape, raw(4 * prod(shape)))
        else:
            op = ("Relu", "Sigmoid", "Tanh")[kind - 2]
            graph += node(op, [before], after, f"{name}/{op}")
        before = after
    ends = [*value(11, "input", ("N", widths[0])), *value(12, before, ("N", widths[(count - 1) // 5 + 1]))]
    return model([*graph, text(2, "generated"), *tensors, *ends])


def convolution_model(count: int) -> list[Piece]:
    """`count` tensors: blocks of a 1 × 1 convolution and a batch normalisation, five tensors each, over 8 channels."""
    graph: list[Piece] = []
    tensors: list[Piece] = []
    before = "input"
    for index in range(count // 5):
        weights = [f"blocks.{index}.{name}" for name in ("conv.weight", "bn.weight", "bn.bias", "bn.running_mean", "bn.running_var")]
        middle, after = f"/blocks.{index}/conv/Conv_output_0", f"/blocks.{index}/bn/BatchNormalization_output_0"
        graph += node("Conv", [before, weights[0]], middle, f"/blocks.{index}/conv/Conv")
        graph += node("BatchNormalization", [middle, *weights[1:]], after, f"/blocks.{index}/bn/BatchNormalization")
        tensors += tensor(weights[0], (8, 8, 1, 1), raw(256))
        for name in weights[1:]:
            tensors += tensor(name, (8,), raw(32))
        before = after
    return model([*graph, text(2, "generated"), *tensors, *value(11, "input", ("N", 8, 16, 16)), *value(12, before, ("N", 8, 16, 16))])


def numbers(seed: int) -> bytes:
    """A mebibyte of float32 between 2^-7 and 2^-5, of either sign."""
    drawn = bytearray(random.Random(seed).randbytes(1 << 20))
    drawn[3::4] = drawn[3::4].translate(bytes(byte & 128 | 0x3C for byte in range(256)))
    return bytes(drawn)


def write(path: str, pieces: list[Piece], *, filled: bool = False) -> None:
    """Write the pieces; a number becomes a hole of the file, or that many bytes of numbers."""
    with open(path, "wb") as out:
        for place, one in enumerate(pieces):
            if isinstance(one, bytes):
                out.write(one)
            elif filled:
                times, rest = divmod(one, 1 << 20)
                drawn = numbers(place)
                out.writelines([drawn] * times)
                out.write(drawn[:rest])
            else:
                out.seek(one, os.SEEK_CUR)
        out.truncate(out.tell())


def embedded(path: str, gigabytes: float, *, filled: bool = False) -> None:
    """Weights in the file itself, 64 MiB each."""
    write(path, dense_model(round(gigabytes * 1e9 / (4096 * 4096 * 4)), 4096), filled=filled)


def external(path: str, gigabytes: float) -> None:
    """Weights in `OUT.onnx.data`."""
    count = round(gigabytes * 1e9 / (4096 * 4096 * 4))
    write(path, dense_model(count, 4096, os.path.basename(path) + ".data"))
    with open(path + ".data", "wb") as out:
        out.truncate(count * 4096 * 4096 * 4)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("kind", choices=("embedded", "filled", "external", "nodes", "varied", "initializers"))
    arguments.add_argument("path")
    arguments.add_argument("--gigabytes", type=float, default=1.9)
    arguments.add_argument("--count", type=int, default=20_000)
    given = arguments.parse_args()
    match given.kind:
        case "embedded" | "filled":
            embedded(given.path, given.gigabytes, filled=given.kind == "filled")
        case "external":
            external(given.path, given.gigabytes)
        case "nodes" | "varied":
            write(given.path, node_model(given.count, given.kind == "varied"))
        case _:
            write(given.path, convolution_model(given.count))


if __name__ == "__main__":
    main()
