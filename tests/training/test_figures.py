"""What a stage computes beside its losses: tags' precision, steps, forecasts, mixtures of clips."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from earwitness.config.data import LabelData, SceneData, TextData
from earwitness.config.errors import ConfigError
from earwitness.config.preset import Preset
from earwitness.config.stages import Stage
from earwitness.embeds import Embeds, length_mask
from earwitness.training import forecast
from earwitness.training.evaluation import evaluate_task, sample_parts
from earwitness.training.inputs import scene_data
from earwitness.training.inputs.examples import MIXED_DB, Example, cropped, mixed, read_paraphrases
from earwitness.training.inputs.label_data import TagExamples
from earwitness.training.inputs.manifest_data import Draws
from earwitness.training.inputs.mixture_data import LONGEST, AgreementCollator
from earwitness.training.inputs.scene_data import SceneCollator, read_captions
from earwitness.training.inputs.stage_data import _scenes, stage_clips, stage_steps
from earwitness.training.objective import TAG_DETAIL, scene_tagging_loss
from earwitness.training.self_critical import self_critical
from earwitness.training.tag_metrics import mean_average_precision


def test_precision_is_the_mean_of_classes_with_enough_positives() -> None:
    scores = torch.tensor([[0.9, 0.1, 0.2], [0.8, 0.9, 0.5], [0.1, 0.8, 0.9], [0.2, 0.7, 0.1]])
    truth = torch.tensor([[1.0, 1.0, 0.0], [1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    first = (1 + 1 + 3 / 4) / 3
    assert mean_average_precision(scores, truth, least=3) == pytest.approx(first)
    assert mean_average_precision(scores, truth) == pytest.approx(first), "three are the least by default"
    assert mean_average_precision(scores, truth, least=1) == pytest.approx((first + 1 / 4 + 1 / 4) / 3)
    assert math.isnan(mean_average_precision(scores, truth, least=4))


class Tagger:
    """Linear tags of tokens and, by their mean, of clips."""

    def __init__(self) -> None:
        self.weight = torch.randn(4, 3)

    def tag_logits(self, h_a: Embeds) -> torch.Tensor:
        return h_a.values @ self.weight

    def clip_tag_logits(self, h_a: Embeds) -> torch.Tensor:
        return h_a.mean() @ self.weight


def test_the_loss_of_scene_tags_against_a_slow_twin() -> None:
    torch.manual_seed(0)
    h_a = Embeds(torch.randn(3, 5, 4), length_mask(torch.tensor([5, 2, 4]), 5))
    targets = (torch.rand(3, 5, 3) < 0.3).float()
    targets[2] = 0.0  # a scene of no known tag
    tagger = Tagger()
    ranking, each, every = [], [], []
    for b in range(3):
        clip = tagger.clip_tag_logits(h_a)[b]
        present = targets[b].amax(0)
        wanted = present / max(float(present.sum()), 1.0)
        ranking.append(-(wanted * clip.log_softmax(0)).sum())
        each.append(F.binary_cross_entropy_with_logits(clip, present, reduction="sum"))
        for n in range(int(h_a.mask[b].sum())):
            logits = tagger.tag_logits(h_a)[b, n]
            every.append(F.binary_cross_entropy_with_logits(logits, targets[b, n], reduction="sum"))
    expected = sum(ranking) / 3 + TAG_DETAIL * (sum(each) / 3 + sum(every) / len(every))
    assert scene_tagging_loss(tagger, h_a, targets).item() == pytest.approx(float(expected), rel=1e-5)


def stage(**values) -> Stage:
    data = {"kind": "text", "captions": ["a.txt"]}
    return Stage.model_validate({"name": "s", "task": "language", "data": data, "batch_size": 4} | values)


def test_clips_and_steps_of_a_stage(tmp_path) -> None:
    texts = tmp_path / "a.txt"
    texts.write_text("\n".join(f"caption {i}" for i in range(10)) + "\ncaption 3\n\n")
    data = TextData(kind="text", captions=[str(texts)], epochs=2.5)
    assert stage_clips(stage(data=data), None) == 25
    labels = LabelData(kind="labels", bank="b", pairs=[], captions=[str(texts)], epochs=3)
    assert stage_clips(SimpleNamespace(data=labels), None) == 30
    scenes = SceneData(kind="scenes", bank="b", captions=["c"], count=77)
    assert stage_clips(SimpleNamespace(data=scenes), None) == 77
    assert stage_steps(stage(data=data), None) == 6
    assert stage_steps(stage(data=data, accumulate=2), None) == 3
    assert stage_steps(stage(data=data), None, processes=3) == 2
    assert stage_steps(stage(data=data, batch_size=64), None) == 1
    with pytest.raises(ConfigError, match=r"25 clips in all epochs, one step takes 28 .*batch_size=1, "):
        stage_steps(stage(data=data), None, processes=7)


def test_only_training_scenes_are_masked_and_vary_in_length() -> None:
    data = {"kind": "scenes", "bank": "b", "captions": ["c"], "count": 5, "validation_count": 3}
    own = stage(task="captioning", seed=7, data=data | {"lengths": [1.0, 2.0]})
    source = SimpleNamespace(composer=lambda **options: options)
    train, validation, collate, collate_eval = _scenes(
        own, source, SimpleNamespace(compute_log_mel=None), None
    )
    assert (list(train.items), list(validation.items)) == ([0, 1, 2, 3, 4], [0, 1, 2])
    assert (collate.masks, collate.lengths) == (True, (1.0, 2.0))
    assert (collate_eval.masks, collate_eval.lengths) == (False, None)
    assert collate.composer == {"validation": False, "seed": 7} and collate_eval.composer["validation"]


def test_a_batch_of_scenes_draws_its_length_by_its_first_number(monkeypatch) -> None:
    planned = []
    composer = SimpleNamespace(seed=7, tag_set=SimpleNamespace(names=["dog"]), bank=None)
    composer.plan = lambda i, frames: planned.append((i, frames))
    shown = torch.zeros(2, 16_000), torch.zeros(2, 7, 1)
    monkeypatch.setattr(scene_data, "render", lambda *_: shown)
    collate = SceneCollator(composer, lambda *x: x, None, masks=False, lengths=(1.0, 3.0))
    for first in (4, 9, 4):
        collate([first, first + 1])
    frames = {i: int(np.random.default_rng((7, 1, i)).uniform(1.0, 3.0) * 100) for i in (4, 9)}
    assert planned == [(i + k, frames[i]) for i in (4, 9, 4) for k in (0, 1)]


def test_what_does_not_fill_a_batch_comes_last() -> None:
    """Batches are of like length: each is sorted by it, and the rest of the last group is not."""
    seconds = np.random.default_rng(0).permutation(23).astype(float)
    mixture = SimpleNamespace(seconds=lambda i: seconds[i])
    for seed in range(5):
        order = list(Draws(mixture, 5, 0)._grouped(list(range(23)), np.random.default_rng(seed)))
        assert sorted(order) == list(range(23)) and order[20:] == [20, 21, 22]
        lengths = [[seconds[i] for i in order[k : k + 5]] for k in range(0, 20, 5)]
        assert all(batch == sorted(batch) for batch in lengths)
        assert sorted(lengths) == [sorted(seconds[:20])[k : k + 5] for k in range(0, 20, 5)]


def test_captions_come_from_lines_or_a_column_each_once(tmp_path) -> None:
    table, lines = tmp_path / "a.csv", tmp_path / "b.txt"
    table.write_text("id,caption\n1, a dog barks \n2,rain falls\n3,\n")
    lines.write_text("rain falls\n\n a bell rings\n")
    assert read_captions([str(table), str(lines)]) == ["a dog barks", "rain falls", "a bell rings"]
    table.write_text("id,text\n1,a dog barks\n")
    with pytest.raises(ConfigError, match="has no column 'caption', only"):
        read_captions([str(table)])
    with pytest.raises(ConfigError, match="there is no file"):
        read_captions([str(tmp_path / "none.txt")])


def example(name: str, waveform: np.ndarray, caption: str) -> Example:
    return Example(name, waveform.astype(np.float32), caption, None, None, 5)


@pytest.mark.parametrize("length", [500, 1000, 2000])
def test_two_clips_sound_together_at_like_level(length) -> None:
    """The second one is set to the first one's level, up to MIXED_DB louder or softer."""
    rng = np.random.default_rng(0)
    one = example("one", 0.1 * rng.standard_normal(1000), "A dog barks.")
    other = example("other", 3.0 * rng.standard_normal(length), "Rain falls.")
    gains = []
    for seed in range(200):
        both = mixed(one, other, np.random.default_rng(seed))
        added = both.waveform - one.waveform
        used = other.waveform[:1000]
        share = float(added[: len(used)] @ used / (used @ used))
        assert np.allclose(added[: len(used)], share * used, atol=1e-5) and not added[len(used) :].any()
        level = np.sqrt(np.mean(one.waveform**2) / np.mean(used**2))
        gains.append(20 * np.log10(share / level))
    assert -MIXED_DB <= min(gains) < -0.9 * MIXED_DB and 0.9 * MIXED_DB < max(gains) <= MIXED_DB
    assert (both.caption, both.id, both.seed) == ("a dog barks and rain falls", "one", 5)


