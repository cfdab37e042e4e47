import pytest
from typer.testing import CliRunner

import earwitness
from earwitness.cli import app
from earwitness.config.preset import list_presets, load_preset, preset_text


def run(*arguments: str):
    return CliRunner().invoke(app, list(arguments))


def test_presets_are_listed_with_what_they_are():
    listed = run("presets").stdout
    assert [line.split()[0] for line in listed.splitlines()] == list_presets()
    assert load_preset("mini").description in listed


def test_a_preset_is_printed_with_its_comments():
    assert run("presets", "mini").stdout == preset_text("mini")


def test_a_misspelt_preset_is_told_the_right_one():
    result = run("presets", "minni")
    assert result.exit_code == 2 and "did you mean 'mini'?" in result.stderr


def test_version():
    assert run("--version").stdout.split() == ["earwitness", earwitness.__version__]


@pytest.mark.parametrize("name", list_presets())
def test_what_is_printed_is_whole_and_says_the_same(name, tmp_path):
    printed = tmp_path / "printed.yaml"
    printed.write_text(run("presets", name).stdout)
    assert load_preset(str(printed)) == load_preset(name)
    assert not any(line.startswith("base:") for line in printed.read_text().splitlines())


def test_values_from_a_base_keep_their_source(tmp_path):
    printed = run("presets", "all").stdout
    assert "kernels:  # ours: the paper names several scales, not which" in printed
    assert "row_normalized: true\n" in printed and "weight: 0.0  # SLAM-AAC: the cosine alone" in printed
    assert "time          # ours" not in printed  # what the base said of a value that is another here


@pytest.mark.parametrize("command, text", [("train", "only=[finetune]"), ("caption", "[dog barking]")])
def test_help_prints_square_brackets(command, text):
    shown = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200"}).stdout
    assert text in " ".join(shown.split())


def test_a_preset_is_printed_with_overrides(tmp_path):
    result = run("presets", "lamb", "model.max_seconds=30", "model.adapter.0.kernels=[3]")
    (tmp_path / "mine.yaml").write_text(result.stdout)
    assert load_preset(str(tmp_path / "mine.yaml")) == load_preset(
        "lamb", ["model.max_seconds=30", "model.adapter.0.kernels=[3]"]
    )
    assert "max_seconds: 30.0\n" in result.stdout and "gru_layers: 2\n" in result.stdout
    assert "source: mispeech/ced-base" in result.stdout and "# Eq. 1-4" in result.stdout
    wrong = run("presets", "lamb", "model.max_secs=30")
    assert wrong.exit_code == 2 and "max_secs: unknown key" in wrong.stderr
