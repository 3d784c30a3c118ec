"""The user's settings: command line over environment over the nearest configuration file over defaults."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from modelscan.errors import ConfigError
from modelscan.limits import MIB
from modelscan.settings import Settings

FILE = "modelscan.toml"
PROJECT = "pyproject.toml"
PREFIX = "MODELSCAN_"
VARIABLES = ("fail-on", "select", "ignore", "baseline", "against", "values", "jobs")
"""Keys that an environment variable can set: MODELSCAN_FAIL_ON and so on."""
DEFAULTS: Mapping[str, Any] = {
    "against": None,
    "baseline": None,
    "budget": {},
    "exclude": [],
    "fail-on": "high",
    "ignore": [],
    "jobs": None,
    "layers": {},
    "models": [],
    "per-file-ignores": {},
    "plugins": [],
    "require": {},
    "select": [],
    "suppressions": [],
    "values": False,
}
"""Every key of the file with what holds where it is not given."""
_OWN = ("CONFIG", "ISOLATED")
_PATHS = ("baseline", "against")
_PARTS = ("budget", "require")
"""Tables whose keys a later source replaces one by one."""
_MOST_BYTES = 4 * MIB


@dataclass
class _Layers:
    """What the sources say, one above the other."""

    data: dict[str, Any] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    root: str = "."
    source: str | None = None

    def put(self, key: str, value: Any, origin: str) -> None:
        """A source's word on one key, over whatever was there."""
        if key in _PARTS and isinstance(value, Mapping) and isinstance(self.data.get(key), Mapping):
            value = {**self.data[key], **value}
        self.data[key] = value
        self.origins[key] = origin


def load(
    overrides: Mapping[str, Any] | None = None,
    *,
    config: str | None = None,
    isolated: bool = False,
    environment: Mapping[str, str] | None = None,
    folder: str = ".",
) -> Settings:
    """The settings that hold.

    Args:
        overrides: keys as in the file that the command line sets; None values are left out.
        config: the configuration file to read instead of the nearest one.
        isolated: read no configuration file at all.
        environment: the environment variables; `os.environ` when None.
        folder: where the search for the nearest file begins.

    Raises:
        ConfigError: something in any of the sources cannot be used, or `config` comes together with `isolated`.
    """
    merged = _merged(overrides or {}, config, isolated, os.environ if environment is None else environment, folder)
    return _settings(merged)


def shown(
    overrides: Mapping[str, Any] | None = None,
    *,
    config: str | None = None,
    isolated: bool = False,
    environment: Mapping[str, str] | None = None,
    folder: str = ".",
) -> str:
    """The settings that hold as TOML, each with where it comes from; arguments as for `load`."""
    merged = _merged(overrides or {}, config, isolated, os.environ if environment is None else environment, folder)
    from modelscan.tables import toml, toml_key

    _settings(merged)
    lines = [f"# configuration file: {merged.source or 'none'}"]
    for key in sorted({*DEFAULTS, *merged.data}):
        value = merged.data.get(key, DEFAULTS.get(key))
        origin = merged.origins.get(key, "default")
        lines.append(f"# {key} is not set" if value is None else f"{toml_key(key)} = {toml(value)}  # {origin}")
    return "\n".join(lines)


def _settings(merged: _Layers) -> Settings:
    """The settings of the merged sources; without a word from any of them the defaults, for which no table need be taken apart."""
    if not merged.data:
        return Settings(root=merged.root, source=merged.source)
    from modelscan.settingsfile import settings_of

    return settings_of(merged.data, merged.origins, root=merged.root, source=merged.source)


def _merged(overrides: Mapping[str, Any], config: str | None, isolated: bool, variables: Mapping[str, str], folder: str) -> _Layers:
    """The sources, one above the other."""
    _check_variables(variables)
    variable_file = variables.get(f"{PREFIX}CONFIG") or None
    variable_isolated = _truth(variables.get(f"{PREFIX}ISOLATED", ""), f"{PREFIX}ISOLATED")
    if (config and isolated) or (variable_file and variable_isolated and not config and not isolated):
        place = ("--config", "--isolated") if config else (f"{PREFIX}CONFIG", f"{PREFIX}ISOLATED")
        raise ConfigError(f"{place[0]} {config or variable_file} and {place[1]}: read this settings file, or none?")
    if not config and not isolated:  # an option comes before a variable, whichever of the two it is
        config, isolated = variable_file, variable_isolated
    merged = _Layers(root=folder, source=None if isolated else config or nearest(folder))
    if merged.source is not None:
        merged.root = os.path.dirname(merged.source) or "."
        for key, value in read(merged.source).items():
            merged.put(key, _below(merged.root, key, value), merged.source)
    for key in VARIABLES:
        name = variable(key)
        if variables.get(name):
            merged.put(key, _from_variable(key, variables[name], name), name)
    for key, value in overrides.items():
        if value is not None:
            merged.put(key, value, f"--{key}")
    return merged


