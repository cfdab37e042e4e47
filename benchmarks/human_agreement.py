"""How often metrics agree with people: python -m benchmarks.human_agreement clotho_eval.json ...

The files, audiocaps_eval.json and clotho_eval.json, are in the folder dataset of
https://github.com/blmoistawinde/fense. Options of models are those of `earwitness.score`: --metrics fense
--set sbert_model=FOLDER --set error_model=FILE.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from earwitness.metrics.human_agreement import agreement_table, human_agreement, read_pairs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--metrics", default="default")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="an option of score")
    options = parser.parse_args()
    settings = dict(text.split("=", 1) for text in options.set)
    for file in options.files:
        found, missing = human_agreement(read_pairs(file), options.metrics, **settings)
        print(f"{file.name}\n\n{agreement_table(found)}")
        for name, reason in missing.items():
            print(f"{name} is left out: {reason}")


if __name__ == "__main__":
    main()
