import pytest
import torch

from earwitness.decoding import CausalLanguageModel, Prompt
from earwitness.embeds import Embeds


@pytest.fixture
def audio() -> Embeds:
    return Embeds(
        torch.randn(2, 3, 16, dtype=torch.float64), torch.tensor([[True] * 3, [True, False, False]])
    )


def words(causal: CausalLanguageModel, text: str) -> torch.Tensor:
    return causal.embed(torch.tensor(causal.tokenize(text, special=True)))


def real(prefix: Embeds, i: int) -> torch.Tensor:
    return prefix.values[i][prefix.mask[i]]


def test_audio_alone_is_audio(causal: CausalLanguageModel, audio: Embeds) -> None:
    prefix = Prompt("<audio>").build(causal, audio)
    assert torch.equal(prefix.values, audio.values) and torch.equal(prefix.mask, audio.mask)


def test_default_has_the_audio_first(causal: CausalLanguageModel, audio: Embeds) -> None:
    prefix = Prompt().build(causal, audio)
    assert torch.equal(prefix.values[:, :3], audio.values) and prefix.values.shape[1] > 3


def test_text_audio_and_video_stand_where_the_template_says(
    causal: CausalLanguageModel, audio: Embeds
) -> None:
    video = Embeds.full(torch.randn(2, 2, 16, dtype=torch.float64))
    prefix = Prompt("<bos>the dog <audio> and <video> <s> then").build(causal, audio, video=video)
    for i in range(2):
        expected = [words(causal, "<s> the dog"), audio.values[i][audio.mask[i]], words(causal, "and")]
        expected += [video.values[i], words(causal, "<s> then")]
        assert torch.equal(real(prefix, i), torch.cat(expected))


def test_retrieved_captions_may_differ_in_number_and_length(
    causal: CausalLanguageModel, audio: Embeds
) -> None:
    prompt = Prompt("the <captions> : <audio>", caption_separator=" and ")
    prefix = prompt.build(causal, audio, captions=[["a dog barks", "</s> a cat"], []])
    first = [words(causal, "the a dog barks and a cat :"), audio.values[0]]
    assert torch.equal(real(prefix, 0), torch.cat(first))
    assert torch.equal(real(prefix, 1), torch.cat([words(causal, "the :"), audio.values[1, :1]]))


def test_tags_stand_where_the_template_says(causal: CausalLanguageModel, audio: Embeds) -> None:
    prefix = Prompt("<tags> <audio><bos>").build(causal, audio, tags=["the dog, a cat", ""])
    first = [words(causal, "the dog, a cat"), audio.values[0], words(causal, "<s>")]
    assert torch.equal(real(prefix, 0), torch.cat(first))
    with pytest.raises(ValueError, match="1 lists of tags for 2 clips"):
        Prompt("<tags><audio>").build(causal, audio, tags=[""])


def test_nobodys_captions_make_no_tokens(causal: CausalLanguageModel, audio: Embeds) -> None:
    prefix = Prompt("<captions><audio>").build(causal, audio, captions=[[], []])
    assert torch.equal(prefix.values, audio.values)


def test_gradient_flows_through_the_audio(causal: CausalLanguageModel, audio: Embeds) -> None:
    values = audio.values.clone().requires_grad_()
    Prompt("a <audio> dog").build(causal, Embeds(values, audio.mask)).values.sum().backward()
    assert values.grad is not None and (values.grad == 1).all()


def test_faults_are_named(causal: CausalLanguageModel, audio: Embeds) -> None:
    with pytest.raises(ValueError, match="exactly one <audio>"):
        Prompt("describe the sound")
    with pytest.raises(ValueError, match="exactly one <audio>"):
        Prompt("<audio> and <audio>")
    with pytest.raises(ValueError, match="<video> needed by prompt"):
        Prompt("<audio><video>").build(causal, audio)
    with pytest.raises(ValueError, match="<captions> given to prompt"):
        Prompt("<audio>").build(causal, audio, captions=[[], []])
    with pytest.raises(ValueError, match="1 lists of captions for 2 clips"):
        Prompt("<captions><audio>").build(causal, audio, captions=[[]])
