"""What arrives at a model scanner, line by line, and which exhibits stand for it: no threat without a file, no bad file without a threat.

`docs/threats.md` is written from this table (`python -m tests.hostile.threats`).
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from tests.hostile.exhibit import Exhibit
from tests.hostile.museum import all_exhibits

PAGE = Path(__file__).parents[2] / "docs" / "threats.md"


@dataclass(frozen=True)
class Threat:
    """One line of the table."""

    area: str
    what: str
    patterns: tuple[str, ...]
    """Names of exhibits, with `*`."""
    advisories: str = ""

    def exhibits(self) -> list[Exhibit]:
        """The bad files that stand for it."""
        return [one for one in all_exhibits() if one.rule and any(fnmatchcase(one.name, pattern) for pattern in self.patterns)]


def _table(area: str, *lines: tuple[str, str] | tuple[str, str, str]) -> tuple[Threat, ...]:
    return tuple(Threat(area, line[0], tuple(line[1].split()), *line[2:]) for line in lines)


THREATS: tuple[Threat, ...] = (
    *_table(
        "Broken, or not what it says",
        ("not a regular file: FIFO, device, socket, a link to nothing", "fifo device unix_socket dangling_link"),
        ("empty", "empty_*"),
        ("truncated", "keras_cut_at_* h5_cut_at_* onnx_cut_at_* length_past_the_end"),
        ("a Git LFS pointer", "lfs_pointer_*"),
        ("a web page, JSON or text under a model's name", "web_page_* json_text_* plain_text_*"),
        ("content of another kind than the suffix", "keras_archive_called_onnx onnx_called_keras png_* zeros_* gguf tflite safetensors"),
        ("a pickle, or an archive of them", "pickled_* pytorch_archive"),
        ("packed once more", "gzipped_h5"),
        ("bytes in front or behind", "zip_with_bytes_* hdf5_with_bytes_behind onnx_with_a_program_behind"),
        ("an archive without configuration or weights", "keras_without_* metadata_missing legacy_weights_group_gone shard_gone"),
        ("wrong checksum, encrypted or damaged members", "crc_of_* encrypted_member member_with_another_*_inside"),
        ("JSON that cannot be parsed", "config_is_no_json config_is_cut legacy_config_is_n* training_config_is_no_json"),
        ("JSON 100,000 levels deep", "config_nested_*"),
        ("JSON with duplicate keys", "config_with_duplicate_keys"),
        ("JSON of wrong types", "config_is_a_list legacy_config_is_a_number layers_are_text layer_is_a_number units_are_*"),
        ("protobuf that contradicts itself", "varint_without_end"),
        (
            "HDF5 structures that lead nowhere",
            "hdf5_group_without_signature hdf5_heap_without_end hdf5_kernel_without_* weight_names_list_* layer_names_* npz_member_*",
        ),
        ("names with control, bidirectional or invisible characters", "name_with_* node_name_* initializer_name_* function_name_*"),
    ),
    *_table(
        "Bombs",
        ("a configuration or weights that inflate to gigabytes", "config_bomb weights_bomb"),
        ("a compressed dataset that declares terabytes", "hdf5_declared_terabytes"),
        ("texts in HDF5 attributes that claim gigabytes", "hdf5_attribute_of_*"),
        ("HDF5 link cycles", "hdf5_link_cycle* hdf5_soft_link_to_itself"),
        ("millions of empty initializers", "millions_of_empty_initializers"),
        ("subgraphs nested 20,000 deep", "subgraphs_20000_deep"),
        ("operators that allocate terabytes", "allocation_*"),
        ("dimensions whose product overflows", "dims_overflow"),
        ("recursive functions", "recursive_function functions_that_call_each_other_in_turn"),
        ("functions that call functions twice, forty times over", "functions_that_double_*"),
        ("more than a protobuf message can be", "onnx_of_3_gib"),
    ),
    *_table(
        "ONNX",
        (
            "external data at an absolute path, through `..` or with a drive letter",
            "external_absolute external_climbing external_hidden_climb external_drive external_backslash",
            "CVE-2022-25882, CVE-2024-27318, CVE-2026-27489",
        ),
        (
            "external data through symbolic and hard links",
            "external_through_a_*",
            "CVE-2026-34446, CVE-2026-34447",
        ),
        ("… in attribute tensors, subgraphs and functions", "external_in_a_* external_in_an_attribute", "CVE-2025-51480"),
        ("an unknown key of external data", "external_unknown_key", "CVE-2026-34445"),
        (
            "offset or length negative, past the end, or not what the dimensions need",
            "external_offset_* external_length_* external_short_file external_without_length_*",
        ),
        ("ranges that overlap", "external_overlap"),
        ("external files that are missing or empty", "external_missing external_empty_file external_without_location external_is_a_fifo"),
        ("payloads shorter or longer than the dimensions", "raw_* typed_* no_payload int4_short int2_long data_type_lied"),
        ("unknown or undefined element types", "data_type_un*"),
        ("negative dimensions", "dims_negative"),
        ("a payload in the wrong field, or in two", "payload_in_* external_and_inside"),
        ("sparse tensors and segments that do not fit", "sparse_with_fewer_indices sparse_ind* tensor_in_segments"),
        (
            "duplicate names of initializers, values and functions; nameless ones",
            "initializer_twice value_defined_twice function_defined_twice initializer_without_a_name",
        ),
        ("cycles and unsorted nodes", "cycle unsorted"),
        ("undefined inputs and outputs", "undefined_* initializer_dropped"),
        ("no graph, no operator set, no IR version", "without_*"),
        ("unknown operators, newer operator sets", "unknown_operator opset_of_the_future operator_of_a_later_opset"),
        (
            "calls that the operator's schema does not know",
            "too_many_inputs unknown_attribute attribute_* integers_into_gemm group_that_divides_nothing",
        ),
        ("operators that run Python", "python_operator_*"),
        ("tokens and keys in texts", "token_in_* private_key_in_a_doc_string"),
        ("a signature beside the model that does not fit it", "mlflow_signature_of_*"),
        ("weights that their operators cannot use", "gemm_* conv_* batchnorm_* declared_output_lied"),
    ),
    *_table(
        "Keras",
        (
            "code in a Lambda: wrappers, nested models, functional graphs, activations, `compile_config`",
            "lambda_*",
            "CVE-2024-3660, CVE-2025-9905, CVE-2026-12481",
        ),
        ("classes and modules outside of Keras", "foreign_module_* module_in_*", "CVE-2025-1550"),
        ("functions of Keras that are no layers", "api_*", "CVE-2025-8747, CVE-2025-9906, CVE-2025-12060"),
        ("vocabularies read from a path or URL", "vocabulary_*", "CVE-2025-12058"),
        ("layers that load another SavedModel", "tfsm_layer", "CVE-2026-1462"),
        (
            "pickles: torch modules, bytes, object arrays, members",
            "torch_module bytes_in_config npz_with_objects pickle_member*",
            "CVE-2025-49655",
        ),
        (
            "HDF5 links and storage outside of the file, virtual datasets",
            "hdf5_external_* hdf5_virtual_dataset hdf5_soft_link",
            "CVE-2026-1669, CVE-2026-0897",
        ),
        ("plugin filters; object and variable-length types as weights", "hdf5_plugin_filter hdf5_object_weights hdf5_weights_of_*"),
        ("members that escape, links, duplicates, code", "member_* duplicate_config unexpected_*"),
        (
            "weights that the configuration does not ask for, and the other way round",
            "*_edited bias_* layer_* class_changed kernel_* weights_* extra_* no_groups legacy_* groups_of_* reshape_to_more_* consumer_*",
        ),
        ("graphs that name what is not there, or run in a circle", "graph_*"),
    ),
    *_table(
        "SavedModel and checkpoints",
        ("a program that is missing, empty, cut or none", "program_empty program_is_a_web_page program_cut_in_half program_gone"),
        ("an index that is missing, cut, empty or damaged", "index_* variables_gone"),
        (
            "shards that are missing, cut, empty, padded or elsewhere",
            "shard_of_a_checkpoint_* shard_with_* shard_outside_* shard_behind_* shard_is_*",
        ),
        ("weights that are not those of the checksum", "entry_with_another_checksum weight_changed_in_its_shard"),
        (
            "entries outside of their shard, over one another, of another size",
            "entry_past_* entry_inside_* entry_of_* entry_in_a_* entry_with_a_*",
        ),
        ("entries in another order than the program saves them", "weights_in_another_order_than_saved"),
        ("shape or type other than the program's", "entry_of_another_* program_of_another_shape"),
        (
            "variables without entry, entries without variable, parts missing",
            "variable_without_a_value value_without_a_variable partition_gone",
        ),
        ("files of different exports, several models in one archive", "variables_of_another_export archive_of_two_models"),
        ("assets that escape or are not there", "asset_*"),
        ("code in `keras_metadata.pb`", "lambda_in_keras_metadata"),
        (
            "operations that read files, where a signature reaches them",
            "operation_ReadFile operation_MatchingFiles operation_TextLine* operation_WholeFile* operation_in_a_called_* operation_in_the_* operation_th* operation_of*",
        ),
        ("operations that write files", "operation_WriteFile operation_PrintV2 operation_CreateSummaryFileWriter operation_in_a_branch"),
        ("operations that run Python", "operation_PyFunc operation_EagerPyFunc operation_PyFuncStateless"),
        ("operations that talk to other machines", "operation_RpcClient"),
        (
            "recursive, duplicate and undefined functions",
            "functions_that_call_each_other function_of_the_library_twice call_of_a_function_*",
        ),
        ("graphs that TensorFlow refuses: references to nothing, circles, operands that do not fit", "refused_*"),
    ),
    *_table("Values", ("NaN and infinities", "nan_in_a_* infinity_in_a_*")),
)


def page() -> str:
    """The table as documentation."""
    lines = [
        "# Threats",
        "",
        "What arrives at a model scanner, and the rules that name it. Each line has files of its own in the museum (`tests/hostile`), which",
        "a test builds, scans and holds against the exact reason. Written by `python -m tests.hostile.threats`.",
    ]
    area = ""
    for one in THREATS:
        if one.area != area:
            area = one.area
            lines += ["", f"## {area}", "", "| What | Rules | Files | Advisories |", "|---|---|---:|---|"]
        found = one.exhibits()
        rules = ", ".join(f"`{name}`" for name in sorted({str(exhibit.rule) for exhibit in found}))
        lines.append(f"| {one.what} | {rules} | {len(found)} | {one.advisories} |")
    bad = sum(1 for one in all_exhibits() if one.rule)
    lines += [
        "",
        f"{bad} bad files, and {len(all_exhibits()) - bad} legal ones with unusual content that no rule above `info` may speak of.",
        "What other scanners say of the same files: [beside other scanners](peers.md).",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    PAGE.write_text(page())
