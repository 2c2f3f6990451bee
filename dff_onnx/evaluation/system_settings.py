"""What the systems of an evaluation were set to, as `figures.json` has it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def settings_by_system(systems: Any) -> dict[str, Mapping[str, Any]]:
    """The settings of each system by its name, which is empty for a plan of parts; what is no system falls away."""
    tables = [one for one in systems if isinstance(one, Mapping)] if isinstance(systems, list) else []
    return {str(one.get("name", "")): _settings(one) for one in tables}


def _settings(system: Mapping[str, Any]) -> Mapping[str, Any]:
    settings = system.get("settings")
    others = {key: value for key, value in system.items() if key not in ("name", "title", "settings")}
    return {**others, **settings} if isinstance(settings, Mapping) else others
