"""FIL14x: the configuration and the parts of a Keras file."""

from __future__ import annotations

from modelscan.model import Severity
from modelscan.rules.base import Rule


class MissingConfig(Rule):
    """The archive has no configuration.

    What it does:
        Reports a `.keras` archive without `config.json`.

    Why it matters:
        Nothing tells which layers the weights belong to, and Keras does not load it.

    Example:
        An archive written by hand.

    What to do:
        Save the model again with `model.save`.

    References:
        None.
    """

    code = "FIL140"
    name = "missing-config"
    severity = Severity.HIGH
    formats = ("keras",)
    help = "save the model again with `model.save`"


class MissingWeights(Rule):
    """The file has a configuration and no weights.

    What it does:
        Reports a model without its weights member, group or datasets.

    Why it matters:
        It loads with random values, or not at all.

    Example:
        A `.keras` archive without `model.weights.h5`.

    What to do:
        Save the model again with `model.save`.

    References:
        None.
    """

    code = "FIL141"
    name = "missing-weights"
    severity = Severity.HIGH
    formats = ("keras",)
    help = "save the model again with `model.save`"


class MissingShard(Rule):
    """A part of the sharded weights is not there.

    What it does:
        Compares the shards that the index names with the files beside it.

    Why it matters:
        The layers in it have no weights.

    Example:
        `model_00001.weights.h5` was not copied.

    What to do:
        Copy all shards together with their index.

    References:
        None.
    """

    code = "FIL142"
    name = "missing-shard"
    severity = Severity.HIGH
    formats = ("keras",)
    help = "copy all shards together with their index"


class MalformedJson(Rule):
    """A JSON document cannot be parsed.

    What it does:
        Parses configuration, metadata and indexes within bounds and says where parsing failed.

    Why it matters:
        The file was cut or edited.

    Example:
        A `config.json` written with single quotes.

    What to do:
        Save the model again from its source.

    References:
        RFC 8259.
    """

    code = "FIL143"
    name = "malformed-json"
    severity = Severity.HIGH
    formats = ("keras",)
    help = "save the model again from its source"


class DuplicateJsonKey(Rule):
    """A key stands twice in one JSON object.

    What it does:
        Reports objects with a repeated key.

    Why it matters:
        Readers differ in which one they take: what was checked is not what is loaded.

    Example:
        `"units": 300, "units": 3`

    What to do:
        Find out who edited the file.

    References:
        RFC 8259, section 4.
    """

    code = "FIL144"
    name = "duplicate-json-key"
    severity = Severity.MEDIUM
    formats = ("keras",)
    help = "find out who edited the file"


class MalformedConfig(Rule):
    """The configuration is not that of a model.

    What it does:
        Reports entries of the wrong type, layers that are none and calls on layers that do not exist.

    Why it matters:
        Keras fails on the file.

    Example:
        `layers` that is a text.

    What to do:
        Save the model again from its source.

    References:
        None.
    """

    code = "FIL145"
    name = "malformed-config"
    severity = Severity.HIGH
    formats = ("keras",)
    help = "save the model again from its source"


class MalformedTrainingConfig(Rule):
    """The training configuration cannot be parsed.

    What it does:
        Parses `training_config`, which holds optimizer, loss and metrics.

    Why it matters:
        The model loads only with `compile=False`.

    Example:
        A `training_config` cut in the middle.

    What to do:
        Load with `compile=False`, or save again.

    References:
        None.
    """

    code = "FIL146"
    name = "malformed-training-config"
    severity = Severity.LOW
    formats = ("keras",)
    help = "load with `compile=False`, or save again"


class InvalidHyperparameter(Rule):
    """A layer's hyperparameter is one that no such layer can have.

    What it does:
        Checks each hyperparameter that a formula needs: type, range, and whether it fits the input.

    Why it matters:
        Keras fails on the file; it was edited or damaged.

    Example:
        A Dense layer of -3 units.

    What to do:
        Save the model again from its source.

    References:
        None.
    """

    code = "FIL147"
    name = "invalid-hyperparameter"
    severity = Severity.HIGH
    formats = ("keras",)
    help = "save the model again from its source"
