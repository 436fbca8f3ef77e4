"""Networks of runs as files that run elsewhere."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spos.export.exporting import export_run
    from spos.export.predicting import Classifier, open_classifier

__all__ = ["Classifier", "export_run", "open_classifier"]

# Imported when first asked for: a prediction needs none of what makes a run.
_MODULES = {
    "Classifier": "spos.export.predicting",
    "export_run": "spos.export.exporting",
    "open_classifier": "spos.export.predicting",
}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(import_module(_MODULES[name]), name)
    raise AttributeError(f"module 'spos.export' has no attribute '{name}'")
