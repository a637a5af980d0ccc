"""Both views of a frame that an encoder knows from its training."""

import torch

from vos_lightning.models.chroma_views import ChromaViews
from vos_lightning.models.reconstruction import ReconstructionEncoder


def test_similarities_are_the_mean_of_those_without_a_and_those_without_b():
    torch.manual_seed(0)
    encoder = ReconstructionEncoder(0.25, 16).eval()
    lab = torch.rand(3, 3, 24, 32) * 2 - 1
    with torch.no_grad():
        both = ChromaViews(encoder)(lab)
        views = []
        for lost in (1, 2):
            seen = lab * 1.5
            seen[:, lost] = 0
            views.append(encoder(seen))
    assert both.shape == (3, 32, 6, 8)
    similarities = torch.einsum("idhw,jdhw->ijhw", both, both)
    expected = sum(torch.einsum("idhw,jdhw->ijhw", view, view) for view in views) / 2
    torch.testing.assert_close(similarities, expected)
    assert (views[0] - views[1]).abs().max() > 0.01
