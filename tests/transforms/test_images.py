"""Images with their masks: they change together, and without global random numbers."""

import subprocess
import sys

import numpy as np

from vos_lightning.transforms.images import ImageAugmentation, resize_image, resize_mask

RNG = np.random.default_rng(0)


def test_resizing_averages_images_and_never_invents_ids():
    image = np.zeros((40, 60, 3), np.uint8)
    image[::2] = 200
    small = resize_image(image, 10)
    assert small.shape == (10, 10, 3)
    assert abs(int(small[5, 5, 0]) - 100) <= 2
    mask = RNG.choice(np.array([0, 3, 250], np.uint8), (40, 60))
    assert set(np.unique(resize_mask(mask, 32))) <= {0, 3, 250}


def test_image_and_mask_are_mirrored_together():
    mask = np.zeros((16, 16), np.uint8)
    mask[:, :5] = 7
    image = np.repeat(mask[..., None] * 30, 3, axis=2)
    augment = ImageAugmentation(0, colour_jitter=0, to_gray=0)
    mirrored = 0
    for _ in range(20):
        new_image, new_mask = augment(image, mask)
        assert np.array_equal(new_image[..., 0], new_mask * 30)
        mirrored += bool(new_mask[0, -1])
    assert 3 < mirrored < 17


def test_colours_change_and_the_mask_does_not():
    image = RNG.integers(0, 256, (16, 16, 3)).astype(np.uint8)
    mask = RNG.choice(np.array([0, 9], np.uint8), (16, 16))
    new_image, new_mask = ImageAugmentation(1, colour_jitter=1, horizontal_flip=0)(image, mask)
    assert not np.array_equal(new_image, image)
    assert np.array_equal(new_mask, mask)
    gray, _ = ImageAugmentation(1, colour_jitter=0, to_gray=1, horizontal_flip=0)(image, mask)
    assert np.array_equal(gray[..., 0], gray[..., 1])


def test_draws_follow_the_seed_alone():
    image, mask = RNG.integers(0, 256, (8, 8, 3)).astype(np.uint8), np.zeros((8, 8), np.uint8)
    first = [ImageAugmentation(5)(image, mask)[0]]
    np.random.rand(3)
    second = [ImageAugmentation(5)(image, mask)[0]]
    assert np.array_equal(first, second)
    assert not np.array_equal(ImageAugmentation(6)(image, mask)[0], first[0])


def test_albumentations_is_imported_only_when_it_is_used():
    code = (
        "import sys; import vos_lightning.transforms.images, vos_lightning.inference.adaptation; "
        "print('albumentations' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=1800, check=True)
    assert result.stdout.strip() == "False"
