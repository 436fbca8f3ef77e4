"""Networks of runs as files that run elsewhere."""

from typing import TYPE_CHECKING

from spos._util.lazy import lazy_names

if TYPE_CHECKING:
    from spos.export.exporting import export_run
    from spos.export.predicting import Classifier, open_classifier

__all__ = ["Classifier", "export_run", "open_classifier"]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_names(__name__)
