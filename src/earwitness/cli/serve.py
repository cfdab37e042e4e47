"""`earwitness serve`."""

from __future__ import annotations

import os
import socket
from ipaddress import ip_address
from typing import Annotated, Literal

import typer

from earwitness.cli.errors import exit_on_error, fail

BACKLOG = 2048  # connections that wait to be accepted


def serve(
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="Checkpoint folder or hub name; none: the built-in.")
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 is every one.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: a free one.")] = 8000,
    max_upload_mb: Annotated[
        float, typer.Option(min=0.001, help="Largest upload; an hour of 16-bit WAV at 16 kHz has 110 MB.")
    ] = 128.0,
    max_minutes: Annotated[float, typer.Option(min=0.01, help="Longest recording.")] = 60.0,
    concurrency: Annotated[int, typer.Option(min=1, help="Recordings decoded and captioned at once.")] = 64,
    queue: Annotated[int, typer.Option(min=0, help="Recordings that may wait besides.")] = 192,
    per_client: Annotated[int, typer.Option(min=1, help="Of both, by one address.")] = 128,
    request_seconds: Annotated[
        float, typer.Option(min=1, help="Longest time of a request, beside the length of its sound.")
    ] = 600.0,
    job_seconds: Annotated[float, typer.Option(min=0, help="Time that results of jobs are kept.")] = 3600.0,
    decoders: Annotated[
        int, typer.Option(min=0, help="Processes that decode; 0: as many as there are cores.")
    ] = 0,
    batch_size: Annotated[int, typer.Option(min=1, help="Windows captioned at once.")] = 16,
    api_key: Annotated[
        str | None,
        typer.Option(envvar="EARWITNESS_API_KEY", help="Required of every client; best set by the variable."),
    ] = None,
    allow_urls: Annotated[
        bool, typer.Option("--allow-urls", help="Fetch recordings that clients name by a public address.")
    ] = False,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(
            help="Another site whose pages may use the server: https://captions.example; repeatable."
        ),
    ] = None,
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], typer.Option(help="Least level of what is logged.")
    ] = "info",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 ...")] = "auto",
    dtype: Annotated[
        str, typer.Option(help="Of the language model: auto, float32, bfloat16, float16.")
    ] = "auto",
    runtime: Annotated[
        Literal["auto", "onnx", "torch"],
        typer.Option(help="auto: ONNX Runtime for the built-in and exported models on the CPU, else torch."),
    ] = "auto",
) -> None:
    """Serve captions over HTTP, with a page for the browser.

    \b
    earwitness serve                                     then open http://127.0.0.1:8000
    curl -F file=@dog.wav localhost:8000/v1/captions     captions with times, tags and scores
    curl -F file=@film.mp4 -F format=srt localhost:8000/v1/captions
    """
    try:
        from earwitness.serving.app import create_app
        from earwitness.serving.fetching import Fetcher
        from earwitness.serving.request_log import configure
        from earwitness.serving.server import server
    except ModuleNotFoundError as error:
        if error.name not in ("fastapi", "uvicorn", "prometheus_client", "httpx2"):
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
        job_seconds=job_seconds,
    )
    configure(log_level)
    with exit_on_error():
        listening = bound(host, port)
        if api_key is None and not _only_this_machine(listening):
            typer.echo(
                f"Warning: whoever reaches {host} may use this server: set EARWITNESS_API_KEY", err=True
            )
        typer.echo(f"Loading {model or 'the built-in model'} ...", err=True)
        captioner = load_captioner(model, device, dtype, runtime=runtime)
        app = create_app(
            captioner,
            limits,
            api_key=api_key,
            fetcher=Fetcher(limits) if allow_urls else None,
            allow_origins=allow_origin or [],
            decoders=decoders or os.cpu_count() or 1,
            batch_size=batch_size,
        )
    typer.echo(f"Listening on {address_of(listening)}", err=True)
    with listening:
        server(app, limits, log_config=None).run([listening])


def bound(host: str, port: int) -> socket.socket:
    """A socket that listens there, so that a port in use is an error before the model is loaded."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise OSError(f"--host {host} --port {port}: {error.strerror or error}") from None


def address_of(listening: socket.socket) -> str:
    """As a browser on this machine opens it."""
    host, port, *_ = listening.getsockname()
    name = "localhost" if ip_address(host).is_unspecified else f"[{host}]" if ":" in host else host
    return f"http://{name}:{port}"


def _only_this_machine(listening: socket.socket) -> bool:
    return ip_address(listening.getsockname()[0]).is_loopback
