"""The classification tasks of the example zoo: real 8x8 grey images and their classes.

Everything is cut from photographs that scikit-image and scikit-learn carry inside their packages;
nothing is downloaded. A source task is a function of a number of images and a NumPy generator;
`SOURCES` names them. Sources and targets are the same type, `Task`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import permutations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import affine_transform, gaussian_filter
from skimage import data
from sklearn.datasets import load_digits, load_sample_image
from sklearn.model_selection import train_test_split

SIDE = 8  # pixels; the size of scikit-learn's digits
HELD_OUT = 0.2  # the lowest part of each photograph, never trained on
_CONTRAST = 0.04  # the least standard deviation of a crop, of a grey range of 0 to 1

PUBLIC_DOMAIN = "no known copyright restrictions, public domain"
PHOTOGRAPHS = {
    "astronaut": f"scikit-image; NASA; {PUBLIC_DOMAIN}",
    "brick": "scikit-image; CC0Textures; CC0",
    "camera": "scikit-image; Lav Varshney; CC0",
    "chelsea": "scikit-image; Stefan van der Walt; CC0",
    "china": "scikit-learn (china.jpg); danielbuechele, Flickr; CC BY 2.0",
    "coffee": "scikit-image; Rachel Michetti, courtesy of Pikolo Espresso Bar; CC0",
    "coins": "scikit-image; Brooklyn Museum; no known copyright restrictions",
    "flower": "scikit-learn (flower.jpg); vultilion, Flickr; CC BY 2.0",
    "grass": "scikit-image; linolafett, DeviantArt; CC0",
    "gravel": "scikit-image; CC0Textures; CC0",
    "hubble_deep_field": "scikit-image; NASA, HubbleSite; public domain",
    "immunohistochemistry": "scikit-image; CMMI; no known copyright restrictions",
    "moon": "scikit-image; no licence stated beside the function",
    "page": "scikit-image; no licence stated beside the function",
    "rocket": "scikit-image; SpaceX; public domain",
    "text": f"scikit-image; Wikipedia; {PUBLIC_DOMAIN}",
}
SCENES = ["astronaut", "camera", "chelsea", "china", "coffee", "coins", "flower", "rocket"]
TEXTURES = ["brick", "grass", "gravel", "hubble_deep_field", "immunohistochemistry", "moon"]
PAGES = ["page", "text"]


@dataclass(frozen=True)
class Task:
    """A classification problem with its two parts.

    Attributes
    ----------
    train_images, test_images : ndarray of float32, shape (n, 1, 8, 8)
        Every image has mean 0 and a standard deviation of at most 1.
    train_labels, test_labels : ndarray of int64, shape (n,)
        Classes 0 to ``n_classes - 1``.
    n_classes : int
        Number of classes.
    """

    train_images: NDArray[np.float32]
    train_labels: NDArray[np.int64]
    test_images: NDArray[np.float32]
    test_labels: NDArray[np.int64]
    n_classes: int


Sample = tuple[NDArray[np.float64], NDArray[np.int64]]
Source = Callable[[int, np.random.Generator, bool], Sample]


@cache
def photograph(name: str) -> NDArray[np.float64]:
    """Read one of `PHOTOGRAPHS` as grey values from 0 to 1, shape (height, width)."""
    from_sklearn = PHOTOGRAPHS[name].startswith("scikit-learn")
    pixels = load_sample_image(f"{name}.jpg") if from_sklearn else getattr(data, name)()
    grey = pixels @ [0.2125, 0.7154, 0.0721] if pixels.ndim == 3 else pixels
    return grey / 255


def crops(
    names: list[str], n: int, rng: np.random.Generator, held_out: bool, most_zoom: int = 6
) -> Sample:
    """Cut square crops at random places and scales, and average each to 8x8 pixels.

    Parameters
    ----------
    names : list of str
        The photographs to cut from, each as often as the others.
    n : int
        Number of crops.
    rng : numpy.random.Generator
        Draws the photograph, the place and the scale.
    held_out : bool
        Cut from the lowest fifth of the photographs instead of from the rest.
    most_zoom : int
        Largest scale; at scale k, k x k pixels of the photograph make one pixel of the crop.

    Returns
    -------
    images : ndarray, shape (n, 8, 8)
        Grey values from 0 to 1. Crops that are nearly of one grey are not taken.
    origin : ndarray of int64, shape (n,)
        Index into `names`.
    """
    borders = {name: int(len(photograph(name)) * (1 - HELD_OUT)) for name in names}
    parts = [
        photograph(name)[border:] if held_out else photograph(name)[:border]
        for name, border in borders.items()
    ]
    return cut(parts, n, rng, most_zoom)


def cut(
    pictures: list[NDArray[np.float64]],
    n: int,
    rng: np.random.Generator,
    most_zoom: int,
    least_zoom: int = 1,
) -> Sample:
    """Cut as `crops` does, from given pictures of any size; returns the same."""
    images = np.empty((n, SIDE, SIDE))
    origin = rng.integers(len(pictures), size=n)
    for i, pixels in enumerate(pictures[picture] for picture in origin):
        flat = True
        while flat:
            zoom = rng.integers(least_zoom, most_zoom + 1)
            top, left = rng.integers(np.array(pixels.shape) - zoom * SIDE + 1)
            crop = pixels[top : top + zoom * SIDE, left : left + zoom * SIDE]
            images[i] = crop.reshape(SIDE, zoom, SIDE, zoom).mean(axis=(1, 3))
            flat = images[i].std() < _CONTRAST
    return images, origin


def _turn(images: NDArray[np.float64], quarters: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.stack([np.rot90(image, k) for image, k in zip(images, quarters, strict=True)])


def photographs(n: int, rng: np.random.Generator, held_out: bool) -> Sample:
    """Which of eight photographs does the crop come from?"""
    return crops(SCENES, n, rng, held_out)


def textures(n: int, rng: np.random.Generator, held_out: bool) -> Sample:
    """Which of six surfaces does the crop show?"""
    return crops(TEXTURES, n, rng, held_out, most_zoom=3)


def rotation(n: int, rng: np.random.Generator, held_out: bool) -> Sample:
    """By how many quarter turns was the crop rotated? (Gidaris et al., ICLR 2018)"""
    quarters = rng.integers(4, size=n)
    return _turn(crops(SCENES, n, rng, held_out)[0], quarters), quarters


def corruption(n: int, rng: np.random.Generator, held_out: bool) -> Sample:
    """Which of six things was done to the crop: nothing, noise, blur or lost pixels?"""
    images = crops(SCENES, n, rng, held_out)[0]
    labels = rng.integers(6, size=n)
    for degree, (sigma_noise, sigma_blur) in enumerate([(0.08, 0.6), (0.25, 1.2)]):
        noisy, blurred = labels == 1 + degree, labels == 3 + degree
        images[noisy] += sigma_noise * rng.standard_normal(images[noisy].shape)
        images[blurred] = gaussian_filter(images[blurred], (0, sigma_blur, sigma_blur))
    lost = labels == 5
    images[lost] *= rng.random(images[lost].shape) > 0.2
    return images, labels


def jigsaw(n: int, rng: np.random.Generator, held_out: bool) -> Sample:
    """In which of eight orders were the quadrants put back? (Noroozi and Favaro, ECCV 2016)"""
    images = crops(SCENES, n, rng, held_out)[0]
    labels = rng.integers(8, size=n)
    orders = np.array(list(permutations(range(4))))[::3]
    half = SIDE // 2
    quadrants = images.reshape(n, 2, half, 2, half).swapaxes(2, 3).reshape(n, 4, half, half)
    shuffled = quadrants[np.arange(n)[:, None], orders[labels]]
    return shuffled.reshape(n, 2, 2, half, half).swapaxes(2, 3).reshape(n, SIDE, SIDE), labels


def edges(n: int, rng: np.random.Generator, held_out: bool) -> Sample:
    """In which of eight directions does the crop change most, by its structure tensor?"""
    images = crops(SCENES, n, rng, held_out)[0]
    dy, dx = np.gradient(images, axis=(1, 2))
    doubled_angle = np.arctan2(2 * (dx * dy).sum(axis=(1, 2)), (dx**2 - dy**2).sum(axis=(1, 2)))
    return images, (np.round(doubled_angle / (2 * np.pi) * 8) % 8).astype(np.int64)


def print_(n: int, rng: np.random.Generator, held_out: bool) -> Sample:
    """Which of two printed pages is it, and by how many quarter turns was it rotated?"""
    images, page = crops(PAGES, n, rng, held_out, most_zoom=3)
    quarters = rng.integers(4, size=n)
    return _turn(images, quarters), 4 * page + quarters


def exemplars(n: int, rng: np.random.Generator, held_out: bool) -> Sample:
    """Which of forty fragments of print was distorted? (Dosovitskiy et al., NeurIPS 2014)

    Each class is one place of a page; its images are cut there with a random shift, turn and scale.
    The images to test on are other distortions of the same fragments.
    """
    n_classes, zoom = 40, 2
    places = np.random.default_rng(40)
    pages = [gaussian_filter(photograph(name), zoom / 2) for name in PAGES]
    fragments: list[tuple[NDArray[np.float64], NDArray[np.int64]]] = []
    while len(fragments) < n_classes:
        page = pages[len(fragments) % len(pages)]
        centre = places.integers(2 * SIDE, np.array(page.shape) - 2 * SIDE)
        around = [slice(c - SIDE, c + SIDE) for c in centre]
        if page[tuple(around)].std() > 2 * _CONTRAST:
            fragments.append((page, centre))
    labels = rng.integers(n_classes, size=n)
    images = np.empty((n, SIDE, SIDE))
    for i, (page, centre) in enumerate(fragments[label] for label in labels):
        angle, scale = rng.uniform(-0.35, 0.35), zoom * rng.uniform(0.8, 1.25)
        turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        corner = centre + rng.uniform(-zoom, zoom, size=2) - turn @ ([(SIDE - 1) / 2] * 2)
        images[i] = affine_transform(page, turn, corner, (SIDE, SIDE), order=1, mode="nearest")
    return images, labels


def shuffled(n: int, rng: np.random.Generator, held_out: bool) -> Sample:
    """Which photograph does some other crop come from? Nothing to learn but by heart."""
    images, labels = photographs(n, rng, held_out)
    return images, rng.permutation(labels)


SOURCES: dict[str, Source] = {
    "photographs": photographs,
    "textures": textures,
    "rotation": rotation,
    "corruption": corruption,
    "jigsaw": jigsaw,
    "edges": edges,
    "print": print_,
    "exemplars": exemplars,
    "shuffled": shuffled,
}


def standardise(images: NDArray[np.float64]) -> NDArray[np.float32]:
    """Give every image mean 0 and a standard deviation just below 1, as (n, 1, 8, 8)."""
    centred = images - images.mean(axis=(1, 2), keepdims=True)
    scaled = centred / (images.std(axis=(1, 2), keepdims=True) + 0.01)
    return scaled[:, None].astype(np.float32)


def source_task(name: str, n: int, seed: int) -> Task:
    """Make one of `SOURCES` with n images to train on and n / 4 to test on."""
    rng = np.random.default_rng([seed, *name.encode()])
    train_images, train_labels = SOURCES[name](n, rng, False)
    test_images, test_labels = SOURCES[name](n // 4, rng, True)
    return Task(
        standardise(train_images),
        train_labels,
        standardise(test_images),
        test_labels,
        n_classes=int(train_labels.max()) + 1,
    )


def digits_task(seed: int) -> Task:
    """Make the target: scikit-learn's 1797 handwritten digits, 900 of them to train on."""
    digits = load_digits()
    train, test = train_test_split(
        np.arange(len(digits.target)), train_size=900, stratify=digits.target, random_state=seed
    )
    images = standardise(digits.images / 16)
    labels = digits.target.astype(np.int64)
    return Task(images[train], labels[train], images[test], labels[test], n_classes=10)
