"""The network's shapes, and that the decoder sees nothing but the read-out."""

import pytest
import torch

from vos_lightning.functional.attention import local_attention
from vos_lightning.models.cutout_tagging import CutoutTagging, Decoder, MatchingSettings
from vos_lightning.models.reconstruction import downsample


def clip(batch=2, past=3, size=(32, 48), seed=0):
    generator = torch.Generator().manual_seed(seed)
    current = torch.rand(batch, 3, *size, generator=generator) * 2 - 1
    return current, torch.rand(batch, past, 3, *size, generator=generator) * 2 - 1


def network(**options):
    torch.manual_seed(0)
    return CutoutTagging(**({"width": 0.125, "key_dim": 8, "value_dim": 16} | options))


@pytest.mark.parametrize("depth", [18, 50])
@pytest.mark.parametrize("stride", [16, 8, 4])
def test_three_channels_and_tags_of_the_frame_size_come_out(depth, stride):
    current, past = clip(size=(16, 32))
    reconstruction, tags = network(depth=depth, output_stride=stride)(current, past, past)
    assert reconstruction.shape == (2, 3, 16, 32)
    assert tags.shape == (2, 1, 16, 32)
    assert tags.min() >= 0
    assert tags.max() <= 1


def test_the_paper_model_is_the_default():
    model = CutoutTagging()
    assert model.stride == 16
    assert [model.query_encoder.trunk.channels, model.value_encoder.trunk.channels] == [256, 256]


def test_queries_and_keys_start_alike_and_are_apart():
    model = network()
    for (name, a), (_, b) in zip(
        model.query_encoder.named_parameters(), model.key_encoder.named_parameters(), strict=True
    ):
        assert torch.equal(a, b), name
        assert a.data_ptr() != b.data_ptr(), name


def test_the_current_frame_only_chooses_what_is_read():
    """Where all values are alike there is nothing to choose: then the current frame changes nothing, to the bit."""
    model = network().eval()
    current, past = clip()
    other, _ = clip(seed=1)
    even = past.mean((1, 3, 4), keepdim=True).expand_as(past)
    model.value_encoder.register_forward_hook(lambda _, __, out: out.mean((0, 2, 3), keepdim=True).expand_as(out))
    outputs = [model(frame, past, even) for frame in (current, other)]
    for a, b in zip(*outputs, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=0)


def test_the_decoder_takes_the_readout_alone():
    seen = []
    model = network()
    model.decoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs))
    model(*clip(), clip()[1])
    (inputs,) = seen
    assert [tuple(x.shape) for x in inputs] == [(2, 16, 2, 3)]


def test_all_four_networks_learn():
    model = network()
    current, past = clip()
    reconstruction, tags = model(current, past, past)
    (reconstruction.square().mean() + tags.mean()).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
    assert all((next(part.parameters()).grad != 0).any() for part in model.children())


def test_bfloat16_gives_nearly_the_same():
    model = network().eval()
    inputs = (*clip(), clip()[1])
    exact = model(*inputs)
    with torch.autocast("cpu", torch.bfloat16):
        rough = model(*inputs)
    for a, b in zip(exact, rough, strict=True):
        assert b.dtype == torch.float32
        assert (a - b).abs().mean() < 0.05 * a.abs().mean() + 0.01


def test_the_decoder_halves_its_channels_as_it_grows():
    widths = [stage[0].branch[-1].num_features for stage in Decoder(64, 16, 1.0).stages if len(list(stage.children()))]
    assert widths == [256, 128, 64, 32]


MAST_LIKE = {"output_stride": 4, "matching": MatchingSettings("mast", width=0.125), "copy": True}


def test_with_copying_an_untrained_decoder_adds_nothing_to_what_is_copied():
    model = network(**MAST_LIKE).eval()
    current, past = clip()
    reconstruction, tags = model(current, past, past)
    query = model.query_encoder(current)
    keys = model.key_encoder(past.flatten(0, 1)).unflatten(0, (2, -1))
    copied = local_attention(query, keys, downsample(past, 4), None, temperature=model.temperature)
    expected = torch.nn.functional.interpolate(copied, scale_factor=4, mode="bilinear")
    torch.testing.assert_close(reconstruction, expected, atol=1e-5, rtol=1e-5)
    assert tags.std() > 0


def test_a_window_bounds_what_is_read_in_training():
    current, past = clip(batch=1, past=1)
    other = past.clone()
    other[..., 24:] = 0  # more than the window, and what the encoder sees, away from the left edge
    narrow = network(**(MAST_LIKE | {"matching": MatchingSettings("mast", width=0.125, radius=0)})).eval()
    images = [narrow(current, past, values)[0] for values in (past, other)]
    torch.testing.assert_close(images[0][..., :16], images[1][..., :16])
    wide = [network(**MAST_LIKE).eval()(current, past, values)[0] for values in (past, other)]
    assert (wide[0][..., :16] - wide[1][..., :16]).abs().max() > 0.01


def test_with_topk_one_the_most_similar_position_is_read_alone():
    model = network(**(MAST_LIKE | {"matching": MatchingSettings("mast", width=0.125, topk=1)})).eval()
    current, past = clip(batch=1, past=1)
    reconstruction, _ = model(current, past, past)
    query, key = model.query_encoder(current)[0].flatten(1), model.key_encoder(past[0])[0].flatten(1)
    copied = downsample(past[0, 0], 4).flatten(1)[:, (query.T @ key).argmax(1)].view(1, 3, 8, 12)
    torch.testing.assert_close(reconstruction, torch.nn.functional.interpolate(copied, scale_factor=4, mode="bilinear"))


@pytest.mark.parametrize("detach", [False, True])
def test_gradient_of_the_tags_is_kept_from_queries_and_keys(detach):
    model = network(**MAST_LIKE)
    current, past = clip()
    reconstruction, tags = model(current, past, past, detach_tags=detach)
    torch.testing.assert_close(tags, model(current, past, past)[1])
    tags.square().mean().backward(retain_graph=True)
    reached = {name: any(p.grad is not None for p in part.parameters()) for name, part in model.named_children()}
    assert reached == {
        "query_encoder": not detach,
        "key_encoder": not detach,
        "value_encoder": True,
        "decoder": True,
    }
    reconstruction.square().mean().backward()
    assert all(p.grad is not None for p in model.query_encoder.parameters())


def test_the_encoder_of_mast_has_a_stride_of_its_own():
    with pytest.raises(ValueError, match="output_stride is 16"):
        network(matching=MatchingSettings("mast"))
