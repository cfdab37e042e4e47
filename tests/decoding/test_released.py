"""The causal language model that counts padding, as released code trains it."""

from __future__ import annotations

import torch

from earwitness.decoding.released import ReleasedCausalLanguageModel
from earwitness.embeds import Embeds


def test_positions_count_padding_and_each_token_is_predicted_from_those_before(causal) -> None:
    model = ReleasedCausalLanguageModel(causal.model, causal.tokenizer)
    torch.manual_seed(0)
    prefix = Embeds(
        torch.randn(2, 4, 16, dtype=torch.float64), torch.tensor([[1, 1, 1, 1], [1, 0, 0, 1]]).bool()
    )
    ids, mask = model.encode_captions(["a dog barks and then", "wind blows"])
    with torch.no_grad():
        found = model.logits(prefix, ids, mask)
        assert found.shape == (*ids.shape, model.vocabulary_size)
        for b in range(2):
            filler = model.eos_id if model._unknown_id is None else model._unknown_id
            own = ids[b].masked_fill(~mask[b], filler)
            inputs = torch.cat([prefix.values[b], model.embed(own[None, :-1])[0]])[None]
            attended = torch.cat([prefix.mask[b], mask[b, :-1]])[None]
            position_ids = torch.arange(inputs.shape[1])[None]
            whole = model.model(
                inputs_embeds=inputs, attention_mask=attended.long(), position_ids=position_ids
            )
            # the last token of the prefix predicts the first one of the caption
            real = torch.cat([torch.ones(1, dtype=torch.bool), mask[b, :-1]])
            torch.testing.assert_close(found[b][real], whole.logits[0, 3:][real], atol=1e-9, rtol=0)
