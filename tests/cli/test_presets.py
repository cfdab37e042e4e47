from typer.testing import CliRunner

import earwitness
from earwitness.cli import app
from earwitness.config import list_presets, load_preset, preset_text


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
