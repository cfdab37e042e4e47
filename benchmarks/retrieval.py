"""Searching a datastore of captions: exact, and with FAISS where it is installed.

    python -m benchmarks retrieval [--captions 1000000] [--dim 512] [--queries 32]

Vectors are random. The baseline is one matrix product of everything and a full sort; the limit is reading the
store once at the measured bandwidth.
"""

from __future__ import annotations

import argparse

import numpy as np

from benchmarks.limits import bandwidth
from benchmarks.record import Row, report, side_by_side
from earwitness.retrieval.datastore import CaptionDatastore
from earwitness.retrieval.faiss_index import FaissIndex

K = 3


def vectors(count: int, dim: int, seed: int) -> np.ndarray:
    """Of length 1, scaled in place: a million take 2 GB once."""
    table = np.random.default_rng(seed).standard_normal((count, dim), dtype=np.float32)
    table /= np.sqrt(np.einsum("nd,nd->n", table, table))[:, None]
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--captions", type=int, default=1_000_000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--queries", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    table = vectors(options.captions, options.dim, 0)
    names = [str(i) for i in range(options.captions)]
    store = CaptionDatastore(names, names, table)
    queries = vectors(options.queries, options.dim, 1)

    def plain() -> np.ndarray:
        return np.argsort(-(queries @ table.T), 1)[:, :K]

    found = store.search(queries, K)[1]
    assert (found == plain()).all(), "the two searches differ"
    forms = {"exact": lambda: store.search(queries, K), "plain": plain}
    if FaissIndex.available():
        quick = CaptionDatastore(names, names, table, index=FaissIndex.build(table))
        forms["faiss"] = lambda: quick.search(queries, K)
    times = {name: 1000 * s / options.queries for name, s in side_by_side(options.repeats, **forms).items()}
    limit = 1000 * table.nbytes / bandwidth() / options.queries
    rows = [Row("exact search", "ms/query", times["exact"], times["plain"], limit)]
    if "faiss" in times:
        rows.append(Row("FAISS", "ms/query", times["faiss"], times["plain"]))
        hits = np.mean([np.isin(a, b).mean() for a, b in zip(quick.search(queries, K)[1], found)])
        rows.append(Row("FAISS: of the true nearest found", "share", float(hits)))
    settings = {name: getattr(options, name) for name in ("captions", "dim", "queries")}
    report("retrieval", rows, **settings)


if __name__ == "__main__":
    main()
