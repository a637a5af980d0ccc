"""Changes of light and colour: one factor per clip, the same for all its frames."""

import torch

# ITU-R BT.601 luma, the weights of PIL's "L"
_LUMA = (0.299, 0.587, 0.114)
_YIQ = torch.tensor(((0.299, 0.587, 0.114), (0.596, -0.274, -0.322), (0.211, -0.523, 0.312)), dtype=torch.float64)


def luma(frames: torch.Tensor) -> torch.Tensor:
    """Grey value of RGB frames: (..., 3, H, W) -> (..., 1, H, W)."""
    red, green, blue = frames.unbind(-3)
    return (_LUMA[0] * red + _LUMA[1] * green + _LUMA[2] * blue).unsqueeze(-3)


def jitter_colours(
    frames: torch.Tensor,
    brightness: torch.Tensor,
    contrast: torch.Tensor,
    saturation: torch.Tensor,
    hue: torch.Tensor,
) -> torch.Tensor:
    """Brightness, contrast, saturation, then hue, each by one factor per clip.

    Args:
        frames: RGB in [0, 1], (B, T, 3, H, W).
        brightness: factors (B,), 1 changes nothing.
        contrast: factors (B,) about the mean grey value of the whole clip, so that frames don't flicker.
        saturation: factors (B,); 0 is grey.
        hue: rotations (B,) in turns; 0 changes nothing.

    Returns:
        RGB in [0, 1], of the same shape.
    """
    spread = (-1, 1, 1, 1, 1)
    frames = (frames * brightness.view(spread)).clamp(0, 1)
    mean = luma(frames).mean(dim=(1, 2, 3, 4), keepdim=True)
    frames = torch.lerp(mean, frames, contrast.view(spread).to(frames)).clamp(0, 1)
    frames = torch.lerp(luma(frames), frames, saturation.view(spread).to(frames)).clamp(0, 1)
    return torch.einsum("bij,btjhw->btihw", hue_rotation(hue).to(frames), frames).clamp(0, 1)


def hue_rotation(turns: torch.Tensor) -> torch.Tensor:
    """Matrices that turn hue about the grey axis at constant luma, in YIQ: (B,) turns -> (B, 3, 3)."""
    angle = turns.double() * 2 * torch.pi
    rotation = torch.zeros(len(turns), 3, 3, dtype=torch.float64, device=turns.device)
    rotation[:, 0, 0] = 1
    rotation[:, 1, 1] = rotation[:, 2, 2] = angle.cos()
    rotation[:, 1, 2], rotation[:, 2, 1] = -angle.sin(), angle.sin()
    yiq = _YIQ.to(turns.device)
    return torch.matmul(torch.linalg.inv(yiq), rotation.matmul(yiq))
