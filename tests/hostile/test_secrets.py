"""Every kind of token that the rule knows is looked for."""

import pytest

from modelscan.examine import examine
from tests.hostile.exhibit import field

BODY = "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8s9T0u1V2w3X4y5Z6a7B8c9D0e1F2"
TOKENS = [
    "AKIA" + "IOSFODNN7EXAMPL2",
    *(f"gh{kind}_" + BODY[:36] for kind in "pousr"),
    "github_pat_" + BODY[:60],
    "hf_" + "abcdefghijklmnopqrstuvwxyzABCDEFGH",
    *(f"xox{kind}-" + BODY[:24] for kind in "baprs"),
    "sk-" + BODY[:40],
    "AIza" + BODY[:35],
    "glpat-" + BODY[:20],
    "-----BEGIN RSA " + "PRIVATE KEY-----",
]


def findings(tmp_path, text):
    node = field(1, field(1, "x") + field(2, "y") + field(4, "Relu") + field(6, text))
    path = tmp_path / "m.onnx"
    path.write_bytes(field(1, 8) + field(8, field(2, 17)) + field(7, node))
    return [one for one in examine(str(path)).findings if one.name == "secret-in-metadata"]


@pytest.mark.parametrize("token", TOKENS, ids=lambda token: token[:8])
def test_a_token_is_found_among_other_text(tmp_path, token):
    found = findings(tmp_path, f"trained by nobody, key {token} was used")
    assert [token in one.message for one in found] == [False], "found, and not repeated"


@pytest.mark.parametrize("text", ["mask-" + "a" * 40, "task-b", "hf_short", "xoxo", "a certificate: -----BEGIN CERTIFICATE-----"])
def test_what_only_begins_like_one_is_none(tmp_path, text):
    assert findings(tmp_path, text) == []
