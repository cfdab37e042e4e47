"""Every fusion: same alone as in a batch, blind to padding, what it reads and what it must not read."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from earwitness import fusion
from earwitness.embeds import Embeds, length_mask
from earwitness.fusion import (
    AudioOnly,
    Concat,
    CrossAttention,
    JointEncoder,
    OtAttention,
    QFormerFusion,
    VisualOnly,
)

GOLDEN = {k: torch.from_numpy(v) for k, v in np.load(Path(__file__).parents[1] / "golden" / "ot.npz").items()}
SIZES = {"dim": 16, "dim_visual": 12}
BUILDERS = {
    "ot": lambda: OtAttention(**SIZES),
    "ot row normalised": lambda: OtAttention(**SIZES, row_normalized=True),
    "ot released": lambda: OtAttention(**SIZES, fidelity="released"),
    "cross": lambda: CrossAttention(**SIZES, heads=4),
    "joint": lambda: JointEncoder(**SIZES, heads=4),
    "concat": lambda: Concat(**SIZES),
    "q-former": lambda: QFormerFusion(**SIZES, heads=4, queries=5),
    "audio only": AudioOnly,
    "visual only": lambda: VisualOnly(**SIZES),
}


@pytest.fixture(params=BUILDERS)
def built(request) -> nn.Module:
    torch.manual_seed(0)
    module = BUILDERS[request.param]().eval()
    for parameter in module.parameters():  # small initial weights would hide a fault
        if parameter.ndim > 1:
            nn.init.normal_(parameter, std=0.3)
    return module


def tokens(seed: int = 0) -> tuple[Embeds, Embeds]:
    generator = torch.Generator().manual_seed(seed)
    audio, visual = torch.randn(3, 9, 16, generator=generator), torch.randn(3, 6, 12, generator=generator)
    return (
        Embeds(audio, length_mask(torch.tensor([9, 4, 7]), 9)),
        Embeds(visual, length_mask(torch.tensor([3, 6, 0]), 6)),
    )


def only(x: Embeds, b: int, keep: int | None = None) -> Embeds:
    return Embeds(x.values[b : b + 1, :keep], x.mask[b : b + 1, :keep])


@torch.no_grad()
def test_a_clip_alone_equals_a_clip_in_a_batch(built):
    audio, visual = tokens()
    batch = built(audio, visual)
    for b, (n, m) in enumerate(zip((9, 4, 7), (3, 6, 1))):  # the last: one padded visual token is left
        alone = built(only(audio, b, n), only(visual, b, m))
        torch.testing.assert_close(
            batch.values[b, batch.mask[b]], alone.values[0, alone.mask[0]], rtol=0, atol=2e-5
        )


@torch.no_grad()
def test_padding_is_never_read(built):
    audio, visual = tokens()
    clean = built(audio, visual)
    dirty = built(
        Embeds(audio.values.masked_fill(~audio.mask[..., None], torch.nan), audio.mask),
        Embeds(visual.values.masked_fill(~visual.mask[..., None], torch.nan), visual.mask),
    )
    assert torch.equal(dirty.mask, clean.mask)
    torch.testing.assert_close(dirty.values[dirty.mask], clean.values[clean.mask], rtol=0, atol=0)


@torch.no_grad()
def test_reads_both_modalities_in_the_same_clip_only(built):
    if isinstance(built, (Concat, AudioOnly, VisualOnly)):
        return
    audio, visual = tokens()
    before = built(audio, visual)
    for moved in (0, 1):
        changed = [audio, visual]
        values = changed[moved].values.clone()
        values[0, 0] += torch.randn(values.shape[-1], generator=torch.Generator().manual_seed(9))
        changed[moved] = Embeds(values, changed[moved].mask)
        difference = (built(*changed).values - before.values).abs().amax(2)
        assert (difference[1:][before.mask[1:]] == 0).all()
        reached = difference[0] > 1e-6
        if before.values.shape[1] == 15:  # tokens side by side: the other modality hears of it
            other = reached[9:12] if moved == 0 else reached[:9]
            assert other.all()
        else:
            assert reached.all()


def test_every_parameter_learns(built):
    if not list(built.parameters()):
        return
    audio, visual = tokens()
    y = built(audio, visual)
    if isinstance(built, OtAttention) and built.fidelity == "released":
        y = Embeds(y.values * built.logit_scale, y.mask)  # used by the loss alone
    y.values[y.mask].pow(3).sum().backward()
    idle = [name for name, p in built.named_parameters() if p.grad is None or not p.grad.any()]
    assert all(name.endswith("key.bias") for name in idle)  # softmax ignores a shift


@torch.no_grad()
def test_no_visual_tokens_at_all(built):
    audio, _ = tokens()
    fused = built(audio, Embeds.full(torch.zeros(3, 0, 12)))
    assert fused.values[fused.mask].isfinite().all()
    assert fused.values.shape[1] in (9, 5, 0)


@torch.no_grad()
def test_ot_attention_released_equals_the_released_code():
    audio, visual = Embeds.full(GOLDEN["aud"]), Embeds.full(GOLDEN["vis"])
    module = OtAttention(dim=48, fidelity="released").double()
    match = module.match(audio, visual)
    torch.testing.assert_close(match.similarity.mT, GOLDEN["sim"], rtol=0, atol=1e-12)
    torch.testing.assert_close(match.log_plan.mT, GOLDEN["logQ"], rtol=0, atol=1e-10)
    fused = module(audio, visual, match)
    torch.testing.assert_close(fused.values.float(), GOLDEN["fused"], rtol=0, atol=1e-6)
    assert torch.equal(fused.values, module(audio, visual).values)
    assert module.logit_scale.item() == pytest.approx(np.log(1 / 0.07))


@torch.no_grad()
def test_ot_attention_is_equation_5():
    audio, visual = Embeds.full(GOLDEN["aud"]), Embeds.full(GOLDEN["vis"])
    plan = GOLDEN["logQ"].mT.exp()
    fused = OtAttention(dim=48).double()(audio, visual).values
    torch.testing.assert_close(fused[:, :64], audio.values + plan @ visual.values, rtol=0, atol=1e-10)
    torch.testing.assert_close(fused[:, 64:], visual.values + plan.mT @ audio.values, rtol=0, atol=1e-10)
    assert (fused[:, :64] - audio.values).norm() / audio.values.norm() < 0.02


@torch.no_grad()
def test_row_normalised_attention_adds_a_mean():
    audio = Embeds.full(torch.randn(2, 8, 16))
    visual = Embeds(torch.ones(2, 3, 16), torch.tensor([[True, True, False], [False] * 3]))
    fused = OtAttention(dim=16, row_normalized=True)(audio, visual).values
    torch.testing.assert_close(fused[0, :8], audio.values[0] + 1)  # the mean of ones, whatever the weights
    torch.testing.assert_close(fused[1, :8], audio.values[1])


@torch.no_grad()
def test_a_clip_without_video_keeps_its_audio_tokens_under_optimal_transport():
    audio, visual = tokens()
    torch.testing.assert_close(OtAttention(**SIZES)(audio, visual).values[2, :7], audio.values[2, :7])


def test_plan_stays_in_single_precision_under_autocast():
    audio, visual = tokens()
    module = OtAttention(dim=16, dim_visual=12)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        match = module.match(audio, visual)
    assert match.similarity.dtype == match.log_plan.dtype == torch.float32
    assert match.similarity.requires_grad and not match.log_plan.requires_grad
    sums = match.log_plan[1, :4].exp().sum(1)
    torch.testing.assert_close(sums, torch.full((4,), 0.25), rtol=1e-3, atol=0)


@torch.no_grad()
def test_joint_encoder_tells_the_modalities_apart():
    module = JointEncoder(dim=16, heads=4).eval()
    x, y = Embeds.full(torch.randn(1, 4, 16)), Embeds.full(torch.randn(1, 4, 16))
    one, other = module(x, y).values, module(y, x).values
    assert not torch.allclose(one[:, :4], other[:, 4:], atol=1e-4)
    nn.init.zeros_(module.modality.weight)
    one, other = module(x, y).values, module(y, x).values
    torch.testing.assert_close(one[:, :4], other[:, 4:], rtol=0, atol=1e-5)


def test_widths_shapes_and_projection():
    audio, visual = tokens()
    assert Concat(**SIZES)(audio, visual).values.shape == (3, 15, 16)
    assert QFormerFusion(**SIZES, heads=4, queries=5)(audio, visual).values.shape == (3, 5, 16)
    assert AudioOnly()(audio, visual) is audio
    assert isinstance(Concat(dim=16, dim_visual=16).visual_projection, nn.Identity)
    assert isinstance(Concat(dim=16).visual_projection, nn.Identity)
    with pytest.raises(ValueError, match="dim 16 is not a multiple of heads 3"):
        CrossAttention(dim=16, heads=3)


def test_room_opens_without_torch():
    code = "import sys, earwitness.fusion as f; assert 'torch' not in sys.modules; print(sorted(f.__all__))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(sorted(fusion.__all__))
    assert all(getattr(fusion, name).__name__ == name for name in fusion.__all__)
