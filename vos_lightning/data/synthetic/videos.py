"""Videos made from a seed: textured objects that move, turn, deform and hide one another, with exact masks.

Made to be hard for colour matching: objects share colours with the background and with one another, the light drifts
in strength, tint and direction, the focus breathes and the camera is noisy. Everything is a closed form of (seed,
frame), so any frame can be rendered alone, and nothing is stored.
"""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

_LAYOUT_TRIES = 50
_HARMONICS = torch.arange(2.0, 6.0)


class _Wave:
    """A slow, smooth function of time: two sines about a base value."""

    def __init__(self, base: float, amplitude: float, period: float, generator: torch.Generator) -> None:
        stretch, phase, second, share = (_uniform(0, 1, generator) for _ in range(4))
        self.base, self.amplitude, self.share = base, amplitude, 0.7 + 0.3 * share
        self.frequency = 2 * math.pi / (period * (0.7 + 0.6 * stretch))
        self.phase, self.second = 2 * math.pi * phase, 2 * math.pi * second

    def __call__(self, t: float) -> float:
        slow, fast = math.sin(self.frequency * t + self.phase), math.sin(2.3 * self.frequency * t + self.second)
        return self.base + self.amplitude * (self.share * slow + (1 - self.share) * fast)


def _uniform(low: float, high: float, generator: torch.Generator) -> float:
    return low + (high - low) * float(torch.rand((), generator=generator, dtype=torch.float64).item())


