"""An index of FAISS for stores too large to compare with every caption."""

from __future__ import annotations

import math
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

FAISS_FROM = 1_000_000  # captions; below, numpy compares with all of them in less time than a clip takes
_PROBES = 64  # cells looked into for each query
_TRAINING = 40  # training vectors per cell (FAISS wants at least 39)
_CHUNK = 65_536


class FaissIndex:
    """Inverted file of fp16 vectors under the inner product (Johnson et al. 2019).

    The vectors are sorted into about 4 sqrt(N) cells, of which each query looks into the 64 nearest: the
    search is approximate, and misses a neighbour now and then.
    """

    def __init__(self, index: Any) -> None:
        self._index = index
        index.nprobe = min(_PROBES, index.nlist)

    @staticmethod
    def available() -> bool:
        """Whether FAISS is installed (`pip install earwitness[rag]`)."""
        return find_spec("faiss") is not None

    @classmethod
    def build(cls, embeddings: NDArray[np.floating]) -> Self:
        """embeddings: unit vectors [N, D]."""
        import faiss

        count, dim = embeddings.shape
        cells = max(1, min(round(4 * math.sqrt(count)), count // _TRAINING))
        quantizer = faiss.IndexFlatIP(dim)
        index = faiss.IndexIVFScalarQuantizer(
            quantizer, dim, cells, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
        )
        sample = np.random.default_rng(0).choice(count, min(count, _TRAINING * cells), replace=False)
        index.train(np.asarray(embeddings[np.sort(sample)], dtype=np.float32))
        for start in range(0, count, _CHUNK):
            index.add(np.ascontiguousarray(embeddings[start : start + _CHUNK], dtype=np.float32))
        return cls(index)

    def search(self, queries: NDArray[np.float32], k: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Unit vectors [Q, D] -> inner products and rows [Q, k], best first; row -1 where none is found."""
        return self._index.search(np.ascontiguousarray(queries), k)

    def save(self, path: str | Path) -> None:
        import faiss

        faiss.write_index(self._index, str(path))

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Memory-mapped."""
        import faiss

        return cls(faiss.read_index(str(path), faiss.IO_FLAG_MMAP))
