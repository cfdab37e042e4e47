"""Two processes with half a batch each compute what one computes from the whole batch."""

from __future__ import annotations

import copy
import multiprocessing
import socket
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from earwitness.config.stages import Losses
from earwitness.losses.cauchy_schwarz import cauchy_schwarz_divergence
from earwitness.losses.gathered import gather_batch, share
from earwitness.losses.info_nce import info_nce
from earwitness.training.objective import CaptioningTask
from earwitness.training.reward import RetrievalReward

CAPTIONS = [
    "a dog barks",
    "rain falls on a roof and wind blows",
    "music plays",
    "a bird sings then an engine idles",
]
WEIGHTS = Losses(guided_caption=0.5, cs_global=0.3, cs_token=0.2, info_nce=0.4)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def in_two_processes(work: Any, *args: Any) -> list[Any]:
    """work(rank, *args) in two forked processes joined by gloo; what each returned, in order of rank."""
    context = multiprocessing.get_context("fork")
    port, answers = free_port(), [context.Pipe(duplex=False) for _ in range(2)]

    def run(rank: int) -> None:
        torch.set_num_threads(1)
        address = f"tcp://127.0.0.1:{port}"
        dist.init_process_group("gloo", init_method=address, rank=rank, world_size=2)
        answers[rank][1].send(work(rank, *args))
        dist.destroy_process_group()

    processes = [context.Process(target=run, args=(rank,)) for rank in range(2)]
    for process in processes:
        process.start()
    found = []
    for process, (receive, _) in zip(processes, answers):
        assert receive.poll(120), "no answer"
        found.append(receive.recv())
        process.join(60)
        assert process.exitcode == 0
    return found


def contrast(rank: int, audio: torch.Tensor, text: torch.Tensor) -> tuple[Any, ...]:
    """Loss on the gathered batch, and the gradient averaged over processes as DDP does it."""
    half = slice(4 * rank, 4 * rank + 4)
    weight = torch.eye(6, requires_grad=True)
    a, t = gather_batch(audio[half] @ weight), gather_batch(text[half] @ weight)
    loss = cauchy_schwarz_divergence(a, t) + info_nce(a, t)
    loss.backward()
    dist.all_reduce(weight.grad)
    with torch.no_grad():
        alone = gather_batch(audio[half])
    return loss.item(), (weight.grad / 2).numpy(), len(alone), share(torch.tensor(3 + 2 * rank)).item()


def test_global_losses_reach_every_process_with_their_gradient():
    generator = torch.Generator().manual_seed(0)
    audio, text = (torch.randn(8, 6, generator=generator) for _ in range(2))
    weight = torch.eye(6, requires_grad=True)
    whole = cauchy_schwarz_divergence(audio @ weight, text @ weight) + info_nce(audio @ weight, text @ weight)
    whole.backward()
    for rank, (loss, gradient, alone, own) in enumerate(in_two_processes(contrast, audio, text)):
        assert loss == pytest.approx(whole.item(), abs=1e-6)
        torch.testing.assert_close(torch.from_numpy(gradient), weight.grad, rtol=0, atol=1e-6)
        assert alone == 4 and own == pytest.approx((3 + 2 * rank) / 4)


def letters(texts: Sequence[str]) -> np.ndarray:
    """Texts of like letters have like vectors."""
    counts = np.array([[text.count(letter) for letter in "abdefgiklmnorstuw"] for text in texts]) + 0.1
    return counts / np.linalg.norm(counts, axis=1, keepdims=True)


def rewards(clips: slice) -> torch.Tensor:
    """Of two captions drawn for each clip: its own, and the next one's."""
    reward = RetrievalReward(letters, samples=2, temperature=0.07)
    drawn = [CAPTIONS[i % 4] for clip in range(4)[clips] for i in (clip, clip + 1)]
    return reward(drawn, CAPTIONS[clips])


def test_a_reward_chooses_among_the_references_of_all_processes():
    parts = in_two_processes(lambda rank: rewards(slice(2 * rank, 2 * rank + 2)).numpy())
    np.testing.assert_allclose(np.concatenate(parts), rewards(slice(4)).numpy(), atol=1e-6)
    assert (rewards(slice(2)) > rewards(slice(4))[:2]).all()  # among fewer, it is easier


def batch_of(model: Any, rows: slice) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(1)
    log_mel = 10 * torch.randn(4, 64, 120, generator=generator) - 40
    ids, mask = model.language_model.encode_captions(CAPTIONS[rows])
    return {"sound": {"log_mel": log_mel[rows], "frames": torch.tensor([120, 100, 80, 120])[rows]}} | {
        "ids": ids,
        "mask": mask,
    }


def step(rank: int, task: CaptioningTask) -> tuple[dict[str, float], dict[str, Any]]:
    spread = DistributedDataParallel(task, find_unused_parameters=True)
    losses = spread(**batch_of(task.model, slice(2 * rank, 2 * rank + 2)))
    losses["loss"].backward()
    gradients = {n: p.grad.numpy() for n, p in task.named_parameters() if p.grad is not None}
    return {name: value.item() for name, value in losses.items()}, gradients


@pytest.mark.slow
def test_ddp_of_the_whole_objective_equals_one_process(tiny_model):
    model = copy.deepcopy(tiny_model)
    model.encoder.dropout.p = 0.0
    task = CaptioningTask(model, WEIGHTS).train()
    task.freeze(model.encoder)  # its batch norms would see half a batch
    (first, gradients), (second, _) = in_two_processes(step, task)
    whole = task(**batch_of(model, slice(4)))
    whole["loss"].backward()
    for name, value in whole.items():
        assert (first[name] + second[name]) / 2 == pytest.approx(value.item(), abs=1e-5), name
    assert first["info_nce"] == second["info_nce"] and first["caption"] != second["caption"]
    wanted = {n: p.grad for n, p in task.named_parameters() if p.grad is not None}
    assert wanted.keys() == gradients.keys()
    for name, gradient in wanted.items():
        torch.testing.assert_close(torch.from_numpy(gradients[name]), gradient, rtol=0, atol=1e-5, msg=name)
