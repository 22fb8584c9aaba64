"""A zoo on disk: which files of a folder are models' features, and what else lies there.

Two layouts are understood: one file for each model, named after it, in the folder or below it; and
``MODEL_DATASET_feature.npy`` beside ``MODEL_DATASET_label.npy``, all models and data sets in one
folder, as the scripts of SFDA, ETran, PED and EMMS write them.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ..text.quoting import plain, several, shown
from .array_files import SUFFIXES, Pathlike, listed

#: Names of what lies beside the models, without suffix.
COMPANIONS = ("labels", "label", "truth", "layers")

#: Folders below the zoo's that are searched; model names have few parts.
DEEPEST = 4

_FEATURES = re.compile(r"(.+)_features?", re.IGNORECASE | re.DOTALL)
_PARTS = re.compile(r"(.+)_(?:labels?|outputs?)", re.IGNORECASE | re.DOTALL)
_LABEL_ENDINGS = ("_label", "_labels")

#: Files that nobody takes for features: texts, pictures, programs, and what this package leaves.
_NO_FEATURES = (
    *(".md", ".rst", ".log", ".html", ".yaml", ".yml", ".toml", ".ini"),
    *(".png", ".jpg", ".jpeg", ".pdf", ".svg", ".gif"),
    *(".py", ".ipynb", ".sh", ".journal", ".tmp", ".lock"),
)
_NO_FEATURES_NAMES = ("readme", "license", "makefile", "requirements", "__pycache__")

#: Why something is passed over: of one, and of several.
_UNREAD = ("file that is not read as features", "files that are not read as features")
_BROKEN = ("broken link", "broken links")
_SPECIAL = ("pipe, socket or device", "pipes, sockets or devices")
_OWN_LABELS = ("folder with labels of its own", "folders with labels of their own")
_TOO_DEEP = (f"folder below {DEEPEST} others", f"folders below {DEEPEST} others")
_LOOPS = ("folder that leads back", "folders that lead back")
_CLOSED = ("folder that cannot be opened", "folders that cannot be opened")
_NO_DATASET = (
    "file not named as MODEL_DATASET_feature like the others",
    "files not named as MODEL_DATASET_feature like the others",
)


@dataclass
class ZooFolder:
    """What was found in a folder.

    Attributes
    ----------
    folder : Path
    models : dict of str to Path
        Model name, its folders included, to the file of its features; sorted.
    by_dataset : bool
        Whether the files are named ``MODEL_DATASET_feature``.
    passed_over : dict of (str, str) to list of str
        Why, in words for one and for several, to the names of what was passed over.
    """

    folder: Path
    models: dict[str, Path] = field(default_factory=dict)
    by_dataset: bool = False
    passed_over: dict[tuple[str, str], list[str]] = field(default_factory=dict)

    def note(self) -> str:
        """Return one line on what was passed over; empty if nothing was."""
        if not self.passed_over:
            return ""
        parts = [
            f"{len(names)} {one if len(names) == 1 else many} ({several(names, 3, 40)})"
            for (one, many), names in self.passed_over.items()
        ]
        return f"{plain(self.folder)}: passed over {listed(parts)}"


def find_features(
    folder: Pathlike, exclude: Iterable[Pathlike] = (), dataset: str | None = None
) -> dict[str, Path]:
    """Find the feature files of a zoo: model name to path, sorted.

    A model's name is that of its file without suffix; of files in sub-folders the folders are
    part of it, as in ``facebook/dino``. Of files named ``MODEL_DATASET_feature.npy`` that have a
    ``MODEL_DATASET_label.npy`` beside them it is the ``MODEL``.

    Parameters
    ----------
    folder : str or Path
    exclude : iterable of str or Path
        Files that are no features. Those named ``labels``, ``truth`` or ``layers`` and hidden ones
        never are, nor are the files of sub-folders that hold labels of their own.
    dataset : str, optional
        The data set, where files are named after model and data set. By default what follows the
        last underscore, which must be the same throughout; ``""`` says that they name none.

    Raises
    ------
    ValueError
        If the folder does not exist, holds no features, two files for one model, several data
        sets of which none was chosen, or not the one that was.

    Warns
    -----
    UserWarning
        If files were passed over that may be meant as models: of another format, broken links,
        pipes, and some sub-folders.
    """
    found = scan_folder(folder, exclude, dataset)
    if dataset is not None and not found.by_dataset:
        raise ValueError(
            f"{plain(found.folder)}: holds no MODEL_DATASET_feature.npy with a "
            f"MODEL_DATASET_label.npy, so there is no data set {shown(dataset)} to choose"
        )
    if note := found.note():
        warnings.warn(note, stacklevel=2)
    return found.models


def scan_folder(
    folder: Pathlike, exclude: Iterable[Pathlike] = (), dataset: str | None = None
) -> ZooFolder:
    """Find the feature files of a zoo, and what was passed over; raises as `find_features`.

    A ``dataset`` has no effect where the files name none; see ``by_dataset``.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(
            f"{plain(folder)}: is not a folder; name one with a file of features per model"
        )
    found = ZooFolder(folder)
    excluded = {Path(path).resolve() for path in exclude}
    files: dict[str, Path] = {}
    for name, path in _files(folder, found.passed_over):
        if _is_beside(path) or path.resolve() in excluded:
            continue
        if path.suffix.lower() in SUFFIXES:
            files[name] = path
        elif not _is_no_model(path):
            found.passed_over.setdefault(_UNREAD, []).append(name)
    of_datasets = {
        name: path
        for name, path in files.items()
        if _FEATURES.fullmatch(path.stem) and label_file_of(path)
    }
    found.by_dataset = bool(of_datasets)
    if of_datasets:
        _name_by_dataset(found, files, dataset)
    else:
        _name_by_file(found, files)
    if not found.models:
        note = found.note().partition(": ")[2]
        raise ValueError(
            f"{plain(folder)}: holds no features ({listed(SUFFIXES)} files)"
            + (f"; {note}" if note else "")
        )
    return found


