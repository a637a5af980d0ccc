"""Clips per second of the loader, beside the floor: decoding the same frames with PyAV or Pillow and nothing else.

Both run in the same dataloader, with as many workers, on the same clips, in alternating rounds; the ratio is the median
of the rounds. Without folders to measure on, it makes its own videos.

    python benchmarks/data.py [--videos FOLDER] [--frames FOLDER] [--workers 2]
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import av
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from vos_lightning.data.clips.dataset import ClipDataset, collate_clips
from vos_lightning.data.clips.sampling import ClipKey, ClipSampling, clip_generator
from vos_lightning.data.layouts.folders import find_videos
from vos_lightning.data.layouts.index import VideoRecord, index_videos
from vos_lightning.data.synthetic.datasets import SyntheticSpec, write_davis_tree
from vos_lightning.data.tools.encoding import Encoding
from vos_lightning.data.tools.prepare import prepare_dataset
from vos_lightning.io.frame_folder import IMAGE_SUFFIXES


class Floor(Dataset[int]):
    """Decodes the frames of the clips of a `ClipDataset` and drops them."""

    def __init__(self, clips: ClipDataset) -> None:
        """Look up where the frames are, which isn't part of the decoding."""
        self.clips = clips
        self.plans: dict[str, list[Any]] = {video.path: _plan(video) for video in clips.videos}

    def __getitem__(self, key: ClipKey) -> int:
        """Decode one clip."""
        video = self.clips.videos[key.draw % len(self.clips.videos)]
        indices = self.clips.sampling.indices(video.num_frames, video.fps, clip_generator(self.clips.seed, key))
        _decode(video.path, [self.plans[video.path][index] for index in indices])
        return 0


def _plan(video: VideoRecord) -> list[Any]:
    """Image files, or time stamps, of the frames."""
    if Path(video.path).is_dir():
        return sorted(path for path in Path(video.path).iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
    with av.open(video.path) as container:
        packets = container.demux(video=0)
        return sorted(packet.pts for packet in packets if packet.pts is not None)


def _decode(path: str, wanted: Sequence[Any]) -> None:
    if isinstance(wanted[0], Path):
        for file in wanted:
            with Image.open(file) as image:
                image.load()
        return
    with av.open(path) as container:
        stream = container.streams.video[0]
        stream.thread_count = 1
        container.seek(wanted[0], stream=stream)
        for frame in container.decode(stream):
            if frame.pts is not None and frame.pts >= wanted[-1]:
                break


def _rate(dataset: Dataset[Any], keys: list[ClipKey], workers: int, collate: Callable[..., Any] | None) -> float:
    """Clips per second, without the start of the workers."""
    loader = DataLoader(
        dataset, batch_size=8, sampler=keys, num_workers=workers, collate_fn=collate, persistent_workers=workers > 0
    )
    if workers:
        next(iter(loader))
    start = time.perf_counter()
    for _ in loader:
        pass
    return len(keys) / (time.perf_counter() - start)


def measure(name: str, root: Path, workers: int, clip_count: int, rounds: int) -> float:
    """Print and return the share of the floor that the loader reaches on a folder of videos."""
    videos = index_videos(find_videos(root), root, min_frames=2).videos
    clips = ClipDataset(videos, ClipSampling(2, 1, 3), size=256)
    floor = Floor(clips)
    # in the parent, of which workers are copies: persistent ones come to know every video in their first epoch
    for draw in range(len(videos)):
        clips[ClipKey(0, draw)]
    ratios, rates = [], []
    for epoch in range(rounds):
        keys = [ClipKey(epoch, draw) for draw in torch.randperm(clip_count).tolist()]
        bare = _rate(floor, keys, workers, None)
        whole = _rate(clips, keys, workers, collate_clips)
        ratios.append(whole / bare)
        rates.append((whole, bare))
    whole, bare = (statistics.median(rate[side] for rate in rates) for side in (0, 1))
    ratio = statistics.median(ratios)
    print(f"{name}: loader {whole:.1f} clips/s, decoding alone {bare:.1f} clips/s, ratio {ratio:.2f}")
    return ratio


def main() -> None:
    """Measure videos and folders of frames."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=Path, help="folder of video files; default: generated ones")
    parser.add_argument("--frames", type=Path, help="folder of folders of JPEGs; default: generated ones, 480p")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--clips", type=int, default=200, help="clips per round")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder)
        if options.videos is None or options.frames is None:
            write_davis_tree(made, train=range(6), val=(), spec=SyntheticSpec(24, (480, 854), 3))
        frames = options.frames or made / "JPEGImages"
        videos = options.videos
        if videos is None:
            videos = made / "videos"
            prepare_dataset(made / "JPEGImages", videos, encoding=Encoding(short_side=256, gop=250))
        measure(f"{videos} (H.264)", videos, options.workers, options.clips, options.rounds)
        measure(f"{frames} (JPEG)", frames, options.workers, options.clips, options.rounds)


if __name__ == "__main__":
    main()
