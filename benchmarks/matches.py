"""Share of positions whose best match is the right one, between frames and warped views of them.

    python benchmarks/matches.py my_videos --weights lab default my.ckpt [--views 4]

No masks are needed, and a minute tells what tracking whole sequences tells in an hour: whether features follow what
they show, or the place where it is. During training, `val/true_matches` is the same of the validation sequences.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch

from vos_lightning.data import VideoFolderDataModule
from vos_lightning.inference.tracking.matches import true_match_share
from vos_lightning.inference.weights import load_tracker
from vos_lightning.io.frames import open_frames


def main(arguments: Sequence[str] | None = None) -> None:
    """Warp, match, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", help="folder of videos")
    parser.add_argument("--weights", nargs="+", default=["lab", "default"])
    parser.add_argument("--views", type=int, default=4, help="warped views of each video's first frame")
    options = parser.parse_args(arguments)
    videos = [open_frames(Path(path)) for path in VideoFolderDataModule(options.root).paths()]
    frames = [torch.from_numpy(video[0].copy()).permute(2, 0, 1) for video in videos]
    print(f"{len(frames)} videos, {options.views} views of each\n\n| weights | true matches |\n|---|---|")
    for weights in options.weights:
        tracker = load_tracker(weights).prepared(torch.device("cpu"))
        shares = [true_match_share(tracker, frame, seed) for frame in frames for seed in range(options.views)]
        print(f"| {weights} | {sum(shares) / len(shares):.1%} |", flush=True)


if __name__ == "__main__":
    main()
