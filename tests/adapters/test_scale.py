"""Audio embeddings get the length of the language model's tokens, and keep their directions."""

from __future__ import annotations

import pytest
import torch

from earwitness.adapters.scale import Scale
from earwitness.build import build_model
from earwitness.config.model import ModelConfig
from earwitness.embeds import Embeds


def test_outputs_have_the_mean_length_of_the_table():
    table = 0.5 * torch.randn(100, 16)
    x = Embeds(20 * torch.randn(2, 5, 16), torch.ones(2, 5, dtype=torch.bool))
    scale = Scale(table)
    y = scale(x)
    assert torch.allclose(y.values.norm(dim=-1), table.norm(dim=1).mean().expand(2, 5))
    assert (
        torch.allclose(torch.cosine_similarity(y.values, x.values, dim=-1), torch.ones(2, 5))
        and y.mask is x.mask
    )
    y.values.square().sum().backward()
    assert scale.length.grad is not None and scale.length.shape == (1,)


@pytest.mark.parametrize("setting", ["table", 2.5, None])
def test_a_model_is_built_with_it(tiny_model, setting):
    data = tiny_model.config.model_dump() | {"adapter_scale": setting}
    model = build_model(ModelConfig.model_validate(data), tiny_model.language_model.tokenizer).eval()
    sound = {"waveforms": 0.1 * torch.randn(2, 8000), "lengths": torch.tensor([8000, 6000])}
    lengths = model.adapter(model.fuse(model.listen(sound), None)[0]).values.norm(dim=-1)
    own = model.language_model.token_table.norm(dim=1).mean()
    wanted = {"table": own, 2.5: torch.tensor(2.5), None: lengths}[setting]
    assert torch.allclose(lengths, wanted.detach().expand_as(lengths), rtol=1e-4)
