"""Accounting: every way in which what is stored can agree or disagree with what should be there."""

import pickle
from dataclasses import replace

import pytest

from modelscan.accounting import account, reconcile
from modelscan.assemble import assemble
from modelscan.formula import dim
from modelscan.model import Claim, Kind, Layer, Model, StoredTensor, Verdict, WeightSpec
from modelscan.report.table import View, render
from modelscan.report.text import Style
from modelscan.rules import Subject, judge
from modelscan.series import Made, Repeat, Series, parts_of

INPUTS, UNITS = dim("inputs", 128, "declared input"), dim("units", 64, "configuration: units")
DENSE = (
    WeightSpec("kernel", (INPUTS, UNITS), "float32", multiplied=True),
    WeightSpec("bias", (UNITS,), "float32"),
)


def stored(name: str, *shape: int, dtype: str = "float32", nbytes: int | None = None, **more) -> StoredTensor:
    tensor = StoredTensor(name, shape, dtype, **more)
    return replace(tensor, nbytes=4 * tensor.elements if nbytes is None else nbytes)


def dense(*tensors: StoredTensor, specs=DENSE, name: str = "dense", **more) -> Layer:
    claims = tuple(Claim(tensor, tensor.name, role=tensor.name.rsplit("/", 1)[-1]) for tensor in tensors)
    return Layer(name, name, "Dense", specs=specs, claims=claims, positions=1, **more)


KERNEL, BIAS = stored("kernel", 128, 64), stored("bias", 64)


def test_what_agrees_is_a_match_with_the_formula_and_the_cost():
    one = account(dense(KERNEL, BIAS))
    assert (one.verdict, one.parameters, one.trainable, one.non_trainable) == (Verdict.MATCH, 8_256, 8_256, 0)
    assert one.formula is not None
    assert one.formula.symbolic == "units × (inputs + 1)"
    assert (one.macs, one.nbytes) == (8_192, 4 * 8_256)


@pytest.mark.parametrize(
    ("tensors", "verdict", "words"),
    [
        ((stored("kernel", 64, 128), BIAS), Verdict.MISMATCH, "stored shape (64, 128), expected (128, 64) = (inputs, units)"),
        ((stored("kernel", 8192), BIAS), Verdict.MISMATCH, "stored shape (8192,)"),
        ((stored("kernel", 128, 64, dtype="float16", nbytes=16384), BIAS), Verdict.MISMATCH, "stored as float16, expected float32"),
        ((stored("kernel", 128, 64, nbytes=32764), BIAS), Verdict.MISMATCH, "32,764 bytes stored, 32,768 needed"),
        ((KERNEL,), Verdict.MISSING, "no stored tensor for bias, expected shape (64,)"),
        ((KERNEL, BIAS, stored("gamma", 64)), Verdict.EXTRA, "has no weight gamma"),
    ],
)
def test_every_disagreement_has_its_verdict_and_says_what_it_is(tensors, verdict, words):
    one = account(dense(*tensors))
    assert one.verdict is verdict
    assert any(words in (row.problem or "") for row in one.rows)
    assert one.parameters == 8_256  # the formula does not bend to the store


def test_an_unattested_dimension_is_read_off_the_store_and_said_to_be():
    specs = (WeightSpec("kernel", (dim("inputs", None), UNITS)), WeightSpec("bias", (UNITS,)))
    one = account(dense(KERNEL, BIAS, specs=specs))
    assert (one.verdict, one.parameters) == (Verdict.INFERRED, 8_256)


def test_two_weights_that_disagree_about_an_unattested_dimension_do_not_match():
    units = dim("units", None)
    specs = (WeightSpec("kernel", (INPUTS, units)), WeightSpec("bias", (units,)))
    assert account(dense(KERNEL, stored("bias", 32), specs=specs)).verdict is Verdict.MISMATCH


def test_a_dimension_that_is_known_but_unattested_is_inferred():
    specs = (WeightSpec("kernel", (INPUTS, dim("units", 64))),)
    assert account(dense(KERNEL, specs=specs)).verdict is Verdict.INFERRED


