"""``hanmo serve``: the HTTP interface and the page to write on."""

from __future__ import annotations

import errno
import ipaddress
import socket
import sys
from pathlib import Path
from typing import Annotated

import typer

from hanmo.builtin import EMBEDDED_TEXT
from hanmo.errors import ArgumentError

_BACKLOG = 1024
_SWITCH_SECONDS = 0.0003
"""How long one thread may keep Python's lock. With the usual 5 ms the event loop, which lets go of it at every send,
waits for the threads that decode: a fifth fewer characters a second, a quarter more p99 (benchmarks/serving.md)."""


def serve(
    host: Annotated[str, typer.Option("--host", help="Address to listen on; 0.0.0.0 is every one.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Port to listen on; 0 is any free one.")] = 8000,
    bundle: Annotated[Path | None, typer.Option("--bundle", help=f"Folder of a bundle, or {EMBEDDED_TEXT}.")] = None,
    threads: Annotated[
        int | None, typer.Option("--threads", min=1, help="Batches read at once; the number of cores else.")
    ] = None,
    keep: Annotated[
        Path | None,
        typer.Option(
            "--keep", metavar="FOLDER", help="Keep the corrections that the page sends here, for extend and adapt."
        ),
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(
            "--token",
            envvar="HANMO_TOKEN",
            show_default=False,
            help="What clients must show as Authorization: Bearer, or as a password; better set as a variable, since "
            "other users of this computer see options.",
        ),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-host",
            metavar="NAME",
            help="A name by which clients reach the server, besides IP addresses and localhost; may be repeated.",
        ),
    ] = None,
    static: Annotated[
        Path | None,
        typer.Option("--static", help="Serve nothing; write a folder for any web host, whose page reads by itself."),
    ] = None,
    runtime: Annotated[
        Path | None,
        typer.Option("--runtime", help="For --static: onnxruntime-web as npm packs it, or its unpacked folder."),
    ] = None,
) -> None:
    """Read characters over HTTP: POST /v1/recognize takes pictures and strokes, /docs describes all addresses.

    Only this computer can reach it unless --host says otherwise. Ctrl-C stops it when open requests are answered.
    It keeps nothing of what it reads, unless --keep names a folder and somebody on the page agrees to send corrections.
    With --static nothing is served: the page is written to a folder, with the bundle nano unless --bundle names
    another.

    Example: hanmo serve --port 8000 --bundle nano
    """
    if static is not None:
        if keep is not None:
            raise ArgumentError("--keep is for a server; the page of --static keeps corrections in the browser")
        _write(static, runtime, bundle)
        return
    if runtime is not None:
        raise ArgumentError("--runtime is for the page that --static writes; name that folder, too, or leave both out")
    import uvicorn

    from hanmo.bulk.pool import usable_cores
    from hanmo.cli.stopping import tidy_kill
    from hanmo.serve.app import create_app
    from hanmo.serve.config import ServeConfig
    from hanmo.serve.connections import server_config
    from hanmo.serve.logs import configure

    # Only here and not in create_app(): it changes the whole process.
    sys.setswitchinterval(_SWITCH_SECONDS)
    settings = ServeConfig(
        bundle=bundle, threads=threads or usable_cores(), keep=keep, token=token, hosts=_names(host, allow_host or [])
    )
    app = create_app(settings)
    # Bound here and not by uvicorn, so that a taken port gives one line and not a traceback.
    listener = _listen(host, port)
    configure()
    typer.echo(f"hanmo: reading at {_address(listener)} (Ctrl-C stops)", err=True)
    if token is None and not _is_loopback(listener):
        typer.echo("hanmo: warning: other computers may reach this server; set a token (HANMO_TOKEN)", err=True)
    if keep is not None:
        typer.echo(f"hanmo: keeping corrections in {keep}", err=True)
    try:
        with listener, tidy_kill():
            uvicorn.Server(server_config(app, settings)).run(sockets=[listener])
    except KeyboardInterrupt:  # raised by uvicorn after it has ended in order: that is how a server is meant to stop
        typer.echo("hanmo: stopped", err=True)


def _write(out: Path, runtime: Path | None, bundle: Path | None) -> None:
    from hanmo.serve.site import write_site

    sizes = write_site(out, runtime, bundle)
    total = sum(sizes.values()) / 1e6
    typer.echo(
        f"hanmo: {out} written, {len(sizes)} files, {total:.1f} MB; try: python -m http.server 8080 --directory {out}"
    )


def _listen(host: str, port: int) -> socket.socket:
    try:
        # The host may be an IPv4 or IPv6 address, or a name of either.
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except (OSError, UnicodeError) as error:
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            reason = "is in use; choose another one with --port, or stop what listens there"
        else:
            reason = f"cannot be listened on ({getattr(error, 'strerror', None) or error}); check --host and --port"
        raise ArgumentError(f"port {port} of {host} {reason}") from error


def _names(host: str, allowed: list[str]) -> tuple[str, ...]:
    """The server's names: those allowed, and the one it listens by."""
    for name in allowed:
        if not name or any(c in name for c in " /:*@"):
            raise ArgumentError(f"--allow-host {name!r}: is no host's name; give it without scheme and port")
    return (*allowed, host)


def _is_loopback(listener: socket.socket) -> bool:
    """Whether only this computer can reach ``listener``."""
    return ipaddress.ip_address(listener.getsockname()[0].partition("%")[0]).is_loopback


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if listener.family == socket.AF_INET6 else f"http://{host}:{port}"
