"""The losses of both papers (reconstruction, tags, the adapter's), and that of encoders adapted to one video."""

import torch
import torch.nn.functional as F
from torch import Tensor


def reconstruction_loss(reconstruction: Tensor, target: Tensor) -> Tensor:
    """Huber loss of SSVOS eq. 3 with MAST's scale: smooth L1 on 20 times the colours, mean over all pixels."""
    return F.smooth_l1_loss(reconstruction * 20, target * 20)


def cutout_reconstruction_loss(reconstruction: Tensor, target: Tensor) -> Tensor:
    """Huber loss with threshold 1, mean over all pixels and channels (CT-VOS eqs. 2 and 3), in float32.

    Args:
        reconstruction: of the current frame, (B, 3, H, W).
        target: the current frame with the cutout, in [-1, 1], (B, 3, H, W).
    """
    return F.huber_loss(reconstruction.float(), target.float(), delta=1.0)


def tag_pull_loss(inside: Tensor) -> Tensor:
    """Variance of the tags of cutout pixels, mean over clips (L_cp; CT-VOS eqs. 4 and 5): (B, M) -> ()."""
    return (inside - inside.mean(1, keepdim=True)).square().mean()


def tag_push_loss(inside: Tensor, outside: Tensor, margin: float = 0.5) -> Tensor:
    """What the mean tags of the two groups lack to be a margin apart, mean over clips (L_rp; CT-VOS eq. 6).

    Args:
        inside: tags of cutout pixels, (B, M).
        outside: tags of other pixels, (B, M).
        margin: G; the paper doesn't tell its value.
    """
    return (margin - (outside.mean(1) - inside.mean(1)).abs()).clamp(min=0).mean()


def tag_bce_loss(inside: Tensor, outside: Tensor) -> Tensor:
    """Binary cross entropy with 0 in the cutout and 1 elsewhere, which the tag losses beat (CT-VOS Table 6).

    Args:
        inside: tags of cutout pixels, (B, M).
        outside: tags of other pixels, (B, M).
    """
    with torch.autocast(inside.device.type, enabled=False):
        tags = torch.cat([inside.float(), outside.float()], dim=1)
        target = torch.cat([torch.zeros_like(inside), torch.ones_like(outside)], dim=1)
        return F.binary_cross_entropy(tags, target.float())


def adapter_loss(logits: Tensor, labels: Tensor, weights: Tensor, known: Tensor | None = None) -> Tensor:
    """Cross entropy + Dice, each frame with its weight (SSVOS §3.3, supplement A).

    Losses of libraries average over the batch before frames could be weighed, so these are written out.

    Args:
        logits: (B, K + 1, H, W), background first.
        labels: classes, (B, H, W) int64.
        weights: of the frames, (B,).
        known: which classes can be told in which frame, (B, K + 1); see `merge_unknown`. None: all in all.

    Returns:
        A scalar: the mean over frames of weight times loss.
    """
    logits = logits.float()
    if known is not None:
        logits = merge_unknown(logits, known)
    cross_entropy = F.cross_entropy(logits, labels, reduction="none").mean((1, 2))
    dice = dice_loss(logits.softmax(1), labels, known)
    return ((cross_entropy + dice) * weights).mean()


def dice_loss(probs: Tensor, labels: Tensor, known: Tensor | None = None) -> Tensor:
    """1 - Dice, averaged over the classes that can be told.

    Args:
        probs: (B, K + 1, H, W).
        labels: classes, (B, H, W) int64.
        known: see `adapter_loss`.

    Returns:
        (B,), in [0, 1].
    """
    one_hot = F.one_hot(labels, probs.shape[1]).permute(0, 3, 1, 2).to(probs)
    overlap = (probs * one_hot).sum((2, 3))
    total = probs.sum((2, 3)) + one_hot.sum((2, 3))
    loss = 1 - (2 * overlap + 1) / (total + 1)  # the 1: a class that is rightly nowhere costs nothing
    return loss.mean(1) if known is None else (loss * known).sum(1) / known.sum(1)


def merge_unknown(logits: Tensor, known: Tensor) -> Tensor:
    """Count objects that were not given yet as background, whatever the network takes them for.

    A mask from before an object was given says "background" where the object may well be. Joining its probability to
    that of the background leaves the network free to see it there.

    Args:
        logits: (B, K + 1, H, W).
        known: (B, K + 1), the background always.
    """
    if bool(known.all()):
        return logits
    nothing = torch.finfo(logits.dtype).min
    known = known[:, :, None, None]
    joined = torch.cat([torch.ones_like(known[:, :1]), ~known[:, 1:]], dim=1)
    background = logits.masked_fill(~joined, nothing).logsumexp(1, keepdim=True)
    return torch.cat([background, logits[:, 1:].masked_fill(~known[:, 1:], nothing)], dim=1)


def label_loss(
    query: Tensor, asked: Tensor, keys: Tensor, labels: Tensor, temperature: float, least: float, cap: float
) -> Tensor:
    """How surely positions of one frame attend to their own label in another.

    Cross entropy of the labels' shares of the attention, between two bounds per position beyond which it teaches
    nothing: what is found well enough need not be found better, and what can't be found has no counterpart. The mean of
    each label's mean; 0 where the keys have fewer than two labels.

    Args:
        query: features (D, N).
        asked: their labels, (N,), each among those of the keys.
        keys: features (D, M).
        labels: theirs, (M,).
        temperature: divides the similarities.
        least: of a position, in nats.
        cap: likewise, at most.
    """
    present = labels.unique()
    if len(present) < 2:
        return query.sum() * 0
    similarity = query.mT @ keys / temperature
    shares = torch.stack([similarity[:, labels == label].logsumexp(1) for label in present], dim=1)
    losses = F.cross_entropy(shares, torch.searchsorted(present, asked), reduction="none").clamp(least, cap)
    return torch.stack([losses[asked == label].mean() for label in asked.unique()]).mean()
