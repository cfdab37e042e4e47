"""MobileNetEncoder equals EfficientAT's published network, and a plain twin of random weights."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from earwitness.config.model import ModelConfig
from earwitness.embeds import Embeds
from earwitness.encoders.audioset import audioset_classes
from earwitness.encoders.mobilenet import MobileNet, MobileNetEncoder, load_mobilenet
from earwitness.weights.errors import CheckpointError

ROOT = Path(__file__).parents[2]
TEACHER = ROOT.parent / "shared" / "teachers" / "efficientat_mn04"
GOLDEN = np.load(ROOT / "tests" / "golden" / "efficient_at.npz")
needs_teacher = pytest.mark.skipif(not TEACHER.is_dir(), reason=f"the published weights are not in {TEACHER}")

# kernel, expanded, out, squeezed, hard swish, stride: of mn04, as its authors' file has them
MN04 = [
    (3, 8, 8, 0, False, 1),
    (3, 24, 16, 0, False, 2),
    (3, 32, 16, 0, False, 1),
    (5, 32, 16, 8, False, 2),
    (5, 48, 16, 16, False, 1),
    (5, 48, 16, 16, False, 1),
    (3, 96, 32, 0, True, 2),
    (3, 80, 32, 0, True, 1),
    (3, 72, 32, 0, True, 1),
    (3, 72, 32, 0, True, 1),
    (3, 192, 48, 48, True, 1),
    (3, 272, 48, 72, True, 1),
    (5, 272, 64, 72, True, 2),
    (5, 384, 64, 96, True, 1),
    (5, 384, 64, 96, True, 1),
]


def unsettle(module: torch.nn.Module) -> None:
    """Weights and statistics that keep the signal alive, and shifts that padding would show through."""
    for child in module.modules():
        if isinstance(child, torch.nn.BatchNorm2d):
            child.running_mean.normal_(0, 0.1)
            child.running_var.uniform_(0.5, 1.5)
            child.bias.data.normal_(0, 0.5)
        elif isinstance(child, torch.nn.Conv2d | torch.nn.Linear):
            child.weight.data.normal_(0, 1.4 * child.weight[0].numel() ** -0.5)


@pytest.fixture(scope="module")
def encoder():
    torch.manual_seed(0)
    model = MobileNetEncoder(width=0.1, tags=["a", "b", "c"])
    unsettle(model)
    return model.eval()


@torch.no_grad()
def test_the_network_equals_a_plain_float64_twin():
    torch.manual_seed(1)
    network = MobileNet(width=0.4, classes=5).double().eval()
    unsettle(network)
    state = network.state_dict()

    def conv_norm(x, name, stride=1, groups=1):
        weight = state[f"{name}.0.weight"]
        x = F.conv2d(x, weight, None, stride, weight.shape[-1] // 2, groups=groups)
        norm = [state[f"{name}.1.{part}"] for part in ("running_mean", "running_var", "weight", "bias")]
        return F.batch_norm(x, *norm, eps=1e-3)

    def linear(x, name):
        return F.linear(x, state[f"{name}.weight"], state[f"{name}.bias"])

    wave = torch.randn(2, 1, 128, 70, dtype=torch.float64)
    x = F.hardswish(conv_norm(wave, "features.0", 2))
    assert x.shape[1] == 8
    for number, (kernel, expanded, out, squeezed, hard_swish, stride) in enumerate(MN04, 1):
        act = F.hardswish if hard_swish else F.relu
        y, layer = x, 0
        if expanded != x.shape[1]:
            y, layer = act(conv_norm(y, f"features.{number}.block.0")), 1
        name = f"features.{number}.block.{layer}"
        assert state[f"{name}.0.weight"].shape == (expanded, 1, kernel, kernel)
        y = act(conv_norm(y, name, stride, expanded))
        if squeezed:
            name = f"features.{number}.block.{layer + 1}.conc_se_layers.0"
            inner = F.relu(linear(y.mean((2, 3)), f"{name}.fc1"))
            assert inner.shape == (2, squeezed)
            y, layer = y * linear(inner, f"{name}.fc2").sigmoid()[:, :, None, None], layer + 1
        y = conv_norm(y, f"features.{number}.block.{layer + 1}")
        x = x + y if stride == 1 and x.shape[1] == out else y
    x = F.hardswish(conv_norm(x, "features.16"))
    logits = linear(F.hardswish(linear(x.mean((2, 3)), "classifier.2")), "classifier.5")
    ours, _ = network(wave)
    assert x.shape == (2, 384, 4, 3) and float(x.std()) > 0.01
    assert torch.allclose(ours, x, rtol=1e-9, atol=1e-9)
    assert torch.allclose(network.classifier(ours.mean((2, 3))), logits, rtol=1e-9, atol=1e-9)


@torch.no_grad()
def test_folded_norms_change_nothing():
    torch.manual_seed(2)
    network = MobileNet(width=0.1, classes=2, expansion=1.5).double().eval()
    unsettle(network)
    x = torch.randn(1, 1, 128, 64, dtype=torch.float64)
    folded, _ = network(x)
    with torch.enable_grad():
        apart, _ = network(x)
    assert apart.requires_grad and torch.allclose(folded, apart, rtol=1e-9, atol=1e-9)
    assert torch.equal(network.maps(x)[-1][0], folded)


@torch.no_grad()
def test_one_token_per_320_ms(encoder):
    h_a = encoder(torch.randn(2, 160_000) * 0.1)
    assert h_a.values.shape == (2, 32, encoder.dim) and h_a.mask.all()  # 1000 frames
    assert encoder.tag_logits(h_a).shape == (2, 32, 3)


@torch.no_grad()
@pytest.mark.parametrize("length", [1, 100, 3_000, 16_001, 40_000, 79_999])
def test_a_clip_alone_equals_a_clip_in_a_batch(encoder, length):
    waveforms = torch.randn(2, 80_000) * 0.1
    batch = encoder(waveforms, torch.tensor([length, 80_000]))  # what padding holds must not count
    alone = encoder(waveforms[:1, :length], torch.tensor([length]))
    n = alone.values.shape[1]
    assert int(batch.mask[0].sum()) == n
    assert float(alone.values.std()) > 1e-3
    assert torch.allclose(batch.values[0, :n], alone.values[0], atol=1e-4)
    assert not batch.values[0, n:].any()
    assert torch.allclose(encoder.tag_probabilities(batch)[:1], encoder.tag_probabilities(alone), atol=1e-5)
    assert torch.allclose(encoder.tag_logits(batch)[:1, :n], encoder.tag_logits(alone), atol=1e-4)


@torch.no_grad()
def test_tags_of_a_moment_are_those_around_it(encoder):
    values = torch.randn(1, 12, encoder.dim)
    changed = values.clone()
    changed[:, 0] += 1
    mask = torch.ones(1, 12, dtype=torch.bool)
    a, b = (encoder.tag_logits(Embeds(x, mask)) for x in (values, changed))
    assert ((a - b).abs().amax(-1) > 1e-6).tolist() == [[True] * 3 + [False] * 9]
    middle = encoder.clip_tag_logits(Embeds.full(values[:, 3:8]))
    assert torch.allclose(a[:, 5], middle, atol=1e-5)


@torch.no_grad()
def test_its_tags_are_those_of_audioset_unless_named():
    assert MobileNetEncoder(width=0.1).tag_names == list(audioset_classes())


def write(encoder: MobileNetEncoder, file: Path, **changes) -> Path:
    state = {k: v for k, v in (encoder.network.state_dict() | changes).items() if v is not None}
    torch.save(state, file)
    return file


@torch.no_grad()
def test_a_file_brings_its_sizes(tmp_path):
    torch.manual_seed(3)
    for width, expansion in ((0.1, 1.0), (0.4, 1.5), (1.0, 1.0)):
        encoder = MobileNetEncoder(width=width, expansion=expansion).eval()
        write(encoder, tmp_path / "mn.pt")
        loaded = load_mobilenet(tmp_path)
        wave = torch.randn(1, 8_000)
        assert torch.equal(loaded(wave).values, encoder(wave).values)


def test_every_misfit_of_a_file_is_named(encoder, tmp_path):
    file = tmp_path / "mn.pt"
    names = {"tags": encoder.tag_names}
    write(encoder, file, **{"features.3.block.0.0.weight": None, "extra": torch.zeros(1)})
    with pytest.raises(CheckpointError, match=r"mn\.pt.*missing features\.3\.block\.0\.0.*unexpected extra"):
        load_mobilenet(file, **names)
    write(encoder, file, **{"features.0.0.weight": torch.zeros(8, 1, 5, 5)})
    with pytest.raises(CheckpointError, match=r"features\.0\.0\.weight is \[8, 1, 5, 5\]"):
        load_mobilenet(file, **names)
    with pytest.raises(CheckpointError, match="3 classes: name them"):
        load_mobilenet(write(encoder, file))
    torch.save({"blocks.0": torch.zeros(1)}, file)
    with pytest.raises(CheckpointError, match="not the weights of an EfficientAT MobileNet"):
        load_mobilenet(file)


def test_a_frozen_encoder_keeps_its_statistics(encoder):
    torch.manual_seed(4)
    frozen = MobileNetEncoder(width=0.1).freeze()
    before = {k: v.clone() for k, v in frozen.state_dict().items()}
    frozen.train()
    frozen(torch.randn(2, 16_000))
    assert all(torch.equal(v, before[k]) for k, v in frozen.state_dict().items())


def config(**encoder) -> ModelConfig:
    section = {"kind": "mobilenet", **encoder}
    rest = {"adapter": [{"kind": "linear"}], "language_model": {"config": {"model_type": "gpt2"}}}
    return ModelConfig.model_validate({"encoder": section, "decoding": {"tag_guide": 1.0}, **rest})


def test_a_preset_may_name_it():
    assert config(width=0.4, expansion=1.5).encoder.sample_rate == 16_000
    with pytest.raises(ValueError, match="source has its own sizes; remove width"):
        config(source="mn.pt", width=0.4)
    with pytest.raises(ValueError, match="16000"):
        config(sample_rate=44_100)


@needs_teacher
@torch.no_grad()
def test_the_published_network_answers_as_its_authors_say():
    from earwitness.build import build_encoder

    encoder = build_encoder(config(source=str(TEACHER), sample_rate=32_000, tune="freeze")).eval()
    assert sum(p.numel() for p in encoder.parameters()) == 983_599
    h_a = encoder(torch.from_numpy(GOLDEN["clicks_wave"])[None])
    assert torch.allclose(h_a.mean()[0], torch.from_numpy(GOLDEN["clicks_features"]), atol=1e-4)
    assert torch.allclose(
        encoder.clip_tag_logits(h_a)[0], torch.from_numpy(GOLDEN["clicks_logits"]), atol=1e-4
    )
    everything = np.load(TEACHER / "golden.npz")
    for name in {key.rpartition("_")[0] for key in everything.files}:
        h_a = encoder(torch.from_numpy(everything[f"{name}_wave"])[None])
        logits = encoder.clip_tag_logits(h_a)[0].numpy()
        assert np.abs(logits - everything[f"{name}_logits"]).max() < 1e-4, name
        assert np.abs(h_a.mean()[0].numpy() - everything[f"{name}_features"]).max() < 1e-4, name


def test_a_levelled_encoder_gives_the_same_at_any_gain_and_a_plain_one_does_not():
    torch.manual_seed(0)
    waveforms = 0.1 * torch.randn(2, 9_000)
    waveforms[1, 6_000:] = 5.0  # padding must not set the level
    lengths = torch.tensor([9_000, 6_000])
    levelled = MobileNetEncoder(width=0.1, level=True).eval()
    plain = MobileNetEncoder(width=0.1).eval()
    for gain in (0.01, 3.0, 100.0):
        for encoder, alike in ((levelled, True), (plain, False)):
            with torch.no_grad():
                one, other = (
                    encoder.compute_log_mel(waveforms, lengths),
                    encoder.compute_log_mel(gain * waveforms, lengths),
                )
            assert torch.allclose(one[0][1, :, :30], other[0][1, :, :30], atol=1e-4) == alike
    silence = torch.full((1, 4_000), 1e-7)
    assert torch.equal(levelled.compute_log_mel(silence)[0], plain.compute_log_mel(silence)[0])
