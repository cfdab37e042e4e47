"""Caption metrics: the numbers of the standard tools, in seconds, without Java.

Importing this costs next to nothing; numpy comes with the first score, torch only with a neural metric.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from earwitness.lazy import lazy_exports

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


__getattr__, __dir__ = lazy_exports(
    __name__,
    {
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
    },
)
