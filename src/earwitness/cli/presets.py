"""`earwitness presets`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from earwitness.cli.errors import exit_on_error

Place = tuple[Any, ...]  # keys and list indices from the root


def presets(
    name: Annotated[str | None, typer.Argument(help="A preset or a recipe file; default: list all.")] = None,
    overrides: Annotated[
        list[str] | None, typer.Argument(help="key.path=value, as `earwitness train` takes them.")
    ] = None,
) -> None:
    """List the presets, or print one with its comments, which give the source of every value.

    \b
    earwitness presets                             list all
    earwitness presets mini > mine.yaml            start a recipe from a preset
    earwitness presets lamb model.max_seconds=30   with other values
    """
    from earwitness.config.preset import list_presets, load_preset

    with exit_on_error():
        if name is not None:
            typer.echo(resolved(name, overrides), nl=False)
            return
        for preset in list_presets():
            typer.echo(f"{preset:24} {load_preset(preset).description}")


def resolved(name: str, overrides: list[str] | None = None) -> str:
    """Return the YAML of a preset, merged over the one it is based on, with the comments of both.

    A value that an override changes loses its comment. Raises ConfigError.
    """
    import yaml

    from earwitness.config.preset import load_preset, preset_text

    files = [preset_text(name)]
    preset = load_preset(name, overrides)
    while base := yaml.safe_load(files[0]).get("base"):
        files.insert(0, preset_text(base))
    if len(files) == 1 and not overrides:
        return files[0]
    heads, comments = "", dict[Place, str]()
    for text in files:
        heads = "".join(f"{line}\n" for line in text.splitlines() if line.startswith("#")) + heads
        comments |= {
            place: text.splitlines()[line].partition(" #")[2] for place, line in places(text).items()
        }
    data = preset.model_dump(mode="json", exclude_unset=True)
    plain = load_preset(name).model_dump(mode="json", exclude_unset=True)
    comments = {place: text for place, text in comments.items() if _at(data, place) == _at(plain, place)}
    lines = yaml.dump(data, Dumper=one_line_dumper(), sort_keys=False, width=1000).splitlines()
    for place, line in places("\n".join(lines)).items():
        lines[line] += f"  #{comments[place]}" if comments.get(place) else ""
    return heads + "".join(f"{line}\n" for line in lines)


def _at(data: Any, place: Place) -> Any:
    """Return the value at a place; None if there is no such place."""
    for key in place:
        try:
            data = data[key]
        except (KeyError, IndexError, TypeError):
            return None
    return data


def one_line_dumper() -> Any:
    """Quote text with line breaks, so that a comment after it does not become part of it."""
    import yaml

    class Dumper(yaml.SafeDumper):
        pass

    def scalar(dumper: Any, text: str) -> Any:
        return dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"' if "\n" in text else None)

    Dumper.add_representer(str, scalar)
    return Dumper


def places(text: str) -> dict[Place, int]:
    """Map each key's place in a YAML text to its line, from 0; of {a: 1} the place of a."""
    import yaml

    found: dict[Place, int] = {}

    def visit(node: Any, place: Place) -> None:
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if not (isinstance(value, yaml.MappingNode) and value.flow_style):
                    found[*place, key.value] = key.start_mark.line
                visit(value, (*place, key.value))
        elif isinstance(node, yaml.SequenceNode):
            for i, item in enumerate(node.value):
                visit(item, (*place, i))

    visit(yaml.compose(text), ())
    return found