def test_no_parameters_and_none_stored_is_empty():
    one = account(Layer("relu", "relu", "ReLU", specs=()))
    assert (one.verdict, one.parameters, one.macs) == (Verdict.EMPTY, 0, 0)


def test_an_unknown_type_is_counted_from_the_store_and_its_split_stays_unknown():
    one = account(dense(KERNEL, BIAS, specs=None))
    assert (one.verdict, one.parameters, one.trainable) == (Verdict.UNKNOWN, 8_256, None)
    frozen = account(dense(KERNEL, BIAS, specs=None, trainable=False))
    assert (frozen.trainable, frozen.non_trainable) == (0, 8_256)


def test_what_a_file_says_of_single_weights_tells_the_split_of_an_unknown_type():
    layer = dense(KERNEL, BIAS, specs=None)
    told = [replace(claim, trainable=trained) for claim, trained in zip(layer.claims, (True, False), strict=True)]
    one = account(replace(layer, claims=tuple(told)))
    assert (one.verdict, one.trainable, one.non_trainable) == (Verdict.UNKNOWN, 8_192, 64)
    half = account(replace(layer, claims=(told[0], layer.claims[1])))
    assert (half.trainable, half.non_trainable) == (None, None)


def test_a_missing_weight_of_unknown_size_leaves_the_count_unknown():
    assert account(dense(specs=(WeightSpec("kernel", (dim("inputs", None), UNITS)),))).parameters is None


def test_an_optional_weight_may_be_absent():
    specs = (*DENSE, WeightSpec("count", (), optional=True, trainable=False))
    assert account(dense(KERNEL, BIAS, specs=specs)).parameters == 8_256
    assert account(dense(KERNEL, BIAS, stored("count"), specs=specs)).parameters == 8_257


def test_a_copy_is_checked_but_counted_once():
    layer = dense(KERNEL, BIAS)
    layer = replace(layer, claims=(*layer.claims, Claim(stored("layer/kernel", 128, 64), "x", "kernel", copy=True)))
    assert (account(layer).verdict, account(layer).parameters) == (Verdict.MATCH, 8_256)
    wrong = replace(layer, claims=(*layer.claims[:2], Claim(stored("layer/kernel", 64, 128), "x", "kernel", copy=True)))
    assert account(wrong).verdict is Verdict.MISMATCH


def test_packed_weights_count_what_is_stored_and_say_what_they_stand_for():
    packed = (
        WeightSpec("kernel", (INPUTS, dim("⌈units/2⌉", 32, "configuration: units")), "int8", logical=(INPUTS, UNITS), multiplied=True),
    )
    one = account(dense(stored("kernel", 128, 32, dtype="int8", nbytes=4096), specs=packed))
    assert (one.verdict, one.parameters, one.logical, one.macs) == (Verdict.MATCH, 4_096, 8_192, 8_192)


def test_totals_count_a_tied_weight_once_and_lose_nothing():
    table = stored("kernel", 128, 64)
    frozen = dense(stored("f/kernel", 128, 64), stored("f/bias", 64), name="frozen", trainable=False)
    adam, seed, stray = (
        stored("adam/m", 128, 64, kind=Kind.OPTIMIZER),
        stored("seed", 2, dtype="uint32", nbytes=8, kind=Kind.STATE),
        stored("stray", 3),
    )
    layers = (dense(table, BIAS, name="first"), dense(table, stored("other/bias", 64), name="second"), frozen)
    tensors = (table, BIAS, stored("other/bias", 64), *(claim.tensor for claim in frozen.claims), adam, seed, stray)
    result = reconcile(Model("keras", "keras", layers=layers, tensors=tensors))
    totals = result.totals
    assert [one.parameters for one in result.accounts] == [8_256, 8_256, 8_256]
    assert result.accounts[1].tied == 8_192
    assert (totals.total, totals.stored, totals.optimizer, totals.constants) == (2 * 8_256 + 64 + 3, 2 * 8_256 + 64 + 3, 8_192, 2)
    assert totals.explained == totals.independent == totals.stored - 3
    assert result.unclaimed == (stray,)
    assert totals.trainable is None  # nothing tells what the stray tensor is
    whole = reconcile(Model("keras", "keras", layers=layers, tensors=tensors[:-1])).totals
    assert (whole.trainable, whole.non_trainable) == (8_256 + 64, 8_256)


