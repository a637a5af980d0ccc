"""Runs the studio on a port of this machine."""

from __future__ import annotations

import socket
import sys
import threading
import webbrowser
from pathlib import Path

import uvicorn

from vos_lightning.errors import VOSError
from vos_lightning.studio.app import create_app
from vos_lightning.studio.security import new_token
from vos_lightning.studio.session import Studio
from vos_lightning.studio.tracking import TrackerSettings

DEFAULT_PORT = 8765


def serve(
    video: Path | None,
    project: Path | None,
    settings: TrackerSettings,
    *,
    host: str = "127.0.0.1",
    port: int | None = None,
    with_browser: bool = True,
) -> None:
    """Print the address and serve until interrupted.

    Args:
        video: to open; None leaves the choice to the page.
        project: its folder; None is `VIDEO.studio` in the current folder.
        settings: of the tracker.
        host: address to listen on.
        port: to listen on; None takes 8765, or a free one where that is taken.
        with_browser: open a browser.

    Raises:
        VOSError: a video that can't be opened, or a port that is taken.
    """
    studio = Studio(settings, Path.cwd())
    if video is not None:
        studio.open(video, project)
    token = new_token()
    listener = _listen(host, port)
    shown = host if host not in ("0.0.0.0", "::") else socket.gethostname()
    address = f"http://{f'[{shown}]' if ':' in shown else shown}:{listener.getsockname()[1]}/{token}/"
    print(f"the studio is open at {address}  (Ctrl-C ends it)", flush=True)
    config = uvicorn.Config(
        create_app(studio, token, host),
        log_level="critical",
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=1,
        server_header=False,
    )
    if with_browser:
        threading.Timer(0.3, webbrowser.open, (address,)).start()
    try:
        uvicorn.Server(config).run(sockets=[listener])
    finally:
        studio.close()
        print("closed; everything is in the project folder", file=sys.stderr)


def _listen(host: str, port: int | None) -> socket.socket:
    """A listening socket.

    Raises:
        VOSError: the address or the port can't be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    wanted = [DEFAULT_PORT, 0] if port is None else [port]
    for number in wanted:
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, number))
            listener.listen(128)
        except (OSError, OverflowError) as error:
            listener.close()
            if number == wanted[-1]:
                raise VOSError(f"port {number} of {host} can't be used ({error}); choose another --port") from error
        else:
            return listener
    raise AssertionError("unreachable")
