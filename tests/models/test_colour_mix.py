"""Features joined with colours."""

import torch
import torch.nn.functional as F

from vos_lightning.models.colour_mix import CHROMA_GAIN, ColourMix
from vos_lightning.models.lab_patches import LabPatches
from vos_lightning.models.reconstruction import ReconstructionEncoder


def test_similarities_are_the_weighted_sum_and_features_have_length_one():
    torch.manual_seed(0)
    encoder = ReconstructionEncoder(0.125, 16).eval()
    lab = torch.rand(2, 3, 32, 48) * 2 - 1
    with torch.no_grad():
        mixed, features = ColourMix(encoder, 0.3)(lab), encoder(lab)
    stretched = lab * torch.tensor([1, CHROMA_GAIN, CHROMA_GAIN]).view(3, 1, 1)
    patches = LabPatches()(stretched)
    assert mixed.shape == (2, 16 + 27, 8, 12)
    torch.testing.assert_close(mixed.norm(dim=1), torch.ones(2, 8, 12))

    def similarity(x):
        return (x[0] * x[1]).sum(0)

    torch.testing.assert_close(similarity(mixed), 0.7 * similarity(features) + 0.3 * similarity(patches))
    assert F.cosine_similarity(patches, LabPatches()(lab)).min() < 0.999
