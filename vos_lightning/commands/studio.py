"""`vos-lightning studio`: point at objects, follow and mend them in the browser."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from vos_lightning.commands.parser import Parser
from vos_lightning.errors import VOSError


def main(arguments: Sequence[str]) -> int:
    """Parse the arguments and run."""
    options = _parser().parse_args(arguments)
    if find_spec("starlette") is None or find_spec("uvicorn") is None:
        raise VOSError('the studio needs an extra: pip install "vos_lightning[studio]", or pip install -e ".[studio]"')
    from vos_lightning.studio.server import serve  # after --help has been answered
    from vos_lightning.studio.tracking import TrackerSettings

    if options.project is not None and options.input is None:
        raise VOSError("--project needs the video that it belongs to")
    settings = TrackerSettings(options.weights, options.device, options.max_size)
    serve(
        options.input,
        options.project,
        settings,
        host=options.host,
        port=options.port,
        with_browser=not options.no_browser,
    )
    return 0


def _parser() -> Parser:
    parser = Parser(
        prog="vos-lightning studio",
        description="Open a video in the browser: point at objects, follow them, mend what goes wrong, take the masks "
        "away. Everything stays on this machine; all work is kept in a project folder.",
    )
    add = parser.add_argument
    add("input", type=Path, nargs="?", metavar="INPUT", help="a video file or a folder of frames; default: choose one")
    add("--project", type=Path, metavar="DIR", help="where the work is kept; default: INPUT.studio in this folder")
    add("--port", type=int, metavar="N", help="default: 8765, or a free one if that is taken")
    add("--host", default="127.0.0.1", metavar="ADDRESS", help="to listen on; default: 127.0.0.1, this machine alone")
    add("--no-browser", action="store_true", help="print the address, open nothing")
    add("--weights", default="default", metavar="W", help="'default', 'ct_vos', 'lab', or a .ckpt or .safetensors file")
    add("--device", default="auto", help="cpu, cuda, cuda:1, …; auto takes a GPU where there is one")
    add("--max-size", type=int, metavar="PIXELS", help="of the network's frames; smaller is faster and coarser")
    return parser