def test_a_mixture_beyond_full_scale_is_divided_by_its_peak() -> None:
    rng = np.random.default_rng(0)
    loud = example("loud", np.clip(rng.standard_normal(1000), -0.99, 0.99), "a")
    both = mixed(loud, loud, rng).waveform
    assert np.abs(both).max() == pytest.approx(1.0) and np.allclose(both, loud.waveform / 0.99, atol=1e-5)
    silent = mixed(loud, example("silent", np.zeros(1000), "b"), rng).waveform
    assert np.array_equal(silent, loud.waveform)


def test_a_crop_lies_anywhere_in_the_clip() -> None:
    row = SimpleNamespace(start=7.0, id="x", retrieved=None)

    def read(_, start: float, end: float, sound: bytes | None):
        return np.array([start, end]), None

    crops = [cropped(row, 30.0, 10.0, read, np.random.default_rng(i)).waveform for i in range(300)]
    starts, ends = np.array(crops).T
    assert np.allclose(ends - starts, 10.0) and 7.0 <= starts.min() < 8.0 and 26.0 < starts.max() <= 27.0
    whole = cropped(row, 4.0, 10.0, read, np.random.default_rng(0)).waveform
    assert whole.tolist() == [7.0, 11.0]


def test_paraphrases_are_joined_by_id_and_a_broken_line_is_named(tmp_path) -> None:
    file = tmp_path / "p.jsonl"
    file.write_text('{"id": "a", "captions": ["x", "..."]}\n{"id": "a", "captions": ["y"]}\n')
    assert read_paraphrases(str(file)) == {"a": ["x", "y"]}
    file.write_text('{"id": "a", "captions": ["x"]}\n{"id": "b"}\n')
    with pytest.raises(ConfigError, match="line 2: not a row"):
        read_paraphrases(str(file))
    with pytest.raises(ConfigError, match="cannot be read"):
        read_paraphrases(str(tmp_path / "none.jsonl"))


