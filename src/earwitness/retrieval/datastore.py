"""CaptionDatastore: captions searched by the cosine between their embeddings and those of a sound."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np

from earwitness.atomic_write import atomic_write
from earwitness.retrieval.embedders import ClapEmbedder, Embedder, embed_text, unit
from earwitness.retrieval.faiss_index import FAISS_FROM, FaissIndex

if TYPE_CHECKING:
    from numpy.typing import NDArray

_CHUNK = 65_536  # captions compared at once: 128 MB of fp32 at width 512
_PART = 4096  # captions embedded between two savings
_FORMAT = 1
_META, _ROWS, _VECTORS, _INDEX = "store.json", "captions.jsonl", "embeddings.npy", "index.faiss"


class Retrieved(NamedTuple):
    """A caption of the store, the id of the clip it belongs to, and its cosine with the query."""

    caption: str
    clip_id: str
    score: float


class CaptionDatastore:
    """Captions, the ids of their clips, and their unit embeddings [N, D], float16 or float32.

    On disk a folder: captions.jsonl, embeddings.npy (memory-mapped when loaded), store.json, and for a
    million captions and more, where FAISS is installed, index.faiss. Up to there the search is exact, by
    matrix product in numpy; with FAISS it is approximate (see FaissIndex).
    """

    def __init__(
        self,
        captions: Sequence[str],
        clip_ids: Sequence[str],
        embeddings: NDArray[np.floating],
        *,
        embedder: Embedder | None = None,
        index: FaissIndex | None = None,
    ) -> None:
        """embedder: what the captions were embedded with, and sounds must be that are looked up."""
        if not len(captions) == len(clip_ids) == len(embeddings):
            raise ValueError(
                f"{len(captions)} captions, {len(clip_ids)} clip ids and {len(embeddings)} embeddings"
            )
        self.captions = captions
        self.clip_ids = clip_ids
        self.embeddings = embeddings
        self._embedder = embedder
        self.index = index
        self._rows_of: dict[str, list[int]] = {}
        for row, clip_id in enumerate(clip_ids):
            self._rows_of.setdefault(clip_id, []).append(row)

    @property
    def embedder(self) -> Embedder:
        """What the captions were embedded with."""
        if self._embedder is None:
            raise ValueError("this datastore does not know what its captions were embedded with")
        return self._embedder

    def __len__(self) -> int:
        return len(self.captions)

    @classmethod
    def build(
        cls,
        captions: Sequence[str],
        clip_ids: Sequence[str],
        embedder: Embedder,
        *,
        dtype: str = "float32",
        kept: Path | None = None,
        progress: Callable[[int], object] = lambda count: None,
    ) -> Self:
        """Embeds the captions.

        kept: a folder for embeddings of an unfinished build, which resumes from there. progress: called with
        the number of captions embedded since its last call.
        dtype: float16 halves the store and moves a cosine by less than 0.001, but every search converts it:
        0.8 s of one core against 0.2 s for 32 queries among 200,000 captions of width 512.
        """
        if dtype not in ("float16", "float32"):
            raise ValueError(f"dtype must be float16 or float32, not {dtype!r}")
        if len(captions) != len(clip_ids):
            raise ValueError(f"{len(captions)} captions, {len(clip_ids)} clip ids")
        if not len(captions):
            raise ValueError("a datastore needs at least one caption")
        parts = []
        for start in range(0, len(captions), _PART):
            parts.append(embed_text(embedder, captions[start : start + _PART], dtype, kept))
            progress(len(parts[-1]))
        return cls(list(captions), list(clip_ids), np.concatenate(parts), embedder=embedder)

    def search(
        self, queries: NDArray[np.floating], k: int, exclude: Sequence[str | None] | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """The k nearest captions of each query, best first: cosines [Q, k] and rows of the store [Q, k].

        queries: [Q, D], of any length. exclude: for each query the id of a clip whose own captions must not
        be found (in training, the clip's), or None. Where the store has fewer than k captions to give, the
        row is -1 and the cosine -inf. Of captions with equal cosine the earlier comes first.
        """
        if k < 1:
            raise ValueError(f"k must be at least 1, not {k}")
        queries = np.asarray(queries)
        if queries.ndim != 2 or queries.shape[1] != self.embeddings.shape[1]:
            raise ValueError(f"queries must be [Q, {self.embeddings.shape[1]}], not {queries.shape}")
        queries = unit(queries)
        if exclude is not None and len(exclude) != len(queries):
            raise ValueError(f"{len(exclude)} ids to exclude for {len(queries)} queries")
        own = [self._rows_of.get(e, []) if e is not None else [] for e in exclude or [None] * len(queries)]
        if self.index is not None:
            return self._search_index(queries, k, own)
        return self._search_exactly(queries, k, own)

    def retrieve(
        self, queries: NDArray[np.floating], k: int, exclude: Sequence[str | None] | None = None
    ) -> list[list[Retrieved]]:
        """As `search`, but the captions themselves; a list is shorter where there are fewer than k."""
        found = zip(*self.search(queries, k, exclude))
        return [
            [
                Retrieved(self.captions[row], self.clip_ids[row], float(score))
                for score, row in zip(scores, rows)
                if row >= 0
            ]
            for scores, rows in found
        ]

    def save(self, folder: str | Path, *, faiss_from: int = FAISS_FROM) -> None:
        """Writes the folder; store.json last, so that an interrupted one is not taken for a store."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / _META).unlink(missing_ok=True)
        with open(folder / _ROWS, "w", encoding="utf-8") as rows:
            for clip_id, caption in zip(self.clip_ids, self.captions):
                rows.write(json.dumps({"id": clip_id, "caption": caption}, ensure_ascii=False) + "\n")
        with atomic_write(folder / _VECTORS) as file:  # the array may be a map of the very file it replaces
            np.save(file, self.embeddings)
        (folder / _INDEX).unlink(missing_ok=True)
        if len(self) >= faiss_from and FaissIndex.available():
            self.index = FaissIndex.build(self.embeddings)
            self.index.save(folder / _INDEX)
        name = "" if self._embedder is None else self._embedder.name
        meta = {"format": _FORMAT, "captions": len(self), "embedder": name}
        (folder / _META).write_text(json.dumps(meta, indent=1), encoding="utf-8")

    @classmethod
    def load(cls, folder: str | Path, embedder: Embedder | None = None, *, device: str = "cpu") -> Self:
        """Opens a saved store without reading its embeddings into memory.

        embedder: the one it will be searched with; None: the CLAP that the store names, on `device`. Raises
        ValueError if the store was built with another, or if its parts do not belong together;
        FileNotFoundError if the folder is no store.
        """
        folder = Path(folder)
        if not (folder / _META).is_file():
            raise FileNotFoundError(
                f"{folder} is no caption datastore (no {_META}); make one with `earwitness index`"
            )
        try:
            meta = json.loads((folder / _META).read_text(encoding="utf-8"))
            version, name, count = meta["format"], str(meta["embedder"]), meta["captions"]
            with open(folder / _ROWS, encoding="utf-8") as lines:
                rows = [json.loads(line) for line in lines]
            captions, clip_ids = [str(row["caption"]) for row in rows], [str(row["id"]) for row in rows]
            embeddings = np.load(folder / _VECTORS, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, KeyError, TypeError, EOFError) as error:
            raise ValueError(
                f"{folder} is damaged ({error!r}); make it anew with `earwitness index`"
            ) from None
        if version != _FORMAT:
            raise ValueError(f"{folder} has format {version}, this version reads {_FORMAT}")
        if embedder is not None and embedder.name != name:
            raise ValueError(
                f"{folder} was built with {name!r}; searching it with {embedder.name!r} would compare "
                "vectors of two different spaces"
            )
        if embeddings.ndim != 2 or not len(rows) == len(embeddings) == count:
            raise ValueError(
                f"{folder} is damaged: {len(rows)} captions, {len(embeddings)} embeddings, {count} expected"
            )
        embedder = embedder or ClapEmbedder(name, device=device)
        has_index = (folder / _INDEX).is_file() and FaissIndex.available()
        index = FaissIndex.load(folder / _INDEX) if has_index else None
        return cls(captions, clip_ids, embeddings, embedder=embedder, index=index)

    def _search_exactly(
        self, queries: NDArray[np.float32], k: int, own: list[list[int]]
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        best_scores = np.full((len(queries), k), -np.inf, dtype=np.float32)
        best_rows = np.full((len(queries), k), -1, dtype=np.int64)
        for start in range(0, len(self), _CHUNK):
            chunk = np.asarray(self.embeddings[start : start + _CHUNK], dtype=np.float32)
            scores = queries @ chunk.T  # [Q, chunk]
            for query, excluded in enumerate(own):
                scores[query, [row - start for row in excluded if 0 <= row - start < len(chunk)]] = -np.inf
            for query, row in enumerate(scores):  # after the first chunks few are better: no sorting then
                better = np.flatnonzero(row > best_scores[query, -1])
                better = better[_largest(row[better], k)]
                joined = np.concatenate([best_scores[query], row[better]])
                order = np.argsort(-joined, kind="stable")[:k]
                best_scores[query] = joined[order]
                best_rows[query] = np.concatenate([best_rows[query], better + start])[order]
        return best_scores, best_rows

    def _search_index(
        self, queries: NDArray[np.float32], k: int, own: list[list[int]]
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        assert self.index is not None
        found_scores, found_rows = self.index.search(queries, k + max(map(len, own), default=0))
        scores = np.full((len(queries), k), -np.inf, dtype=np.float32)
        rows = np.full((len(queries), k), -1, dtype=np.int64)
        wanting = []
        for query, excluded in enumerate(own):
            keep = (found_rows[query] >= 0) & ~np.isin(found_rows[query], excluded)
            count = min(k, int(keep.sum()))
            scores[query, :count] = found_scores[query][keep][:count]
            rows[query, :count] = found_rows[query][keep][:count]
            if count < k:
                wanting.append(query)
        if wanting:  # the cells looked into held too few
            exact = self._search_exactly(queries[wanting], k, [own[query] for query in wanting])
            scores[wanting], rows[wanting] = exact
        return scores, rows


def _largest(values: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    """Positions of the k largest of [N] in rising order; of equals, the first ones."""
    if len(values) <= k:
        return np.arange(len(values))
    least = np.partition(values, len(values) - k)[-k]
    candidates = np.flatnonzero(values >= least)
    return np.sort(candidates[np.argsort(-values[candidates], kind="stable")[:k]])
