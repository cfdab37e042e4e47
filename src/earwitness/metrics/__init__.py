"""Caption metrics: the numbers of the standard tools, in seconds, without Java.

Importing this costs next to nothing; numpy comes with the first score, torch only with a neural metric.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

_HOMES = {
    "Corpus": "corpus",
    "DocumentFrequency": "cider_d",
    "MissingData": "meteor.data",
    "Report": "report",
    "Score": "corpus",
    "compare": "comparison",
    "latex_table": "report",
    "ptb_tokens": "tokenizer",
    "score": "evaluation",
    "score_files": "files.scoring",
    "write_page": "worst_cases",
}
__all__ = [
    "Corpus",
    "DocumentFrequency",
    "MissingData",
    "Report",
    "Score",
    "compare",
    "latex_table",
    "ptb_tokens",
    "score",
    "score_files",
    "write_page",
]

if TYPE_CHECKING:
    from earwitness.metrics.cider_d import DocumentFrequency
    from earwitness.metrics.comparison import compare
    from earwitness.metrics.corpus import Corpus, Score
    from earwitness.metrics.evaluation import score
    from earwitness.metrics.files.scoring import score_files
    from earwitness.metrics.meteor.data import MissingData
    from earwitness.metrics.report import Report, latex_table
    from earwitness.metrics.tokenizer import ptb_tokens
    from earwitness.metrics.worst_cases import write_page


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'earwitness.metrics' has no attribute {name!r}")
    return getattr(import_module(f"earwitness.metrics.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