def test_examples_of_a_tag_are_drawn_by_the_square_of_their_probability() -> None:
    rows = np.array([[0.9, 0.0], [0.3, 0.0], [0.0, 0.8]], np.float32)
    examples = TagExamples(rows, ["Dog", "Rain"])
    rng = np.random.default_rng(0)
    first = [bool(np.array_equal(examples.of_tag("Dog", rng), rows[0])) for _ in range(2000)]
    assert np.mean(first) == pytest.approx(0.9, abs=0.03)  # the squares of .9 and .3 are as 9 to 1


def test_validation_clips_are_the_recordings_from_their_start() -> None:
    audio = torch.arange(400_000).to(torch.int16)
    bank = SimpleNamespace(audio=audio, start=torch.tensor([0, 1000]), samples=torch.tensor([1000, 399_000]))
    mixer = SimpleNamespace(batch=lambda number, count, seconds: torch.full((count, 10), float(number)))
    batch = AgreementCollator(bank, mixer)([(0, 0), (1, 1), (2, 7)])
    assert batch["sound"]["lengths"].tolist() == [1000, int(LONGEST * 16_000), 10]
    assert batch["kind"].tolist() == [0, 1, 2]
    samples = torch.round(batch["sound"]["waveforms"] * 32_767)
    assert torch.equal(samples[0, :1000], audio[:1000].float()) and not samples[0, 1000:].any()
    assert torch.equal(samples[1], audio[1000:161_000].float())
    assert (batch["sound"]["waveforms"][2, :10] == 7).all()