def nearest(folder: str = ".") -> str | None:
    """The configuration file of the folder or of the nearest one above it, up to the root of the repository.

    The search goes up from where the command runs, never from the scanned files: who delivers a model must not bring the
    rules by which it is judged.
    """
    here = folder
    while True:
        own, project = (os.path.normpath(os.path.join(here, name)) for name in (FILE, PROJECT))
        if _is_there(own):
            return own
        if _is_there(project) and _section(project) is not None:
            return project
        above = os.path.join(here, os.pardir)
        try:
            top = os.path.lexists(os.path.join(here, ".git")) or os.path.realpath(above) == os.path.realpath(here)
        except OSError as error:  # the folder was removed under the shell that stands in it
            raise ConfigError(f"no settings file can be looked for where this runs: {error.strerror}; --isolated looks for none") from error
        if top:
            return None
        here = above


def _is_there(path: str) -> bool:
    """Whether there is such a file; one that cannot be opened is an error, not the absence of settings."""
    if not os.path.lexists(path):
        return False
    try:
        regular = stat.S_ISREG(os.stat(path).st_mode)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    if not regular:
        raise ConfigError(f"{path}: a settings file has to be a regular file")
    return True


def read(path: str) -> dict[str, Any]:
    """The tables of a configuration file; raises `ConfigError`."""
    if os.path.basename(path) == PROJECT:
        section = _section(path)
        if section is None:
            raise ConfigError(f"{path}: there is no [tool.modelscan]")
        return section
    return _toml(path)


def variable(key: str) -> str:
    """The environment variable of a key."""
    return PREFIX + key.upper().replace("-", "_")


def _section(path: str) -> dict[str, Any] | None:
    tool = _toml(path).get("tool")
    section = tool.get("modelscan") if isinstance(tool, dict) else None
    if section is not None and not isinstance(section, dict):
        raise ConfigError(f"{path}: tool.modelscan is no table")
    return section


def _toml(path: str) -> dict[str, Any]:
    import tomllib

    try:
        with open(path, "rb") as file:
            data = file.read(_MOST_BYTES + 1)
        if len(data) > _MOST_BYTES:
            raise ConfigError(f"{path}: larger than {_MOST_BYTES // MIB} MiB")
        return tomllib.loads(data.decode("utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"{path}: no valid TOML: {error}") from error


def _below(root: str, key: str, value: Any) -> Any:
    """Paths in a file count from the file's folder."""
    if key in _PATHS and isinstance(value, str):
        return os.path.normpath(os.path.join(root, value))
    if key == "models" and isinstance(value, list):
        return [{k: _below(root, k, v) for k, v in one.items()} if isinstance(one, dict) else one for one in value]
    return value


def _from_variable(key: str, text: str, name: str) -> Any:
    """A variable's text as the file would have it."""
    if key == "fail-on":
        return thresholds_of(text.split(","), name)
    if key in ("select", "ignore"):
        return [one.strip() for one in text.split(",") if one.strip()]
    if key == "values":
        return _truth(text, name)
    if key == "jobs":
        if not text.strip().isdecimal():
            raise ConfigError(f"{name}: {text!r} is no number")
        return int(text)
    return text


def thresholds_of(words: list[str], place: str) -> dict[str, str]:
    """`high`, `SEC=medium` … as the table `fail-on`."""
    found: dict[str, str] = {}
    for word in words:
        family, equals, level = word.strip().rpartition("=")
        key = family.strip().upper() if equals else "default"
        if key in found:
            raise ConfigError(f"{place}: {'two thresholds' if key == 'default' else f'two thresholds for {key}'}")
        found[key] = level.strip().lower()
    return found


def _truth(text: str, name: str) -> bool:
    if text.strip().lower() in ("", "0", "false", "no", "off"):
        return False
    if text.strip().lower() in ("1", "true", "yes", "on"):
        return True
    raise ConfigError(f"{name}: expected 1 or 0, not {text!r}")


def _check_variables(variables: Mapping[str, str]) -> None:
    """A variable that looks like a misspelt one of ours is an error; others with the prefix may be somebody else's."""
    known = [*(variable(key) for key in VARIABLES), *(PREFIX + name for name in _OWN)]
    for name in sorted(variables):
        if name.startswith(PREFIX) and name not in known:
            plain = name.replace("_", "")
            alike = [one for one in known if one.replace("_", "") == plain]
            if alike:
                from modelscan.tables import suggestion

                raise ConfigError(f"{name}: there is no such variable{suggestion(name, alike)}")
