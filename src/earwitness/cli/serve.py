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
        str | None,
        typer.Option("--model", "-m", help="Checkpoint folder or hub name; default: the built-in."),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0: all interfaces.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0: a free one.")] = 8000,
    max_upload_mb: Annotated[
        float, typer.Option(min=0.001, help="Largest upload; an hour of 16-bit WAV at 16 kHz has 110 MB.")
    ] = 128.0,
    max_minutes: Annotated[float, typer.Option(min=0.01, help="Longest recording.")] = 60.0,
    concurrency: Annotated[int, typer.Option(min=1, help="Recordings decoded and captioned at once.")] = 64,
    queue: Annotated[int, typer.Option(min=0, help="Further recordings that may wait.")] = 192,
    per_client: Annotated[int, typer.Option(min=1, help="Maximum of both for one address.")] = 128,
    request_seconds: Annotated[
        float, typer.Option(min=1, help="Maximum time of a request, in addition to its audio's duration, s.")
    ] = 600.0,
    job_seconds: Annotated[
        float, typer.Option(min=0, help="Time that results of jobs are kept, s.")
    ] = 3600.0,
    decoders: Annotated[int, typer.Option(min=0, help="Decoder processes; 0: one per core.")] = 0,
    batch_size: Annotated[int, typer.Option(min=1, help="Windows captioned at once.")] = 16,
    api_key: Annotated[
        str | None,
        typer.Option(
            envvar="EARWITNESS_API_KEY", help="Key that clients must send; preferably set in the environment."
        ),
    ] = None,
    allow_urls: Annotated[
        bool, typer.Option("--allow-urls", help="Fetch recordings from public URLs that clients send.")
    ] = False,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(help="Site whose pages may use the server: https://captions.example; repeatable."),
    ] = None,
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], typer.Option(help="Minimum log level.")
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
                f"Warning: anyone who reaches {host} can use this server: set EARWITNESS_API_KEY", err=True
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
    """Open the listening socket, so that a port in use is reported before the model is loaded."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise OSError(f"--host {host} --port {port}: {error.strerror or error}") from None


def address_of(listening: socket.socket) -> str:
    """Return the server's URL for a browser on this machine."""
    host, port, *_ = listening.getsockname()
    name = "localhost" if ip_address(host).is_unspecified else f"[{host}]" if ":" in host else host
    return f"http://{name}:{port}"


def _only_this_machine(listening: socket.socket) -> bool:
    return ip_address(listening.getsockname()[0]).is_loopback
