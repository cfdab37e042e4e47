import torch
import torch.nn.functional as F

from earwitness.decoding.beam_choice import MeanSpace, most_aligned
from earwitness.embeds import Embeds


def test_the_candidate_that_points_where_the_sound_does_wins() -> None:
    torch.manual_seed(0)
    said = torch.randn(4, 16)
    heard = torch.stack([said[1] + 0.1 * torch.randn(16), 3 * said[2]])
    assert most_aligned(heard, said, torch.zeros(4), weight=1.0).tolist() == [1, 2]


def test_score_and_alignment_are_weighed() -> None:
    torch.manual_seed(0)
    heard, said = torch.randn(2, 16), torch.randn(4, 16)
    scores = torch.tensor([-0.2, -0.4, -1.0, -0.9])
    chosen = set()
    for weight in (0.0, 0.3, 5.0):
        expected = []
        for clip in range(2):
            rows = [2 * clip, 2 * clip + 1]
            values = [scores[r] + weight * F.cosine_similarity(heard[clip], said[r], dim=0) for r in rows]
            expected.append(rows[int(torch.stack(values).argmax())])
        assert most_aligned(heard, said, scores, weight).tolist() == expected
        chosen.add(tuple(expected))
    assert len(chosen) > 1


def test_without_a_space_of_its_own_the_means_of_embeddings_are_compared() -> None:
    """LAMB Eq. 6-9: zbar_a and zbar_t. Padding counts for nothing."""
    values = torch.randn(2, 3, 4)
    mask = torch.tensor([[True, True, True], [True, False, False]])
    mean = torch.stack([values[0].mean(0), values[1, 0]])
    z = Embeds(values, mask)
    assert torch.allclose(MeanSpace().embed_text(z), mean)
    assert torch.allclose(MeanSpace().embed_audio(Embeds.full(torch.zeros(2, 1, 9)), z), mean)