class Losses(torch.nn.Module):
    """A task whose losses are those of its batch."""

    def forward(self, **batch):
        return {"loss": batch["loss"], "each": torch.zeros(3)}


def test_an_evaluation_is_the_mean_over_batches() -> None:
    task = Losses().train()
    batches = [{"loss": torch.tensor(value)} for value in (1.0, 2.0, 6.0)]
    assert evaluate_task(task, batches, batches[0], torch.device("cpu")) == {"eval_loss": 3.0}
    assert task.training
    assert sample_parts("a dog (wanted: a cat (or two))") == ("a dog", "a cat (or two)")


class Speaker:
    """A language model that draws numbered captions and gives each token the same probability."""

    def __init__(self) -> None:
        self.drawings: list[dict] = []

    def decode(self, ids: list[int]) -> str:
        return f"reference {ids[0]}"

    def generate(self, prefix: Embeds, **options):
        self.drawings.append(options)
        count = options.get("num_return_sequences", 1)
        return [f"caption {i}" for i in range(len(prefix.values) * count)], None

    def encode_captions(self, captions: list[str]):
        ids = torch.tensor([[i % 5, 1, 2] for i in range(len(captions))])
        mask = torch.ones(len(captions), 3, dtype=torch.bool)
        mask[::2, 2] = False
        return ids, mask

    def logits_of_several(self, prefix, ids, mask):
        torch.manual_seed(0)
        return torch.randn(*ids.shape, 5)


def test_self_critical_training_weights_captions_by_their_advantage() -> None:
    prefix, ids = Embeds.full(torch.randn(2, 3, 4)), torch.tensor([[7], [8]])
    rewards = torch.tensor([[1.0, 3.0, 2.0], [0.0, 0.0, 6.0]])

    def reward(drawn, references):
        assert references == ["reference 7", "reference 8"]
        return rewards[:, : len(drawn) // 2]

    reward.samples = 3
    speaker = Speaker()
    loss = self_critical(speaker, reward, prefix, ids, training=True)
    tokens, mask = (x.view(2, 3, 3) for x in speaker.encode_captions(["x"] * 6))
    log_probs = speaker.logits_of_several(None, tokens, mask).log_softmax(-1)
    total, count = 0.0, 0
    for b in range(2):
        for k in range(3):
            advantage = rewards[b, k] - (rewards[b].sum() - rewards[b, k]) / 2  # the others' mean
            for position in range(3):
                if mask[b, k, position]:
                    total -= advantage * log_probs[b, k, position, tokens[b, k, position]]
                    count += 1
    assert loss.item() == pytest.approx(float(total) / count, rel=1e-5)
    options = speaker.drawings[-1]
    assert options["do_sample"] and options["num_return_sequences"] == 3 and options["top_k"] == 0
    assert self_critical(speaker, reward, prefix, ids, training=False).item() == pytest.approx(-0.5)
    assert "do_sample" not in speaker.drawings[-1]


def test_a_forecast_adds_up_the_steps_of_all_stages(clip_recipe, tmp_path, monkeypatch) -> None:
    """Only a dry run builds the model and times steps."""
    data = clip_recipe()
    first = data["stages"][0]
    data["stages"] = [first, first | {"name": "again", "batch_size": 8, "accumulate": 4}]
    preset = Preset.model_validate(data)
    monkeypatch.setattr(forecast, "timed_steps", lambda *_: (100.0, 3 * 2**30))
    lines = list(forecast.forecast(preset, tmp_path / "new" / "run"))
    assert [line for line in lines if line.startswith(("train", "again", "in all", "model"))] == [
        "train: 24 clips in 6 steps, validated every 2",
        "again: 24 clips in 1 steps, validated every 2; they do not fill a step: lower batch_size",
    ]
    dry = list(forecast.forecast(preset, tmp_path / "run", dry_run=True))
    assert "; 1e+02 s a step on this machine, 3.0 GB of memory, 10 min without validation" in dry[-3]
    assert dry[-1] == "in all 12 min on this machine, without validation"
    sharded = Preset.model_validate(clip_recipe(trainer={"fsdp": True}))
    wanted = "train: trainer.fsdp needs several processes: start it with torchrun"
    assert wanted in list(forecast.forecast(sharded, tmp_path / "run"))
    assert wanted not in lines
