"""Search recordings by text: find the segments whose captions or audio match a query.

    search_table("dog barking far away", Path("captions.jsonl"), 10)  # words of captions and tags (BM25)
    search_meaning("motorbike", Path("captions.jsonl"), 10, embed)  # embeddings of captions
    search_store("dog barking far away", CaptionDatastore.load("store"), 10)  # embeddings in a datastore

The clips of a datastore that are segments of recordings are named by path and time as W3C media fragments:
"film.mp4#t=12.5,20".
"""

from __future__ import annotations

import heapq
import logging
import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from earwitness.media.containers import MediaError
from earwitness.media.reading import load_audio
from earwitness.retrieval.bm25 import best, bm25_scores
from earwitness.retrieval.embedders import Embedder, kept_vectors
from earwitness.tables import Row, read_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from earwitness.retrieval.datastore import CaptionDatastore

log = logging.getLogger("earwitness")

FRAGMENT = re.compile(r"(.*)#t=(\d+(?:\.\d+)?),(\d+(?:\.\d+)?)", re.S)
RATE = 48_000  # Hz, CLAP's
PART = 64  # clips embedded between two saves
ROWS = 512  # captions embedded at once


class Found(NamedTuple):
    """score: BM25, or cosine similarity with the query. start, end: s; None where the store has none."""

    path: str
    start: float | None
    end: float | None
    caption: str
    score: float


def search_table(query: str, path: Path, count: int) -> list[Found]:
    """Return the rows of a table whose caption and tags match the query best by BM25; fewer if fewer match.

    The table is streamed twice, not loaded. Raises ValueError, OSError.
    """
    scores = bm25_scores(query, map(_words, read_rows(path)))
    ranked = best(scores, count)
    wanted = set(ranked)
    rows = {number: row for number, row in enumerate(read_rows(path)) if number in wanted}
    return [
        Found(r["path"], r["start"], r["end"], r["caption"], scores[i]) for i in ranked for r in [rows[i]]
    ]


def search_meaning(
    query: str, path: Path, count: int, embed: Callable[[Sequence[str]], NDArray[np.float32]]
) -> list[Found]:
    """Return the rows of a table whose captions are nearest to the query by cosine similarity.

    embed: N texts -> unit vectors [N, D]. The table is streamed, not loaded. Raises ValueError, OSError.
    """
    (wanted,) = embed([query])
    nearest: list[tuple[float, int, Row]] = []
    rows = enumerate(read_rows(path))
    while part := list(islice(rows, ROWS)):
        scores = embed([row["caption"] for _, row in part]) @ wanted
        ranked = [(float(score), -number, row) for score, (number, row) in zip(scores, part)]
        nearest = heapq.nlargest(count, [*nearest, *ranked], key=itemgetter(0, 1))
    return [Found(r["path"], r["start"], r["end"], r["caption"], score) for score, _, r in nearest]


def search_store(query: str, store: CaptionDatastore, count: int) -> list[Found]:
    """Return the captions, or the clips if the store was built from audio, nearest to the query."""
    (found,) = store.retrieve(store.embedder.embed_text([query]), count)
    return [Found(*place_of(each.clip_id), each.caption, each.score) for each in found]


def clip_id(row: Row) -> str:
    """Return the clip id of a table's row: its path and time as a media fragment."""
    return f"{row['path']}#t={row['start']:.10g},{row['end']:.10g}"


def place_of(name: str) -> tuple[str, float | None, float | None]:
    """Return (path, start, end) of a name by `clip_id`; of any other name (name, None, None)."""
    found = FRAGMENT.fullmatch(name)
    return (found[1], float(found[2]), float(found[3])) if found else (name, None, None)


def store_of_sounds(
    captions: Sequence[str],
    clip_ids: Sequence[str],
    embedder: Embedder,
    *,
    kept: Path | None = None,
    progress: Callable[[int], object] = lambda count: None,
) -> CaptionDatastore:
    """As `CaptionDatastore.build`, but with embeddings of the clips' audio.

    Clips that cannot be decoded are logged and skipped. Raises ValueError if none is left.
    """
    from earwitness.retrieval.datastore import CaptionDatastore

    parts = []
    for first in range(0, len(clip_ids), PART):
        embed = partial(_embed_sounds, embedder, part := clip_ids[first : first + PART])
        parts.append(kept_vectors(kept, [embedder.name, "sounds", *part], embed))
        progress(len(part))
    vectors = np.concatenate(parts)
    decoded = np.flatnonzero(~np.isnan(vectors).any(1)).tolist()
    if not decoded:
        raise ValueError("none of the clips can be decoded: check that the paths exist on this machine")
    rows = [captions[i] for i in decoded], [clip_ids[i] for i in decoded]
    return CaptionDatastore(*rows, vectors[decoded], embedder=embedder)


def _embed_sounds(embedder: Embedder, clip_ids: Sequence[str]) -> NDArray[np.float32]:
    """Return unit vectors [N, D]; NaN where a clip cannot be decoded."""
    loaded = dict(_loaded(clip_ids))
    vectors = embedder.embed_audio(list(loaded.values()), RATE)
    rows = np.full((len(clip_ids), vectors.shape[1]), np.nan, np.float32)
    rows[list(loaded)] = vectors
    return rows


def _loaded(clip_ids: Sequence[str]) -> Iterator[tuple[int, NDArray[np.float32]]]:
    for number, name in enumerate(clip_ids):
        path, start, end = place_of(name)
        try:
            yield number, load_audio(path, RATE, start=start or 0.0, end=end).waveform
        except MediaError as error:
            log.warning("%s", error)


def _words(row: Row) -> str:
    return " ".join([row["caption"], *(name for name, _ in row["tags"])])
