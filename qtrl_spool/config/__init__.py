"""The configuration: read, merged with a patch, resolved, validated, kept in versions.

==================  ==========================================================================
module              one line
==================  ==========================================================================
``places``          what a message points at: a place in a text, and the line that it shows
``tree``            frozen mappings and lists, reached by slash paths, that know their place
``yaml12``          YAML 1.2 as physicists write it, with limits, no code ever runs
``merge``           the one pure merge of a patch, and its inverse, the difference
``quantities``      numbers with units: ``30 ns``, ``5.41 GHz``
``variables``       derived variables, and the substitution of variable names
``shapes``          what a value may be: the parts that schemas are made of
``schemas``         the lab's documents, as shapes
``validate``        every problem of a document at once, each with its place
``configuration``   `Configuration`: the documents, as written and as they count
``acquisition``     `AcquisitionSettings`: how often what is acquired
``load``            `load_config`: a folder of YAML files
``edit``            a changed value in a YAML text whose every other byte stays
``store``           `ConfigStore`: the versions of a spool's default configuration
==================  ==========================================================================

The names below are imported when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qtrl_spool.config.acquisition import AcquisitionSettings
    from qtrl_spool.config.configuration import Configuration
    from qtrl_spool.config.load import load_config
    from qtrl_spool.config.merge import diff, merged, parse_patch
    from qtrl_spool.config.store import ConfigStore
    from qtrl_spool.config.yaml12 import parse_yaml

_HOME = {
    "AcquisitionSettings": "acquisition",
    "ConfigStore": "store",
    "Configuration": "configuration",
    "diff": "merge",
    "load_config": "load",
    "merged": "merge",
    "parse_patch": "merge",
    "parse_yaml": "yaml12",
}

__all__ = [
    "AcquisitionSettings",
    "ConfigStore",
    "Configuration",
    "diff",
    "load_config",
    "merged",
    "parse_patch",
    "parse_yaml",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'qtrl_spool.config' has no attribute {name!r}")
    return getattr(import_module(f"qtrl_spool.config.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