def test_a_container_shows_the_sum_of_what_it_holds_and_adds_nothing():
    inner = [replace(dense(stored(f"{n}/kernel", 128, 64), stored(f"{n}/bias", 64), name=n), depth=1) for n in ("a", "b")]
    layers = (Layer("outer", "outer", "Functional", container=True), *inner, dense(KERNEL, BIAS, name="after"))
    tensors = tuple(claim.tensor for layer in layers for claim in layer.claims)
    result = reconcile(Model("keras", "keras", layers=layers, tensors=tensors))
    assert [one.parameters for one in result.accounts] == [2 * 8_256, 8_256, 8_256, 8_256]
    assert result.accounts[0].verdict is Verdict.MATCH
    assert result.totals.total == 3 * 8_256


def test_what_a_container_holds_itself_is_not_lost():
    outer = replace(dense(KERNEL, name="outer", specs=None), container=True)
    inner = replace(dense(stored("a/kernel", 128, 64), stored("a/bias", 64), name="a"), depth=1)
    tensors = (KERNEL, *(claim.tensor for claim in inner.claims))
    result = reconcile(Model("keras", "keras", layers=(outer, inner), tensors=tensors))
    assert result.accounts[0].parameters == result.totals.total == 8_192 + 8_256
    assert result.totals.explained == 8_256


def test_a_tensor_cut_in_parts_is_independent_when_each_part_is():
    whole = stored("gates", 128, 64)
    guessed = replace(dim("units", 64, "neighbour"), symbols=tuple(replace(one, witness=None) for one in dim("units", 64, "x").symbols))
    layers = []
    for number, last in enumerate((dim("units", 64, "neighbour"), guessed)):
        spec = WeightSpec("kernel", (dim("inputs", 64, "activation"), last), "float32")
        claim = Claim(whole, "gates", role="kernel", seen=(64, 64), part=str(number))
        layers.append(Layer(f"part_{number}", f"part_{number}", "Dense", specs=(spec,), claims=(claim,), positions=1))
    totals = reconcile(Model("onnx", "onnx", layers=tuple(layers), tensors=(whole,))).totals
    assert (totals.total, totals.explained, totals.independent) == (8_192, 8_192, 0)
    totals = reconcile(Model("onnx", "onnx", layers=(layers[0], replace(layers[0], path="again")), tensors=(whole,))).totals
    assert totals.independent == 8_192


class Stored:
    """The columns of copies whose layers are at hand."""

    def __init__(self, copies):
        self.copies = copies

    def names(self, place):
        return [copy[place].name for copy in self.copies]

    def tensors(self, place):
        return [list(column) for column in zip(*[[claim.tensor for claim in copy[place].claims] for copy in self.copies], strict=True)]


def in_blocks(block, last, size=6):
    """Blocks of layers, those behind the third as a repeat, and a layer behind them."""
    blocks = [block(index) for index in range(size)]
    copies = blocks[3:]
    again = Repeat(tuple(blocks[1]), len(copies), lambda _, place, copy: copies[copy][place], Stored(copies))
    layers = Series((*blocks[0], *blocks[1], *blocks[2], again, last))
    tensors = tuple(dict.fromkeys(claim.tensor for layer in layers for claim in layer.claims))
    return Model("onnx", "onnx", layers=layers, tensors=tensors)


