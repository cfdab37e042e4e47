"""Published weights load from every layout they come in; what does not fit is refused by name."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from earwitness.encoders.ced import CedEncoder, load_ced

WEIGHTS = Path(__file__).parents[1] / "golden" / "ced_small.safetensors"


def layouts() -> dict[str, dict[str, torch.Tensor]]:
    original = load_file(WEIGHTS)
    bare = {key: value for key, value in original.items() if not key.startswith("front_end.")}
    split = {}
    for key, value in bare.items():
        if ".qkv." in key:
            for name, rows in zip("qkv", value.split(192)):
                split[key.replace("qkv", f"{name}_proj")] = rows.clone()
        else:
            split[key] = value
    hugging_face = {
        key if key.startswith("outputlayer") else "encoder." + key.replace("init_bn.1", "init_bn"): value
        for key, value in bare.items()
    }
    lavcap = {key.replace("outputlayer", "output_layer"): value for key, value in split.items()}
    return {"original": original, "loae": split, "hugging_face": hugging_face, "lavcap": lavcap}


@pytest.mark.parametrize("layout", ["original", "loae", "hugging_face", "lavcap"])
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_every_published_layout_loads_the_same_encoder(tmp_path, layout, suffix):
    path = tmp_path / f"weights{suffix}"
    state = layouts()[layout]
    if suffix == ".pt":
        torch.save({"model": state} if layout == "loae" else state, path)
    else:
        save_file(state, path)
    loaded = load_ced(path).state_dict()
    for key, value in load_ced(WEIGHTS).state_dict().items():
        assert torch.equal(loaded[key], value), key


def test_loads_a_folder_and_its_own_state_dict(tmp_path):
    tiny = CedEncoder(dim=16, depth=2, heads=2).eval()
    save_file(tiny.state_dict(), tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text('{"num_heads": 2}')
    wave = torch.randn(1, 16_000)
    assert torch.equal(load_ced(tmp_path)(wave).values, tiny(wave).values)


def test_ill_fitting_weights_are_refused_by_name(tmp_path):
    path = tmp_path / "bad.safetensors"
    state = load_file(WEIGHTS)
    broken = {**state, "stranger": torch.zeros(1), "norm.bias": torch.zeros(7)}
    del broken["blocks.2.norm1.weight"]
    save_file(broken, path)
    with pytest.raises(
        ValueError,
        match=r"missing blocks.2.norm1.weight; unexpected stranger; norm.bias is \[7\] instead of \[192\]",
    ):
        load_ced(path)
    save_file({**state, "front_end.0.mel_scale.fb": 2 * state["front_end.0.mel_scale.fb"]}, path)
    with pytest.raises(ValueError, match=r"mel_scale\.fb of the checkpoint differs"):
        load_ced(path)
    save_file({"other": torch.zeros(1)}, path)
    with pytest.raises(ValueError, match="not an audio encoder"):
        load_ced(path)
    with pytest.raises(FileNotFoundError, match="neither a file, nor a folder, nor a hub name"):
        load_ced("no/such/file.pt")


def test_pickled_code_is_not_run(tmp_path):
    path = tmp_path / "evil.pt"
    torch.save({"model": Path("x")}, path)
    with pytest.raises(Exception, match="weights_only"):
        load_ced(path)