def label_file_of(path: Path) -> Path | None:
    """Return the file of labels that belongs to ``..._feature.npy``, if there is one."""
    matched = _FEATURES.fullmatch(path.stem)
    if matched is None:
        return None
    suffixes = (path.suffix, *(suffix for suffix in SUFFIXES if suffix != path.suffix))
    for suffix in suffixes:
        for ending in _LABEL_ENDINGS:
            beside = path.with_name(f"{matched[1]}{ending}{suffix}")
            if beside.is_file():
                return beside
    return None


# ---------------------------------------------------------------------------- files of a folder


def _files(root: Path, passed_over: dict[tuple[str, str], list[str]]) -> Iterator[tuple[str, Path]]:
    """Yield all regular files that are not hidden, with their names below the root, sorted."""
    real = root.resolve()
    visited = {real, *real.parents}

    def walk(folder: Path, parts: tuple[str, ...]) -> Iterator[tuple[str, Path]]:
        for path in sorted(folder.iterdir()):
            if path.name.startswith(".") or path.name == "__pycache__":
                continue
            here = (*parts, path.name)
            name = "/".join(here)
            if path.is_file():
                yield name, path
                continue
            if not path.is_dir():
                why = _BROKEN if path.is_symlink() and not path.exists() else _SPECIAL
                passed_over.setdefault(why, []).append(name)
                continue
            target = path.resolve()
            try:
                inside = {p.stem.lower() for p in path.iterdir() if p.suffix}
            except OSError:
                why = _CLOSED
            else:
                if target in visited:
                    why = _LOOPS
                elif len(here) > DEEPEST:
                    why = _TOO_DEEP
                elif {"labels", "label"} & inside:
                    why = _OWN_LABELS
                else:
                    visited.add(target)
                    yield from walk(path, here)
                    continue
            passed_over.setdefault(why, []).append(f"{name}/")

    yield from walk(root, ())


def _is_beside(path: Path) -> bool:
    return path.stem.lower() in COMPANIONS


def _is_no_model(path: Path) -> bool:
    return path.suffix.lower() in _NO_FEATURES or path.stem.lower() in _NO_FEATURES_NAMES


# ---------------------------------------------------------------------------- names of models


def _name_by_file(found: ZooFolder, files: dict[str, Path]) -> None:
    for name, path in files.items():
        _add(found, name.removesuffix(path.suffix), path)


def _as_utf8(name: str) -> str:
    """Return a file's name as in a UTF-8 locale, so that it is that of the tables in any."""
    if os.name != "posix":
        return name
    return os.fsencode(name).decode("utf-8", "surrogateescape")


def _add(found: ZooFolder, model: str, path: Path) -> None:
    model = _as_utf8(model)
    if model in found.models:
        raise ValueError(
            f"{plain(found.folder)}: both {plain(found.models[model].name)} and "
            f"{plain(path.name)} hold features of model {shown(model)}; keep one of them"
        )
    found.models[model] = path


def _name_by_dataset(found: ZooFolder, files: dict[str, Path], dataset: str | None) -> None:
    """Name the models of one data set, of files MODEL_DATASET_feature."""
    stems: dict[str, Path] = {}
    for name, path in files.items():
        if matched := _FEATURES.fullmatch(name.removesuffix(path.suffix)):
            stem = matched[1]
            if stem in stems:
                raise ValueError(
                    f"{plain(found.folder)}: both {plain(stems[stem].name)} and "
                    f"{plain(path.name)} hold features of {shown(stem)}; keep one of them"
                )
            stems[stem] = path
    for name, path in files.items():
        part = _PARTS.fullmatch(name.removesuffix(path.suffix))
        if path not in stems.values() and not (part and part[1] in stems):
            found.passed_over.setdefault(_NO_DATASET, []).append(name)
    datasets = dict.fromkeys(_split(stem)[1] for stem in stems)
    if dataset is None:
        if "" in datasets:  # a model without an underscore: none of the names has a data set
            dataset = ""
        elif len(datasets) > 1:
            raise ValueError(
                f"{plain(found.folder)}: holds features of {len(datasets)} data sets, "
                f"{several(sorted(datasets), 12)}; choose one with dataset= or --dataset"
            )
        else:
            (dataset,) = datasets
    ending = f"_{dataset}" if dataset else ""
    for stem, path in stems.items():
        if stem.lower().endswith(ending.lower()) and len(stem) > len(ending):
            _add(found, stem[: len(stem) - len(ending)], path)
    if not found.models:
        raise ValueError(
            f"{plain(found.folder)}: holds no features of data set {shown(dataset)}, but of "
            f"{several(sorted(datasets), 12)}"
        )


def _split(stem: str) -> tuple[str, str]:
    """Model and data set: what precedes and follows the last underscore of the file's name."""
    model, _, dataset = stem.rpartition("_")
    return (model, dataset) if model and "/" not in dataset else (stem, "")
