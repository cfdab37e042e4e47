"""The datastore against a full sort, with and without FAISS, on disk and in memory."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earwitness.retrieval import CaptionDatastore, datastore
from earwitness.retrieval.faiss_index import FaissIndex


class HashEmbedder:
    """Texts -> fixed random vectors; audio is not needed here."""

    name = "hash"

    def embed_text(self, texts):
        seeds = [zlib.crc32(text.encode()) for text in texts]
        return np.stack([np.random.default_rng(seed).standard_normal(16) for seed in seeds]).astype(
            np.float32
        )

    def embed_audio(self, waveforms, sample_rate):
        raise NotImplementedError


def random_store(count: int, seed: int = 0, dtype: str = "float32", clips: int = 7) -> CaptionDatastore:
    generator = np.random.default_rng(seed)
    vectors = generator.standard_normal((count, 8))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    clip_ids = [f"clip{i % clips}" for i in range(count)]
    return CaptionDatastore([f"caption {i}" for i in range(count)], clip_ids, vectors.astype(dtype))


def full_sort(store, queries, k, exclude):
    queries = queries / np.linalg.norm(queries, axis=1, keepdims=True)
    found = []
    for query, clip in zip(queries, exclude):
        rows = [r for r in range(len(store)) if store.clip_ids[r] != clip]
        cosines = [float(np.dot(store.embeddings[r].astype(np.float64), query)) for r in rows]
        found.append([rows[i] for i in np.argsort(cosines, kind="stable")[::-1][:k]])
    return found


@given(
    count=st.integers(1, 60),
    k=st.integers(1, 12),
    chunk=st.sampled_from([1, 3, 16, 1000]),
    seed=st.integers(0, 99),
)
@settings(max_examples=60, deadline=None)
def test_search_equals_a_full_sort_in_chunks_of_any_size(count, k, chunk, seed):
    store = random_store(count, seed)
    queries = 3 * np.random.default_rng(seed + 1).standard_normal((3, 8))
    exclude = ["clip0", None, "clip3"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datastore, "_CHUNK", chunk)
        scores, rows = store.search(queries, k, exclude)
    assert scores.shape == rows.shape == (3, k)
    for query, expected in enumerate(full_sort(store, queries, k, exclude)):
        assert [r for r in rows[query] if r >= 0] == expected
        assert (rows[query, len(expected) :] == -1).all() and (
            scores[query, len(expected) :] == -np.inf
        ).all()
        unit = queries[query] / np.linalg.norm(queries[query])
        np.testing.assert_allclose(
            scores[query, : len(expected)], store.embeddings[expected] @ unit, atol=1e-5
        )


def test_own_captions_are_left_out_and_only_they():
    store = CaptionDatastore(
        ["a dog barks", "a dog howls", "rain"], ["dog", "dog", "rain"], np.eye(3, dtype=np.float32)
    )
    query = np.array([[1.0, 0.5, 0.1]])
    assert [r.caption for r in store.retrieve(query, 2)[0]] == ["a dog barks", "a dog howls"]
    found = store.retrieve(query, 2, ["dog"])[0]
    assert [(r.caption, r.clip_id) for r in found] == [("rain", "rain")]
    assert found[0].score == pytest.approx(0.1 / np.linalg.norm(query))
    assert len(store.retrieve(query, 2, ["unknown"])[0]) == 2


def test_equal_cosines_come_in_the_order_of_the_store():
    store = CaptionDatastore(["a"] * 99, ["a"] * 99, np.ones((99, 1), dtype=np.float32))
    assert store.search(np.ones((1, 1)), 7)[1].tolist() == [list(range(7))]


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-6), ("float16", 1e-3)])
def test_build_save_load(tmp_path, dtype, tolerance):
    captions, ids = ['a dog "barks"', "pluie d'été ☔", "a dog\nbarks", ""], ["a.wav", "b.wav", "a.wav", "c"]
    store = CaptionDatastore.build(captions, ids, HashEmbedder(), dtype=dtype)
    assert store.embeddings.dtype == dtype
    norms = np.linalg.norm(store.embeddings.astype(np.float64), axis=1)
    np.testing.assert_allclose(norms, 1, atol=tolerance)
    store.save(tmp_path / "store")
    loaded = CaptionDatastore.load(tmp_path / "store", HashEmbedder())
    assert isinstance(loaded.embeddings, np.memmap) and not loaded.embeddings.flags.writeable
    assert list(loaded.captions) == captions and list(loaded.clip_ids) == ids
    query = HashEmbedder().embed_text(captions[1:2])
    (first,) = loaded.retrieve(query, 1)[0]
    assert first.caption == captions[1] and first.score == pytest.approx(1, abs=tolerance)
    assert loaded.retrieve(query, 4, ["b.wav"]) == store.retrieve(query, 4, ["b.wav"])
    loaded.save(tmp_path / "store")  # over itself, while it is mapped
    assert CaptionDatastore.load(tmp_path / "store").retrieve(query, 4) == loaded.retrieve(query, 4)


def test_faiss_takes_over_and_agrees_where_it_looks(tmp_path):
    pytest.importorskip("faiss")
    generator = np.random.default_rng(0)
    centres = generator.standard_normal((20, 16))
    vectors = np.repeat(centres, 100, 0) + 0.3 * generator.standard_normal((2000, 16))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    exact = CaptionDatastore([f"c{i}" for i in range(2000)], [f"clip{i // 5}" for i in range(2000)], vectors)
    exact.save(tmp_path, faiss_from=2000)
    assert (tmp_path / "index.faiss").is_file()
    approximate = CaptionDatastore.load(tmp_path)
    assert isinstance(approximate.index, FaissIndex)
    exact.index = None
    queries, exclude = vectors[::40], [f"clip{i // 5}" for i in range(0, 2000, 40)]
    found = approximate.search(queries, 5, exclude)
    expected = exact.search(queries, 5, exclude)
    recall = np.mean([len({*a} & {*b}) / 5 for a, b in zip(found[1], expected[1])])
    assert recall > 0.95
    np.testing.assert_allclose(found[0][:, 0], expected[0][:, 0], atol=2e-3)
    for query, rows in enumerate(found[1]):
        assert all(exact.clip_ids[row] != exclude[query] for row in rows)
    # More than a query's cells hold: searched exactly.
    everything = approximate.search(queries[:1], 1999)[1][0]
    assert len({*everything}) == 1999 and -1 not in everything
    approximate.save(tmp_path)  # below a million the index goes again
    assert not (tmp_path / "index.faiss").exists()


def test_an_interrupted_or_damaged_store_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="is no caption datastore"):
        CaptionDatastore.load(tmp_path)
    CaptionDatastore.build(["a", "b"], ["1", "2"], HashEmbedder()).save(tmp_path)
    other = HashEmbedder()
    other.name = "another"
    with pytest.raises(ValueError, match="was built with 'hash'; searching it with 'another'"):
        CaptionDatastore.load(tmp_path, other)
    (tmp_path / "captions.jsonl").write_text('{"id": "1", "caption": "a"}\n')
    with pytest.raises(ValueError, match="is damaged: 1 captions, 2 embeddings, 2 expected"):
        CaptionDatastore.load(tmp_path)
    meta = json.loads((tmp_path / "store.json").read_text())
    (tmp_path / "store.json").write_text(json.dumps(meta | {"format": 99}))
    with pytest.raises(ValueError, match="has format 99"):
        CaptionDatastore.load(tmp_path)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("store.json", "[]"),
        ("store.json", '{"format": 1}'),
        ("store.json", "{"),
        ("captions.jsonl", '{"id": "1"}\n'),
        ("captions.jsonl", "3\n"),
        ("embeddings.npy", ""),
        ("embeddings.npy", "no array"),
    ],
)
def test_whatever_lies_in_a_store_is_refused_in_words(tmp_path, file, content):
    CaptionDatastore.build(["a"], ["1"], HashEmbedder()).save(tmp_path)
    (tmp_path / file).write_text(content)
    with pytest.raises(ValueError, match=r"is damaged \(.*earwitness index"):
        CaptionDatastore.load(tmp_path)


def test_pickled_embeddings_are_never_loaded(tmp_path: Path):
    CaptionDatastore.build(["a"], ["1"], HashEmbedder()).save(tmp_path)
    np.save(tmp_path / "embeddings.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match=r"[Oo]bject|allow_pickle"):
        CaptionDatastore.load(tmp_path)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s: s.search(np.ones((1, 8)), 0), "k must be at least 1"),
        (lambda s: s.search(np.ones((1, 9)), 1), r"queries must be \[Q, 8\], not \(1, 9\)"),
        (lambda s: s.search(np.zeros((2, 8)), 1), "2 vectors have no direction"),
        (lambda s: s.search(np.full((1, 8), np.nan), 1), "1 vectors have no direction"),
        (lambda s: s.search(np.ones((2, 8)), 1, ["a"]), "1 ids to exclude for 2 queries"),
        (lambda s: CaptionDatastore(["a"], [], s.embeddings), "1 captions, 0 clip ids and 5 embeddings"),
        (lambda s: CaptionDatastore.build(["a"], ["1"], HashEmbedder(), dtype="int8"), "float16 or float32"),
        (lambda s: CaptionDatastore.build([], [], HashEmbedder()), "at least one caption"),
        (lambda s: CaptionDatastore.build(["a"], [], HashEmbedder()), "1 captions, 0 clip ids"),
    ],
)
def test_refuses(call, message):
    with pytest.raises(ValueError, match=message):
        call(random_store(5))
