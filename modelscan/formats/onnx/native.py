"""The compiled part of the onnx package, operator schemas and shape inference, without the Python package around it.

`import onnx` brings numpy, protobuf's runtime and the message classes: 0.13 s and 25 MB of which nothing is used here, where messages
are read and written by hand. The compiled module stands on its own and takes bytes. It is registered under its proper name, so that
a later `import onnx` in the same process uses the same one.
"""

from __future__ import annotations

import os
import sys
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from types import ModuleType

_NAME = "onnx.onnx_cpp2py_export"


@cache
def native() -> ModuleType:
    """The compiled module; with the whole package where that cannot be avoided."""
    if "onnx" not in sys.modules and _NAME not in sys.modules:
        _load_alone()
    if _NAME in sys.modules:
        return sys.modules[_NAME]
    from onnx import onnx_cpp2py_export

    module: ModuleType = onnx_cpp2py_export
    return module


def _load_alone() -> None:
    """Load the module from its file; leaves nothing behind when that does not work."""
    package = find_spec("onnx")
    for folder in (package.submodule_search_locations or ()) if package is not None else ():
        for suffix in EXTENSION_SUFFIXES:
            path = os.path.join(folder, "onnx_cpp2py_export" + suffix)
            spec = spec_from_file_location(_NAME, path) if os.path.isfile(path) else None
            if spec is None or spec.loader is None:
                continue
            module = module_from_spec(spec)
            sys.modules[_NAME] = module
            try:
                spec.loader.exec_module(module)
                _ = module.shape_inference.infer_shapes, module.defs.has_schema, module.defs.schema_version_map
            except (ImportError, AttributeError):
                for name in [name for name in sys.modules if name.startswith(_NAME)]:
                    del sys.modules[name]
                continue
            return


@cache
def newest_opset(domain: str = "") -> int:
    """The newest version of a standard domain's operators that the installed package knows; 0 for other domains."""
    return int(native().defs.schema_version_map().get(domain, (0, 0))[1])


@cache
def knows(op: str, domain: str, version: int | None = None) -> bool:
    """Whether an operator is in the registry, at a version of its domain or at any."""
    defs = native().defs
    return bool(defs.has_schema(op, domain) if version is None else defs.has_schema(op, max(0, min(version, 1 << 30)), domain))
