"""`earwitness serve`."""

from __future__ import annotations

import os
from typing import Annotated, Literal

import typer

from earwitness.cli.errors import exit_on_error, fail


def serve(
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="Checkpoint folder or hub name; none: the built-in.")
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 is every one.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: a free one.")] = 8000,
    max_upload_mb: Annotated[float, typer.Option(min=0.001, help="Largest upload.")] = 100.0,
    max_minutes: Annotated[float, typer.Option(min=0.01, help="Longest recording.")] = 60.0,
    concurrency: Annotated[int, typer.Option(min=1, help="Recordings worked on at once.")] = 64,
    queue: Annotated[int, typer.Option(min=0, help="Recordings that may wait beside them.")] = 192,
    per_client: Annotated[int, typer.Option(min=1, help="Of both, by one address.")] = 128,
    request_seconds: Annotated[float, typer.Option(min=1, help="Longest time of a request.")] = 600.0,
    decoders: Annotated[
        int, typer.Option(min=0, help="Processes that decode; 0: as many as there are cores.")
    ] = 0,
    batch_size: Annotated[int, typer.Option(min=1, help="Windows captioned at once.")] = 16,
    api_key: Annotated[
        str | None,
        typer.Option(envvar="EARWITNESS_API_KEY", help="Wanted of every client; best set by the variable."),
    ] = None,
    allow_urls: Annotated[
        bool, typer.Option("--allow-urls", help="Fetch recordings that clients name by a public address.")
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 ...")] = "auto",
    dtype: Annotated[
        str, typer.Option(help="Of the language model: auto, float32, bfloat16, float16.")
    ] = "auto",
    runtime: Annotated[
        Literal["auto", "onnx", "torch"],
        typer.Option(help="auto: ONNX Runtime for the built-in and exported models on the CPU, else torch."),
    ] = "auto",
) -> None:
    """Captions over HTTP, and a page to use them in the browser.

    \b
    earwitness serve                                     then open http://127.0.0.1:8000
    curl -F file=@dog.wav localhost:8000/v1/captions     captions with times, tags and scores
    curl -F file=@film.mp4 -F format=srt localhost:8000/v1/captions
    """
    try:
        from earwitness.serving.app import create_app
        from earwitness.serving.fetching import Fetcher
        from earwitness.serving.server import server
    except ModuleNotFoundError as error:
        if error.name not in ("fastapi", "uvicorn"):
            raise
        raise fail(f"{error.name} is not installed: pip install 'earwitness[serve]'") from None
    from earwitness.cli.parts import load_captioner
    from earwitness.serving.limits import MEGABYTE, Limits

    limits = Limits(
        upload_bytes=round(max_upload_mb * MEGABYTE),
        minutes=max_minutes,
        concurrency=concurrency,
        queue=queue,
        per_client=per_client,
        request_seconds=request_seconds,
    )
    with exit_on_error():
        captioner = load_captioner(model, device, dtype, runtime=runtime)
    app = create_app(
        captioner,
        limits,
        api_key=api_key,
        fetcher=Fetcher(limits) if allow_urls else None,
        decoders=decoders or os.cpu_count() or 1,
        batch_size=batch_size,
    )
    server(app, limits, host=host, port=port).run()