def repeating(specs=DENSE, shared=(), problem=False, nested=False, counted=True):
    """Blocks of a layer, in a container or not, and a layer behind them that takes what they share."""

    def block(index):
        held = (stored(f"block{index}/kernel", 128, 63 if problem else 64), stored(f"block{index}/bias", 64), *shared)
        layer = dense(*held, specs=specs, name=f"block{index}")
        return [Layer(f"blocks.{index}", f"blocks.{index}", "Block", container=True), replace(layer, depth=1)] if nested else [layer]

    last = dense(*shared, specs=tuple(replace(spec, counted=True) for spec in (specs or ())[2:]) if counted else specs, name="last")
    return in_blocks(block, last)


def within(inner=0):
    """A container around all blocks, or one in each block that holds what comes before the next one."""

    def block(index):
        layer = dense(stored(f"block{index}/kernel", 128, 64), stored(f"block{index}/bias", 64), name=f"block{index}")
        holder = Layer(f"c{index}", f"c{index}", "Part", container=True, depth=1)
        return [replace(layer, depth=2), replace(holder, depth=1)] if inner else [replace(layer, depth=1)]

    found = in_blocks(block, dense(stored("last/kernel", 128, 64), stored("last/bias", 64), name="last"))
    return replace(found, layers=Series((Layer("all", "all", "Stage", container=True), *found.layers.parts)))


TABLE = stored("table", 64)


@pytest.mark.parametrize(
    "model",
    [
        repeating(),
        repeating((*DENSE, WeightSpec("table", (UNITS,), "float32", counted=False)), (TABLE,)),
        repeating((*DENSE, WeightSpec("table", (UNITS,), "float32")), (TABLE,)),
        repeating((WeightSpec("kernel", (dim("inputs", None), UNITS)), DENSE[1])),
        repeating((*DENSE, WeightSpec("gamma", (UNITS,), optional=True))),
        repeating(problem=True),
        repeating(specs=None, counted=False),
        repeating(nested=True),
        within(),
        within(inner=1),
    ],
    ids=[
        "own",
        "shared, counted later",
        "shared, counted at once",
        "unattested",
        "optional",
        "disagreeing",
        "unknown",
        "in containers",
        "in one container",
        "in containers that reach into the next copy",
    ],
)
def test_layers_that_repeat_others_have_the_accounts_that_they_have_alone(model):
    whole = replace(model, layers=tuple(model.layers))
    once, each = reconcile(model), reconcile(whole)
    assert any(isinstance(part, Repeat) for part in parts_of(once.accounts)) is ("c5" not in [layer.path for layer in model.layers])
    assert once == each
    assert len(once.accounts) == len(model.layers)
    assert once.totals.total is not None
    for found in (once, each):
        report = assemble("model", 1, model, found, judge(Subject("model", (), model, found)))
        assert report == assemble("model", 1, whole, each, judge(Subject("model", (), whole, each)))
    for view in (View(), View(depth=0), View(weights=True)):
        assert render(assemble("model", 1, model, once, ()), Style(90), view) == render(
            assemble("model", 1, whole, each, ()), Style(90), view
        )


def test_what_copies_share_is_counted_with_the_one_that_brings_it():
    """The sample brings what it shares with its copies: their accounts cannot be like its own."""
    table = stored("table", 64)
    found = repeating((*DENSE, WeightSpec("table", (UNITS,), "float32")), (table,))
    tensors = tuple([one for one in found.tensors if not one.name.startswith("block0/")])
    model = replace(found, layers=Series(found.layers.parts[1:]), tensors=tensors)
    assert reconcile(model) == reconcile(replace(model, layers=tuple(model.layers)))
    assert reconcile(model).totals.total == 5 * (128 * 64 + 64) + 64


def test_a_sequence_that_is_made_when_it_is_looked_at_is_the_tuple():
    asked = []
    made = Made(lambda: asked.append(1) or ("a", "b"))
    assert not asked
    assert made == ("a", "b")
    assert made == ("a", "b")
    assert made != ("a",)
    assert (made[0], made[:1], len(made), [*made], hash(made), repr(made)) == ("a", ("a",), 2, ["a", "b"], hash(("a", "b")), "('a', 'b')")
    assert pickle.loads(pickle.dumps(made)) == ("a", "b")
    assert len(asked) == 1
