"""Inputs of random shapes, and how results are compared."""

import torch


def random_inputs(batch, references, channels, value_channels, height, width, dtype=torch.float64):
    generator = torch.Generator().manual_seed(height * 100 + width + references)

    def make(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype).requires_grad_()

    return (
        make(batch, channels, height, width),
        make(batch, references, channels, height, width),
        make(batch, references, value_channels, height, width),
    )


def random_bias(keys):
    """A bias for each key, some of which it excludes."""
    generator = torch.Generator().manual_seed(1)
    shape = (*keys.shape[:2], *keys.shape[3:])
    bias = torch.randn(shape, generator=generator, dtype=torch.float64).to(keys.dtype)
    excluded = torch.rand(shape, generator=generator) < 0.2
    return bias.masked_fill(excluded, -1e4).requires_grad_()


def check(actual, expected, inputs, **tolerance):
    """Values and gradients."""
    torch.testing.assert_close(actual, expected, **tolerance)
    grad = torch.randn(expected.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).to(expected)
    mine = torch.autograd.grad(actual, inputs, grad.to(actual))
    for gradient, reference in zip(mine, torch.autograd.grad(expected, inputs, grad), strict=True):
        torch.testing.assert_close(gradient, reference, **tolerance)


SHAPES = [
    # batch, references, D, C, height, width, radius: none of them a multiple of the tile
    (1, 1, 4, 1, 5, 7, 2),
    (2, 3, 5, 2, 11, 9, 3),
    (1, 2, 3, 4, 17, 10, 1),
    (2, 1, 4, 3, 9, 19, 0),
    (1, 4, 6, 2, 3, 3, 12),
    (1, 1, 2, 1, 1, 1, 1),
    (1, 2, 3, 2, 1, 20, 4),
]
