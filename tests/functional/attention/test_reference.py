"""The definition against a loop over queries, references and positions."""

import math

import pytest
import torch

from vos_lightning.functional.attention import local_attention


def looped_attention(query, keys, values, radii, bias, topk, temperature):
    batch, _, height, width = query.shape
    output = torch.zeros(batch, values.shape[2], height, width)
    for b, y, x in torch.cartesian_prod(*map(torch.arange, (batch, height, width))).tolist():
        found = []
        for r, radius in enumerate(radii):
            for v, u in torch.cartesian_prod(torch.arange(height), torch.arange(width)).tolist():
                if radius is None or (abs(v - y) <= radius and abs(u - x) <= radius):
                    similarity = sum(q * k for q, k in zip(query[b, :, y, x], keys[b, r, :, v, u], strict=True))
                    found.append((float(similarity + bias[b, r, v, u]) / temperature, values[b, r, :, v, u]))
        found = sorted(found, key=lambda pair: -pair[0])[:topk]
        weights = [math.exp(similarity) for similarity, _ in found]
        output[b, :, y, x] = sum(w * v for w, (_, v) in zip(weights, found, strict=True)) / sum(weights)
    return output


@pytest.mark.parametrize("topk", [None, 1, 5, 1000])
@pytest.mark.parametrize("radii", [(1, 1), (0, 2), (None, 1), (None, None)])
def test_the_definition_is_that_of_a_loop(radii, topk):
    generator = torch.Generator().manual_seed(0)
    query, keys, values, bias = (
        torch.randn(2, *shape, generator=generator) for shape in [(3, 3, 4), (2, 3, 3, 4), (2, 2, 3, 4), (2, 3, 4)]
    )
    found = local_attention(query, keys, values, radii, bias=bias, topk=topk, temperature=0.7, backend="reference")
    torch.testing.assert_close(found, looped_attention(query, keys, values, radii, bias, topk, 0.7))
