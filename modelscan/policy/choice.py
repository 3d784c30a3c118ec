"""What a command line says about the settings, and the settings and gate that follow from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from modelscan.records import record

if TYPE_CHECKING:
    from modelscan.policy import Gate
    from modelscan.settings import Settings


@record(frozen=True, slots=True)
class Choice:
    """What the command line says about the settings: nothing but texts, numbers and lists of them."""

    overrides: Mapping[str, Any]
    file: str | None = None
    isolated: bool = False

    def settings(self) -> Settings:
        """The settings that hold, with the formulas of custom layers made known; raises `ConfigError`."""
        from modelscan.policy import teach_layers

        found = self._loaded()
        teach_layers(found)
        return found

    def _loaded(self) -> Settings:
        from modelscan import config

        return config.load(self.overrides, config=self.file, isolated=self.isolated)

    def gate(self, *, with_baseline: bool = True) -> Gate:
        """The gate of these settings; raises `ConfigError`."""
        from modelscan.policy import Gate

        return Gate(self._loaded(), with_baseline=with_baseline)

    def shown(self) -> str:
        """The settings as text; raises `ConfigError`."""
        from modelscan import config

        return config.shown(self.overrides, config=self.file, isolated=self.isolated)
