import torch

from earwitness.adapters import Chain, LinearAdapter
from earwitness.embeds import Embeds


def test_each_token_is_mapped_on_its_own_and_the_mask_kept() -> None:
    adapter = LinearAdapter(dim=4, dim_llm=6)
    x = Embeds(torch.randn(2, 3, 4), torch.tensor([[True, True, False], [True, False, False]]))
    z = adapter(x)
    expected = x.values[1, 2] @ adapter.projection.weight.T + adapter.projection.bias
    torch.testing.assert_close(z.values[1, 2], expected)
    assert z.values.shape == (2, 3, 6) and torch.equal(z.mask, x.mask)


def test_a_chain_applies_its_parts_in_order_and_owns_their_parameters() -> None:
    first, second = LinearAdapter(dim=4, dim_llm=6), LinearAdapter(dim=6, dim_llm=2)
    x = Embeds.full(torch.randn(2, 3, 4))
    chain = Chain(first, second)
    torch.testing.assert_close(chain(x).values, second(first(x)).values)
    assert len(list(chain.parameters())) == 4
    assert Chain()(x) is x
