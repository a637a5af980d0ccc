"""Attention to whole frames, by PyTorch's own kernels (CT-VOS Fig. 2)."""

import torch
import torch.nn.functional as F
from torch import Tensor

# Similarities in memory at a time, in elements, where the kernel keeps them; queries are cut accordingly.
MAX_SIMILARITIES = 2**26


def dense_attention(query: Tensor, keys: Tensor, values: Tensor, temperature: float) -> Tensor:
    """softmax(QKᵀ / temperature) V over all positions of all references; arguments as in `local_attention`."""
    q = query.flatten(2).mT[:, None]
    k, v = (frames.transpose(1, 2).flatten(2).mT[:, None] for frames in (keys, values))
    queries = max(1, MAX_SIMILARITIES // (k.shape[0] * k.shape[2]))
    parts = [F.scaled_dot_product_attention(part, k, v, scale=1 / temperature) for part in q.split(queries, dim=2)]
    readout: Tensor = torch.cat(parts, dim=2)[:, 0].mT.unflatten(2, query.shape[-2:])
    return readout
