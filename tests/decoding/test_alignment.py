import torch
import torch.nn.functional as F

from earwitness.decoding import CausalLanguageModel
from earwitness.decoding.alignment import most_aligned

TEXTS = ["a dog barks", "the cat", "a cat and the dog", "a dog"]


def mean_embedding(causal: CausalLanguageModel, text: str) -> torch.Tensor:
    ids, _ = causal.encode_captions([text])
    return causal.embed(ids)[0].mean(0)


def test_the_candidate_whose_mean_embedding_points_where_the_sound_does_wins(causal) -> None:
    zbar = torch.stack([mean_embedding(causal, TEXTS[1]), 3 * mean_embedding(causal, TEXTS[2])])
    rows = most_aligned(causal, zbar, TEXTS, torch.zeros(4), weight=1.0)
    assert rows.tolist() == [1, 2]


def test_score_and_alignment_are_weighed(causal) -> None:
    torch.manual_seed(0)
    zbar = torch.randn(2, 16, dtype=mean_embedding(causal, "a").dtype)
    scores = torch.tensor([-0.2, -0.4, -1.0, -0.9])
    for weight in (0.0, 0.3, 5.0):
        expected = []
        for clip in range(2):
            rows = [2 * clip, 2 * clip + 1]
            values = [
                scores[r] + weight * F.cosine_similarity(zbar[clip], mean_embedding(causal, TEXTS[r]), dim=0)
                for r in rows
            ]
            expected.append(rows[int(torch.stack(values).argmax())])
        assert most_aligned(causal, zbar, TEXTS, scores, weight).tolist() == expected
