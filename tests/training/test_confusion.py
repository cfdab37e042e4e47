"""Tokens as uncertain as those of new recordings, and the stage that trains the joint space on them."""

import copy

import pytest
import torch
from safetensors.torch import load_file

from earwitness.config.errors import ConfigError
from earwitness.config.preset import Preset
from earwitness.config.stages import Losses
from earwitness.decoding.joint_space import JointSpace
from earwitness.embeds import Embeds, length_mask
from earwitness.training.confusion import confused
from earwitness.training.objective import AlignmentTask, CaptioningTask
from earwitness.training.run import train

from .conftest import losses


def test_a_clip_moves_as_a_whole_along_what_tells_others_apart():
    torch.manual_seed(0)
    values = torch.randn(6, 5, 4)
    values[..., 2:] = 0.0  # in which clips do not differ
    h_a = Embeds(values, length_mask(torch.tensor([5, 5, 3, 5, 1, 5]), 5))
    moved = confused(h_a, 2.0)
    shift = moved.values - values
    assert torch.allclose(shift, shift[:, :1].expand_as(shift), atol=1e-6)
    assert not shift[..., 2:].any() and shift[..., :2].any()
    assert torch.equal(moved.mask, h_a.mask)


def test_the_spread_of_the_shift_is_that_of_the_clips():
    """With s uniform in 0..most its square is most^2 / 3 in the mean."""
    torch.manual_seed(0)
    h_a = Embeds.full(torch.randn(4000, 1, 3) * torch.tensor([0.1, 1.0, 5.0]))
    shift = (confused(h_a, 3.0).values - h_a.values)[:, 0]
    expected = h_a.mean().std(0) * (9 / 3) ** 0.5
    assert torch.allclose(shift.std(0), expected, rtol=0.05)


def test_what_all_clips_share_does_not_move_them():
    """A shift is the difference of two clips: the mean of all cancels out, and equal clips stay."""
    torch.manual_seed(0)
    clips = torch.randn(8, 1, 3)
    torch.manual_seed(1)
    plain = confused(Embeds.full(clips), 2.0).values - clips
    torch.manual_seed(1)
    offset = confused(Embeds.full(clips + 100.0), 2.0).values - (clips + 100.0)
    assert torch.allclose(plain, offset, atol=1e-4) and plain.abs().max() > 0.1
    same = Embeds.full(torch.full((5, 2, 3), 7.0))
    assert torch.equal(confused(same, 2.0).values, same.values)


@pytest.mark.slow
def test_only_training_is_confused(clip_recipe, tmp_path):
    """What is measured after each two steps is told by tokens as they are."""
    still = {"learning_rate": 1e-12, "weight_decay": 0.0}
    plain, moved = (
        train_losses(clip_recipe(confusion=confusion, **still), tmp_path / str(confusion))
        for confusion in (0.0, 4.0)
    )
    assert moved[1] == pytest.approx(plain[1], abs=1e-4)
    assert moved[0] != pytest.approx(plain[0], abs=1e-3)


def train_losses(data, out):
    train(Preset.model_validate(data), out)
    return [list(losses(out / "0-train", name).values()) for name in ("loss/caption", "eval_caption")]


@pytest.mark.slow
def test_a_stage_trains_the_space_and_nothing_else(clip_recipe, tiny_model, tmp_path):
    data = clip_recipe(task="alignment", confusion=1.0, learning_rate=5e-3)
    data["model"]["decoding"] |= {"alignment": 1.0, "joint_space": {"dim": 16, "hidden": 24}}
    model = train(Preset.model_validate(data), tmp_path / "out")
    weights, before = model.state_dict(), tiny_model.state_dict()  # which had no space
    assert {name for name in weights if not name.startswith("space.")} == set(before)
    assert all(torch.equal(weights[name], tensor) for name, tensor in before.items())
    logged = list(losses(tmp_path / "out" / "0-train", "eval_info_nce").values())
    assert logged[-1] < logged[0]


@pytest.mark.slow
def test_captions_come_to_meet_their_teachers_vectors(clip_recipe, sentence_encoder, tmp_path):
    data = clip_recipe(
        data={"epochs": 4},
        task="alignment",
        teacher=sentence_encoder,
        losses={"sentence": 5.0},
        learning_rate=5e-3,
        evaluate_every=6,
    )
    data["model"]["decoding"] |= {"alignment": 1.0, "joint_space": {"dim": 32, "hidden": 24}}
    train(Preset.model_validate(data), tmp_path / "out")
    logged = list(losses(tmp_path / "out" / "0-train", "eval_sentence").values())
    assert logged[-1] < 0.5 * logged[0]
    data["model"]["decoding"]["joint_space"]["dim"] = 16
    with pytest.raises(
        ConfigError, match=r"stages\.0\.teacher: .* 32 wide, model\.decoding\.joint_space\.dim is not"
    ):
        train(Preset.model_validate(data), tmp_path / "other")


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"task": "alignment"}, "task alignment needs model.decoding.joint_space"),
        ({"losses": {"sentence": 1.0}}, "losses.sentence and teacher go together"),
        ({"losses": {"sentence": 1.0}, "teacher": "x"}, "teacher needs task alignment"),
        ({"task": "tagging", "confusion": 1.0}, "confusion needs task captioning or alignment"),
    ],
)
def test_what_cannot_be_is_named(clip_recipe, changes, fault):
    with pytest.raises(ValueError, match=fault):
        Preset.model_validate(clip_recipe(**changes))


def test_a_space_without_a_weight_is_refused(clip_recipe):
    data = clip_recipe()
    data["model"]["decoding"] |= {"alignment": 0.0, "joint_space": {}}
    with pytest.raises(ValueError, match="give decoding.alignment a weight"):
        Preset.model_validate(data)


@pytest.mark.slow
def test_what_one_stage_left_alone_the_next_one_trains(clip_recipe, tmp_path):
    """After the joint space the captioner, which has no use for the space: it stays, and all else moves."""
    data = clip_recipe()
    data["model"]["decoding"] |= {"alignment": 1.0, "joint_space": {"dim": 16, "hidden": 24}}
    (stage,) = data["stages"]
    data["stages"] = [stage | {"name": "space", "task": "alignment"}, stage | {"name": "words"}]
    model = train(Preset.model_validate(data), tmp_path / "out")
    before = load_file(tmp_path / "out" / "0-space" / "stage.safetensors")
    moved = {
        name
        for name, tensor in model.state_dict().items()
        if not torch.equal(tensor, before.get(name, tensor))
    }
    assert {name.partition(".")[0] for name in moved} == {"encoder", "adapter", "language_model"}


def test_a_captioner_has_nothing_to_train_that_gets_no_gradient(tiny_model):
    """Processes that train together would wait for it."""
    model = copy.deepcopy(tiny_model)
    model.space = JointSpace(model.encoder.dim, model.language_model.dim, dim=8, hidden=8, dropout=0.0)
    task = CaptioningTask(model, Losses())
    assert not any(p.requires_grad for p in model.space.parameters())
    AlignmentTask(model, Losses())
    assert {n.partition(".")[0] for n, p in model.named_parameters() if p.requires_grad} == {"space"}
    CaptioningTask(model, Losses())
    assert all(p.requires_grad for p in task.model.adapter.parameters())