def texture(height: int, width: int, colours: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Cloudy mixture of colours with detail at all scales, sometimes striped.

    Args:
        height: in pixels.
        width: in pixels.
        colours: RGB in [0, 1], (N, 3).
        generator: source of the pattern.

    Returns:
        (3, height, width) in [0, 1].
    """
    fields = torch.zeros(len(colours), height, width)
    short, weight = min(height, width), 1.0
    cells = 3
    while cells < short / 2:
        rows, columns = max(2, cells * height // short), max(2, cells * width // short)
        grid = torch.randn(1, len(colours), rows, columns, generator=generator)
        fields += weight * F.interpolate(grid, size=(height, width), mode="bilinear", align_corners=True)[0]
        cells, weight = cells * 2, weight * 0.75
    if _uniform(0, 1, generator) < 0.5:
        angle, count = _uniform(0, math.pi, generator), _uniform(3, 9, generator)
        y, x = torch.linspace(0, 1, height)[:, None], torch.linspace(0, width / height, width)[None]
        fields[0] += 1.5 * torch.sin(2 * math.pi * count * (y * math.cos(angle) + x * math.sin(angle)))
    return torch.einsum("nhw,nc->chw", torch.softmax(2.5 * fields, dim=0), colours)


class _Blob:
    """A moving, turning, breathing outline: a circle with harmonics, filled with a texture."""

    def __init__(self, size: tuple[int, int], colours: torch.Tensor, generator: torch.Generator) -> None:
        height, width = size
        short = min(size)
        period = _uniform(40, 80, generator)
        centre, swing = _uniform(0.3, 0.7, generator) * height, _uniform(0.1, 0.3, generator) * height
        self.y = _Wave(centre, swing, period, generator)
        centre, swing = _uniform(0.25, 0.75, generator) * width, _uniform(0.1, 0.3, generator) * width
        self.x = _Wave(centre, swing, period, generator)
        self.scale = _Wave(math.log(_uniform(0.14, 0.24, generator) * short), 0.2, 50, generator)
        self.angle = _Wave(_uniform(-math.pi, math.pi, generator), _uniform(0.2, 1.2, generator), 60, generator)
        self.stretch = _Wave(_uniform(-0.3, 0.3, generator), 0.12, 40, generator)
        self.shares = torch.rand(len(_HARMONICS), generator=generator) * 0.5 / _HARMONICS
        self.phases = torch.rand(len(_HARMONICS), generator=generator) * 2 * math.pi
        self.speeds = torch.randn(len(_HARMONICS), generator=generator) * 0.05
        side = max(32, round(0.6 * short))
        self.texture = texture(side, side, colours, generator)[None]

    def place(self, t: float, size: tuple[int, int]) -> tuple[slice, slice, torch.Tensor, torch.Tensor]:
        """Box of the object, its soft coverage (h, w) there, and texture coordinates (1, h, w, 2)."""
        scale, y, x = math.exp(self.scale(t)), self.y(t), self.x(t)
        reach = 1.9 * scale
        rows = slice(max(0, int(y - reach)), max(0, min(size[0], int(y + reach) + 1)))
        columns = slice(max(0, int(x - reach)), max(0, min(size[1], int(x + reach) + 1)))
        dy = (torch.arange(rows.start, rows.stop) - y)[:, None] / scale
        dx = (torch.arange(columns.start, columns.stop) - x)[None] / scale
        cos, sin, stretch = math.cos(self.angle(t)), math.sin(self.angle(t)), math.exp(self.stretch(t))
        v, u = (cos * dy - sin * dx) * stretch, (sin * dy + cos * dx) / stretch
        theta = torch.atan2(v, u)
        waves = torch.cos(_HARMONICS[:, None, None] * theta + (self.phases + self.speeds * t)[:, None, None])
        outline = 1 + (self.shares[:, None, None] * waves).sum(0)
        coverage = ((outline - torch.hypot(u, v)) * scale + 0.5).clamp(0, 1)
        return rows, columns, coverage, torch.stack((u, v), dim=-1)[None] / 1.7


class SyntheticVideo:
    """One video and its masks, rendered frame by frame.

    Args:
        seed: the video; equal seeds give equal pixels.
        num_frames: length, in frames.
        size: (H, W), in pixels.
        num_objects: 1 to 254; None draws 1 to 4.
        fps: nominal frame rate.
    """

    def __init__(
        self,
        seed: int,
        num_frames: int = 48,
        size: tuple[int, int] = (128, 224),
        num_objects: int | None = None,
        fps: float = 12.0,
    ) -> None:
        """Draw textures and paths."""
        generator = torch.Generator().manual_seed(seed)
        self.seed, self.num_frames, self.size, self.fps = seed, num_frames, size, fps
        count = int(_uniform(1, 5, generator)) if num_objects is None else num_objects
        scene = torch.rand(5, 3, generator=generator) * 0.8 + 0.1
        canvas = [round(1.5 * side) for side in size]
        self._background = texture(canvas[0], canvas[1], scene, generator)[None]
        self._camera = [_Wave(0, amplitude, 90, generator) for amplitude in (0.2, 0.2, 0.08, 0.15)]
        self._light = [_Wave(base, amplitude, 45, generator) for base, amplitude in [(1, 0.18)] + 3 * [(0, 0.05)]]
        self._slope = [_Wave(0, 0.15, 60, generator) for _ in range(2)]
        self._focus = _Wave(0.35, 0.35, 30, generator)
        self._noise = _uniform(0.006, 0.02, generator)
        self._objects = self._scatter(count, scene, generator)

    def _scatter(self, count: int, scene: torch.Tensor, generator: torch.Generator) -> list[_Blob]:
        """Draw objects until each shows at least half of itself in the first frame, and no less than 60 pixels."""
        blobs: list[_Blob] = []
        for _ in range(count):
            for _ in range(_LAYOUT_TRIES):
                own = torch.rand(2, 3, generator=generator) * 0.8 + 0.1
                shared = scene[torch.randperm(len(scene), generator=generator)[:2]]
                colours = torch.cat((own, shared + 0.08 * torch.randn(2, 3, generator=generator)))
                blob = _Blob(self.size, colours, generator)
                if self._all_visible([*blobs, blob]):
                    blobs.append(blob)
                    break
        return blobs

    def _all_visible(self, blobs: Sequence[_Blob]) -> bool:
        areas = np.bincount(self._stack(blobs, 0).ravel(), minlength=len(blobs) + 1)
        alone = [int((blob.place(0, self.size)[2] >= 0.5).sum()) for blob in blobs]
        return all(seen >= max(60, whole / 2) for seen, whole in zip(areas[1:], alone, strict=True))

    def _stack(self, blobs: Sequence[_Blob], t: int) -> npt.NDArray[np.uint8]:
        mask = np.zeros(self.size, dtype=np.uint8)
        for object_id, blob in enumerate(blobs, start=1):
            rows, columns, coverage, _ = blob.place(t, self.size)
            mask[rows, columns][coverage.numpy() >= 0.5] = object_id
        return mask

    @property
    def num_objects(self) -> int:
        """Objects in the video; all are in the first frame. Fewer than asked for where they found no room."""
        return len(self._objects)

    def mask(self, t: int) -> npt.NDArray[np.uint8]:
        """Ids of the pixels of frame `t`, (H, W); later ids are in front."""
        return self._stack(self._objects, self._check(t))

    def frame(self, t: int) -> npt.NDArray[np.uint8]:
        """Picture of frame `t`, RGB (H, W, 3)."""
        self._check(t)
        pan_x, pan_y, angle, zoom = (wave(t) for wave in self._camera)
        cos, sin, reach = math.cos(angle), math.sin(angle), 0.6 * math.exp(zoom)
        aspect = self.size[0] / self.size[1]
        camera = torch.tensor([[reach * cos, -reach * sin * aspect, pan_x], [reach * sin / aspect, reach * cos, pan_y]])
        grid = F.affine_grid(camera[None], [1, 3, *self.size], align_corners=False)
        picture = F.grid_sample(self._background, grid, padding_mode="reflection", align_corners=False)[0]
        for blob in self._objects:
            rows, columns, coverage, where = blob.place(t, self.size)
            if coverage.numel():
                fill = F.grid_sample(blob.texture, where, padding_mode="reflection", align_corners=False)[0]
                picture[:, rows, columns] = torch.lerp(picture[:, rows, columns], fill, coverage)
        return self._expose(picture, t)

    def _expose(self, picture: torch.Tensor, t: int) -> npt.NDArray[np.uint8]:
        """Light, focus and sensor noise."""
        gain, *tint = (wave(t) for wave in self._light)
        down, right = (wave(t) for wave in self._slope)
        slope = 1 + down * torch.linspace(-1, 1, self.size[0])[:, None] + right * torch.linspace(-1, 1, self.size[1])
        picture = picture * (gain + torch.tensor(tint)[:, None, None]) * slope
        soft = F.avg_pool2d(F.pad(picture[None], (1, 1, 1, 1), mode="replicate"), 3, stride=1)[0]
        picture = torch.lerp(picture, soft, max(0.0, self._focus(t)))
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + t)
        picture = picture + self._noise * torch.randn(picture.shape, generator=generator)
        return (picture.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).contiguous().numpy()

    def _check(self, t: int) -> int:
        if not 0 <= t < self.num_frames:
            raise IndexError(f"frame {t} of {self.num_frames}")
        return t
