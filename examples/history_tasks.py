"""The target tasks of the transfer history: real 8x8 grey images, easy and hard, near and far.

Handwritten digits (all, some, altered, relabelled) and crops of photographs. No pixel that a model
was pre-trained on is in a target: crops come from the part of each photograph that pre-training
holds out, or from photographs that it does not use; one side of each is trained on, the other
tested on. `TARGETS` names the tasks; everything comes with scikit-learn and scikit-image.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, shift
from skimage import data
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from zoo_tasks import (
    HELD_OUT,
    PAGES,
    SCENES,
    SIDE,
    TEXTURES,
    Sample,
    Source,
    Task,
    cut,
    photograph,
    standardise,
)

Images = NDArray[np.float64]
Alteration = Callable[[Images, np.random.Generator], Images]

TRAIN_IMAGES = 400  # at most; a model's features of these are what a metric sees
TEST_IMAGES = 800  # at most
SURFACES = [name for name in TEXTURES if name != "moon"]  # held out of the moon: hardly any light
TRAIN_SIDE = 0.6  # the left part of a picture, to train on; the rest is to test on

UNSEEN = {
    "clock": "scikit-image; Stefan van der Walt; public domain",
    "lfw_subset": "scikit-image; faces and backgrounds of Labeled Faces in the Wild (Huang et al.)",
    "retina": "scikit-image; Mikael Häggström; CC0",
    "stereo_motorcycle": "scikit-image; Middlebury 2014 stereo benchmark (Scharstein et al.)",
}


@dataclass(frozen=True)
class Target:
    """A task to transfer to.

    Attributes
    ----------
    question : str
        What the classes are.
    sample : callable
        Draws images and labels, as the sources of `zoo_tasks` do.
    labelled : int
        Images to fine-tune on, drawn anew for every seed from those to train on.
    """

    question: str
    sample: Source
    labelled: int


@cache
def _digits(held_out: bool) -> tuple[Images, NDArray[np.int64]]:
    digits = load_digits()
    parts = train_test_split(
        np.arange(len(digits.target)), train_size=900, stratify=digits.target, random_state=0
    )
    part = parts[held_out]
    return digits.images[part] / 16, digits.target[part].astype(np.int64)


def _unaltered(images: Images, rng: np.random.Generator) -> Images:
    return images


def digits(
    n: int,
    rng: np.random.Generator,
    held_out: bool,
    kinds: Sequence[int] = range(10),
    alter: Alteration = _unaltered,
) -> Sample:
    """Draw handwritten digits of the given kinds; classes are positions in `kinds`."""
    images, labels = _digits(held_out)
    of_kind = np.flatnonzero(np.isin(labels, kinds))
    chosen = rng.permutation(of_kind)[:n]
    return alter(images[chosen], rng), np.searchsorted(kinds, labels[chosen])


def _noisy(images: Images, rng: np.random.Generator) -> Images:
    return images + 0.45 * rng.standard_normal(images.shape)


def _blurred(images: Images, rng: np.random.Generator) -> Images:
    return gaussian_filter(images, (0, 1.5, 1.5))


def _sparse(images: Images, rng: np.random.Generator) -> Images:
    return images * (rng.random(images.shape) > 0.4)


def _negative(images: Images, rng: np.random.Generator) -> Images:
    return 1 - images


def _occluded(images: Images, rng: np.random.Generator) -> Images:
    hidden = images.copy()
    half = SIDE // 2
    corners = half * rng.integers(2, size=(len(images), 2))
    for image, (top, left) in zip(hidden, corners, strict=True):
        image[top : top + half, left : left + half] = 0
    return hidden


def _shifted(images: Images, rng: np.random.Generator) -> Images:
    moves = rng.uniform(-2, 2, size=(len(images), 2))
    return np.stack([shift(i, move, order=1) for i, move in zip(images, moves, strict=True)])


def _upper_half(images: Images, rng: np.random.Generator) -> Images:
    upper = images.copy()
    upper[:, SIDE // 2 :] = 0
    return upper


def _turned(images: Images, rng: np.random.Generator) -> Images:
    return _turn(images, rng.integers(4, size=len(images)))


def _turn(images: Images, quarters: NDArray[np.int64]) -> Images:
    return np.stack([np.rot90(image, k) for image, k in zip(images, quarters, strict=True)])


def regrouped(n: int, rng: np.random.Generator, held_out: bool, group: Sequence[int]) -> Sample:
    """Draw digits with the class ``group[digit]``."""
    images, kinds = digits(n, rng, held_out)
    return images, np.array(group)[kinds]


def mislabelled(n: int, rng: np.random.Generator, held_out: bool, wrong: float) -> Sample:
    """Draw digits, of which a part of those to train on has a label at random."""
    images, labels = digits(n, rng, held_out)
    if not held_out:
        chosen = rng.random(len(labels)) < wrong
        labels = np.where(chosen, rng.integers(10, size=len(labels)), labels)
    return images, labels


def turns(n: int, rng: np.random.Generator, held_out: bool, draw: Source) -> Sample:
    """Turn images by quarters; the class is by how many."""
    images = draw(n, rng, held_out)[0]
    quarters = rng.integers(4, size=len(images))
    return _turn(images, quarters), quarters


def changed(
    n: int, rng: np.random.Generator, held_out: bool, draw: Source, change: Alteration
) -> Sample:
    """Change every other image, by chance; the class is whether it is changed."""
    images = draw(n, rng, held_out)[0]
    labels = rng.integers(2, size=len(images))
    return np.where(labels[:, None, None] == 1, change(images, rng), images), labels


def degraded(
    n: int, rng: np.random.Generator, held_out: bool, draw: Source, noise: bool, degrees: list
) -> Sample:
    """Add noise to images, or blur them; the class is by how much."""
    images = draw(n, rng, held_out)[0]
    labels = rng.integers(len(degrees), size=len(images))
    for degree, sigma in enumerate(degrees):
        chosen = images[labels == degree]
        images[labels == degree] = (
            chosen + sigma * rng.standard_normal(chosen.shape)
            if noise
            else gaussian_filter(chosen, (0, sigma, sigma))
        )
    return images, labels


def _mirror(images: Images, rng: np.random.Generator) -> Images:
    return images[:, :, ::-1]


def _swap_halves(images: Images, rng: np.random.Generator) -> Images:
    return np.roll(images, SIDE // 2, axis=2)


def _lose_few(images: Images, rng: np.random.Generator) -> Images:
    return images * (rng.random(images.shape) > 0.1)


def _side(picture: NDArray, held_out: bool) -> NDArray:
    """Return the part of a picture to train on, or to test on."""
    border = int(picture.shape[1] * TRAIN_SIDE)
    return picture[:, border:] if held_out else picture[:, :border]


def crops(
    n: int, rng: np.random.Generator, held_out: bool, names: list[str], zooms: tuple[int, int]
) -> Sample:
    """Which of the named photographs does the crop come from?"""
    strips = [photograph(name)[int(len(photograph(name)) * (1 - HELD_OUT)) :] for name in names]
    sides = [_side(strip, held_out) for strip in strips]
    return cut(sides, n, rng, least_zoom=zooms[0], most_zoom=zooms[1])


@cache
def _unseen(name: str) -> Images:
    picture = getattr(data, name)()
    pixels = picture[0] if name == "stereo_motorcycle" else picture
    grey = pixels @ [0.2125, 0.7154, 0.0721] if pixels.ndim == 3 else pixels
    return grey / 255


def unseen(n: int, rng: np.random.Generator, held_out: bool) -> Sample:
    """Which of three photographs that no model was pre-trained on does the crop come from?"""
    names = ["clock", "retina", "stereo_motorcycle"]
    return cut([_side(_unseen(name), held_out) for name in names], n, rng, most_zoom=6)


def faces(
    n: int,
    rng: np.random.Generator,
    held_out: bool,
    background: bool = True,
    alter: Alteration = _unaltered,
) -> Sample:
    """Is it a face? Of the faces and of the backgrounds, half are to train on."""
    pictures = data.lfw_subset().reshape(2, 100, 25, 25)
    half = pictures[:, 50:] if held_out else pictures[:, :50]
    labels = rng.integers(1 + background, size=n)
    zoom = 3
    which, top, left = rng.integers(50, size=n), *rng.integers(2, size=(2, n))
    images = np.empty((n, SIDE, SIDE))
    for i, picture in enumerate(half[labels, which]):
        crop = picture[top[i] : top[i] + zoom * SIDE, left[i] : left[i] + zoom * SIDE]
        images[i] = crop.reshape(SIDE, zoom, SIDE, zoom).mean(axis=(1, 3))
    return alter(images, rng), 1 - labels


def directions(n: int, rng: np.random.Generator, held_out: bool) -> Sample:
    """In which of four directions does a surface change most, by its structure tensor?"""
    images = crops(n, rng, held_out, SURFACES, (1, 3))[0]
    dy, dx = np.gradient(images, axis=(1, 2))
    doubled_angle = np.arctan2(2 * (dx * dy).sum(axis=(1, 2)), (dx**2 - dy**2).sum(axis=(1, 2)))
    return images, (np.round(doubled_angle / (2 * np.pi) * 4) % 4).astype(np.int64)


def darkest_quadrant(n: int, rng: np.random.Generator, held_out: bool) -> Sample:
    """Which quarter of the crop of a scene is the darkest?"""
    images = crops(n, rng, held_out, SCENES, (1, 6))[0]
    half = SIDE // 2
    quadrants = images.reshape(n, 2, half, 2, half).mean(axis=(2, 4)).reshape(n, 4)
    return images, quadrants.argmin(axis=1)


_scenes = partial(crops, names=SCENES, zooms=(1, 6))
_surfaces = partial(crops, names=SURFACES, zooms=(1, 3))
_pages = partial(crops, names=PAGES, zooms=(1, 3))

TARGETS: dict[str, Target] = {
    "digits_few": Target("Digits, four labelled of each.", digits, 40),
    "digits_more": Target("Digits, ten labelled of each.", digits, 100),
    "digits_low": Target("Digits 0 to 4.", partial(digits, kinds=range(5)), 20),
    "digits_high": Target("Digits 5 to 9.", partial(digits, kinds=range(5, 10)), 20),
    "digits_3589": Target("Digits 3, 5, 8 and 9.", partial(digits, kinds=[3, 5, 8, 9]), 20),
    "digits_1479": Target("Digits 1, 4, 7 and 9.", partial(digits, kinds=[1, 4, 7, 9]), 20),
    "digits_parity": Target("Digits: odd?", partial(regrouped, group=[0, 1] * 5), 60),
    "digits_size": Target("Digits: five or more?", partial(regrouped, group=[0] * 5 + [1] * 5), 60),
    "digits_thirds": Target(
        "Digits: the remainder modulo 3.", partial(regrouped, group=[0, 1, 2] * 3 + [0]), 60
    ),
    "digits_noisy": Target("Digits in strong noise.", partial(digits, alter=_noisy), 200),
    "digits_blurred": Target("Digits, blurred.", partial(digits, alter=_blurred), 100),
    "digits_sparse": Target(
        "Digits with two fifths of the pixels lost.", partial(digits, alter=_sparse), 100
    ),
    "digits_negative": Target("Digits as negatives.", partial(digits, alter=_negative), 60),
    "digits_occluded": Target(
        "Digits with a quarter of the image hidden.", partial(digits, alter=_occluded), 100
    ),
    "digits_shifted": Target(
        "Digits, shifted by up to two pixels.", partial(digits, alter=_shifted), 100
    ),
    "digits_upper": Target("Digits, their upper half.", partial(digits, alter=_upper_half), 100),
    "digits_turned": Target("Digits, turned by quarters.", partial(digits, alter=_turned), 200),
    "digits_mislabelled": Target(
        "Digits, three in ten with a label at random.", partial(mislabelled, wrong=0.3), 100
    ),
    "digits_orientation": Target(
        "Digits: by how many quarters turned?", partial(turns, draw=digits), 40
    ),
    "digits_mirror": Target(
        "Digits: mirrored?",
        partial(changed, draw=digits, change=_mirror),
        60,
    ),
    "scenes": Target("Which of eight photographs?", _scenes, 200),
    "unseen": Target("Which of three photographs unseen so far?", unseen, 60),
    "unseen_noise": Target(
        "Unseen photographs: which of three strengths of noise?",
        partial(degraded, draw=unseen, noise=True, degrees=[0, 0.06, 0.15]),
        60,
    ),
    "faces_noisy": Target(
        "A face, or background, in strong noise?", partial(faces, alter=_noisy), 60
    ),
    "faces_orientation": Target(
        "A face: by how many quarters turned?",
        partial(turns, draw=partial(faces, background=False)),
        60,
    ),
    "surfaces": Target(
        "Which of five surfaces, seen from afar?", partial(crops, names=SURFACES, zooms=(4, 4)), 100
    ),
    "surfaces_near": Target(
        "Brick, grass or gravel, seen closely?",
        partial(crops, names=["brick", "grass", "gravel"], zooms=(1, 2)),
        60,
    ),
    "surfaces_blur": Target(
        "Surfaces: which of three strengths of blur?",
        partial(degraded, draw=_surfaces, noise=False, degrees=[0, 0.5, 0.9]),
        60,
    ),
    "pages_halves": Target(
        "Print: are its halves swapped?", partial(changed, draw=_pages, change=_swap_halves), 100
    ),
    "scenes_halves": Target(
        "A photograph: are its halves swapped?",
        partial(changed, draw=_scenes, change=_swap_halves),
        100,
    ),
    "scenes_lost": Target(
        "A photograph: are pixels lost?", partial(changed, draw=_scenes, change=_lose_few), 60
    ),
    "surfaces_noise": Target(
        "Surfaces: which of four strengths of noise?",
        partial(degraded, draw=_surfaces, noise=True, degrees=[0, 0.05, 0.1, 0.2]),
        100,
    ),
    "scenes_blur": Target(
        "A photograph: which of four strengths of blur?",
        partial(degraded, draw=_scenes, noise=False, degrees=[0, 0.5, 0.8, 1.2]),
        60,
    ),
    "surfaces_direction": Target("Surfaces: which of four directions of change?", directions, 60),
    "scenes_darkest": Target("A photograph: which quarter is the darkest?", darkest_quadrant, 40),
}


def domain_of(name: str) -> str:
    """Tell what the images of one of `TARGETS` are of: "digits" or "photographs"."""
    return "digits" if name.startswith("digits") else "photographs"


def source_of(task: str) -> str:
    """Name the images that a task is made from: tasks of the same are no independent evidence."""
    return task.partition("_")[0]


def target_task(name: str, seed: int) -> Task:
    """Make one of `TARGETS`, with up to 400 images to train on and 800 to test on."""
    rng = np.random.default_rng([seed, *name.encode()])
    sample = TARGETS[name].sample
    train_images, train_labels = sample(TRAIN_IMAGES, rng, False)
    test_images, test_labels = sample(TEST_IMAGES, rng, True)
    return Task(
        standardise(train_images),
        train_labels,
        standardise(test_images),
        test_labels,
        n_classes=int(train_labels.max()) + 1,
    )
