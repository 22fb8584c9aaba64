"""The door: NumPy arrays and PyTorch tensors in, checks, labels to codes; all input errors' words.

Nothing here copies features that the kernels can read as they are, and nothing writes to them.
Features on a GPU stay there, as tensors; all else becomes NumPy arrays. Labels are read on the host
wherever they are: they are small.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from ..kernels.array_namespace import array_namespace, as_float64, is_tensor, on_host
from ..optional_packages import obstacle
from ..text.quoting import plain, shown
from .bfloat16 import BFloat16Matrix

#: Integers up to this many bytes are exact in float32.
_FLOAT32_INTEGER_BYTES = 2


#: Integers up to this are exact in float64.
LARGEST_EXACT_FLOAT = 2**53

#: DLPack's codes of the devices whose memory NumPy can read.
_DLPACK_HOST = (1, 3)


def as_array(values: Any, name: str) -> np.ndarray:
    """NumPy array of an array, tensor or nested sequence; a view where it is on the host.

    Tensors are detached; bfloat16 widens to float32, which is exact.

    Raises
    ------
    TypeError
        If ``values`` is a sparse or masked array.
    """
    tensor = _gpu_tensor(values)
    if tensor is not None:
        values = tensor.cpu()
    if is_tensor(values):
        return _tensor_as_array(values, name)
    if hasattr(values, "toarray") and not isinstance(values, np.ndarray):
        raise TypeError(
            f"{name} is a sparse {type(values).__name__}; pass {name}.toarray() instead"
        )
    if isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values):
        raise TypeError(f"{name} is a masked array with masked entries; fill or drop them first")
    try:
        if hasattr(values, "__dlpack__") and not hasattr(values, "__array__"):
            return np.from_dlpack(values)
        return np.asarray(values)
    except ValueError as error:
        raise ValueError(f"{name} is no rectangular array: {error}") from None


def _tensor_as_array(tensor: Any, name: str) -> np.ndarray:
    torch = sys.modules["torch"]
    _refuse_sparse(tensor, name)
    tensor = tensor.detach().resolve_conj().resolve_neg()
    if tensor.dtype == torch.bfloat16:
        tensor = tensor.float()
    return tensor.numpy()


def _refuse_sparse(tensor: Any, name: str) -> None:
    if tensor.layout != sys.modules["torch"].strided:
        raise TypeError(f"{name} is a sparse tensor; pass {name}.to_dense() instead")


def _gpu_tensor(values: Any) -> Any:
    """Tensor in the memory of an array or tensor that is not on the host; None for all else.

    Arrays of other libraries are seen through DLPack or ``__cuda_array_interface__``.
    """
    if isinstance(values, np.ndarray):
        return None
    if is_tensor(values):
        return None if values.device.type == "cpu" else values
    if hasattr(values, "__dlpack_device__"):
        if values.__dlpack_device__()[0] in _DLPACK_HOST:
            return None
        return _torch_for(values).from_dlpack(values)
    if hasattr(values, "__cuda_array_interface__"):
        return _torch_for(values).as_tensor(values, device="cuda")
    return None


def _torch_for(values: Any) -> Any:
    reason = obstacle("torch", "Tensor")
    if reason is not None:
        raise TypeError(
            f"features of type {type(values).__name__} on a GPU need PyTorch, but {reason}; "
            "install transfer-kernels[torch], or compute on the host"
        )
    return sys.modules["torch"]


def device_kind(array: Any) -> str:
    """Kind of device that holds an array or tensor: "cpu", "cuda", ..."""
    tensor = _gpu_tensor(array)
    return "cpu" if tensor is None else tensor.device.type


def empty_beside(array: Any) -> Any:
    """No numbers, on the device of an array or tensor: NumPy's on the host."""
    tensor = _gpu_tensor(array)
    return np.zeros(0) if tensor is None else tensor.new_zeros(0)


def moved_to(device: str, features: Any) -> Any:
    """Features as a tensor on a device such as "cuda" or "cuda:1".

    Raises
    ------
    TypeError
        If PyTorch is not installed.
    """
    tensor = _gpu_tensor(features)
    if tensor is None:
        torch = _torch_for(features)
        # PyTorch would warn of read-only memory, but nothing here writes to features.
        tensor = torch.from_numpy(np.require(as_features(features), requirements=("C", "W")))
    return tensor.to(device)


def as_features(features: Any, name: str = "features", *, narrow: bool = False) -> Any:
    """Two-dimensional float16, float32 or float64 array, a view wherever that is possible.

    Features on a GPU give a tensor there, which may be bfloat16 too; on the host bfloat16 becomes
    float32, or with ``narrow`` a `BFloat16Matrix`, which is so a block of rows at a time. Integers
    and booleans become float32 where that is exact, float64 otherwise.

    Raises
    ------
    TypeError
        If the dtype holds no real numbers.
    ValueError
        If the array is not two-dimensional or has no rows or no columns.
    """
    features = _plain_matrix(features, name)
    tensor = _gpu_tensor(features)
    if tensor is not None:
        return _features_on_gpu(tensor, name)
    halves = _bfloat16_bits(features, name)
    if halves is not None:
        _require_matrix(halves, name)
        return BFloat16Matrix(halves) if narrow else np.asarray(BFloat16Matrix(halves))
    array = as_array(features, name)
    _require_real(array.dtype.kind, array.dtype, name)
    _require_matrix(array, name)
    if array.dtype.kind != "f":
        small = array.dtype.itemsize <= _FLOAT32_INTEGER_BYTES
        return array.astype(np.float32 if small else np.float64)
    if array.dtype.itemsize > 8:
        return array.astype(np.float64)
    if not array.dtype.isnative:
        return array.astype(array.dtype.newbyteorder("="))
    if any([stride % array.dtype.itemsize for stride in array.strides]):
        return array.copy()  # fields of a packed record: no kernel reads unaligned numbers
    return array


def _bfloat16_bits(features: Any, name: str) -> np.ndarray | None:
    """Bits of numbers in bfloat16 on the host, in memory that they share; None for all else."""
    if isinstance(features, BFloat16Matrix):
        return features.halves
    if is_tensor(features):
        torch = sys.modules["torch"]
        if features.dtype != torch.bfloat16:
            return None
        _refuse_sparse(features, name)
        return features.detach().resolve_neg().view(torch.int16).numpy().view(np.uint16)
    dtype = getattr(features, "dtype", None)
    if getattr(dtype, "kind", "") != "V" or getattr(dtype, "name", "") != "bfloat16":
        return None
    bits = np.asarray(features)  # the type is that of ml_dtypes, as of JAX
    return bits.view(np.uint16) if bits.dtype.itemsize == 2 else None


def _plain_matrix(features: Any, name: str) -> Any:
    """Tables and lists that NumPy reads as objects, as the matrix that they plainly are."""
    if isinstance(features, (list, tuple)) and len(features):
        return _stacked(features, name)
    if hasattr(features, "to_numpy") and not isinstance(features, np.ndarray):
        kinds = [getattr(kind, "kind", "O") for kind in np.atleast_1d(features.dtypes)]
        if "O" not in kinds and set(kinds) <= set("fiub"):
            table = np.asarray(features)
            if table.dtype.kind == "O":  # nullable numbers, or truth values beside numbers
                return features.to_numpy(dtype=np.float64, na_value=np.nan)
            return features
        features = features.to_numpy()
    if isinstance(features, np.ndarray) and features.dtype.kind == "O" and features.size:
        column = features[:, 0] if features.ndim == 2 and features.shape[1] == 1 else features
        if column.ndim == 1 and all(getattr(row, "ndim", 0) == 1 for row in column):
            return _stacked(list(column), name)
        if column.ndim == 1 and all(isinstance(row, (list, tuple)) for row in column):
            return _stacked(list(column), name)
    return features


def _stacked(rows: Any, name: str) -> Any:
    axes = {getattr(row, "ndim", None) for row in rows}
    if axes == {2}:
        how = "torch.cat" if is_tensor(rows[0]) else "numpy.concatenate"
        raise ValueError(
            f"{name} is a list of {len(rows)} matrices; if they are batches pass "
            f"{how}({name}), if each is one sample pool it to one axis first"
        )
    if axes == {1} and len({tuple(row.shape) for row in rows}) > 1:
        widths = sorted({int(row.shape[0]) for row in rows})
        raise ValueError(
            f"{name} is no rectangular array: its rows have from {widths[0]} to {widths[-1]} "
            "entries; all samples need equally many features"
        )
    if axes == {1} and all(is_tensor(row) for row in rows):
        return sys.modules["torch"].stack([row.detach() for row in rows])
    if axes == {1}:
        return np.stack([as_array(row, name) for row in rows])
    return rows


def _features_on_gpu(tensor: Any, name: str) -> Any:
    torch = sys.modules["torch"]
    _refuse_sparse(tensor, name)
    _require_real("c" if tensor.dtype.is_complex else "f", tensor.dtype, name)
    _require_matrix(tensor, name)
    tensor = tensor.detach().resolve_neg()
    if tensor.dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
        return tensor
    small = tensor.element_size() <= _FLOAT32_INTEGER_BYTES and not tensor.is_floating_point()
    return tensor.to(torch.float32 if small else torch.float64)


def _require_real(kind: str, dtype: Any, name: str) -> None:
    if kind not in "fiub":
        raise TypeError(
            f"{name} has dtype {plain(str(dtype), 80)}, but real numbers are needed; "
            "convert it to float32 or float64"
        )


def _require_matrix(array: Any, name: str) -> None:
    shape = tuple(array.shape)
    if len(shape) != 2:
        remedy = ""
        if len(shape) == 1:
            remedy = f"; a single feature needs {name}[:, None]"
        elif len(shape) > 2:
            remedy = f"; pool or flatten it to two axes, {name}.reshape(len({name}), -1)"
        raise ValueError(
            f"{name} must be two-dimensional (samples, features), not of shape {shape}{remedy}"
        )
    if 0 in shape:
        raise ValueError(f"{name} is empty: its shape is {shape}")


def as_posteriors(posteriors: Any, name: str = "posteriors") -> Any:
    """Source posteriors as `as_features` gives features; a SciPy matrix in CSR form stays sparse.

    Raises
    ------
    TypeError
        If they hold no real numbers, or are sparse in another form.
    ValueError
        If they are not two-dimensional, or have no rows or no columns.
    """
    if isinstance(posteriors, np.ndarray) or not hasattr(posteriors, "tocsr"):
        return as_features(posteriors, name)
    form = getattr(posteriors, "format", type(posteriors).__name__)
    if form != "csr":
        raise TypeError(
            f"{name} is a sparse matrix in the form {form}; pass {name}.tocsr() instead"
        )
    _require_real(posteriors.dtype.kind, posteriors.dtype, name)
    _require_matrix(posteriors, name)
    if posteriors.dtype not in (np.float32, np.float64):
        posteriors = posteriors.astype(np.float64)
    if not posteriors.has_canonical_format:
        posteriors = posteriors.copy()
        posteriors.sum_duplicates()
    return posteriors


def refuse_nonfinite(position: tuple[int, int] | None, array: Any, name: str) -> None:
    """Raise ValueError where a NaN or infinity was found at ``position``."""
    if position is not None:
        row, column = position
        raise ValueError(
            f"{name} of shape {tuple(array.shape)} contains {float(array[row, column])} first at "
            f"row {row}, column {column}; drop or impute such samples"
        )


def require_length(values: Any, n_samples: int, name: str) -> None:
    """Raise ValueError unless ``values`` has one entry for each sample."""
    if values.ndim == 0 or len(values) != n_samples:
        given = "a scalar" if values.ndim == 0 else f"{len(values)} (shape {tuple(values.shape)})"
        raise ValueError(
            f"features and {name} must have the same length: {n_samples} samples, but {name} "
            f"has {given}"
        )


def as_labels(labels: Any, n_samples: int, name: str = "labels") -> np.ndarray:
    """Labels as an array with one entry, or one row, for each sample.

    A list of objects of mixed kinds, as tuples or None, stays a list of objects.
    """
    array = _labels_of_list(labels) if isinstance(labels, (list, tuple)) else None
    if array is None:
        array = as_array(labels, name)
    require_length(array, n_samples, name)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    return array


def _labels_of_list(labels: Any) -> np.ndarray | None:
    """Objects where NumPy would merge or take apart different labels, as of [1, "1"]; else None."""
    labels = [label.item() if is_tensor(label) and not label.ndim else label for label in labels]
    kinds = {type(label) for label in labels}
    if tuple in kinds:
        return _object_array(labels)
    if any(issubclass(kind, (list, np.ndarray)) or hasattr(kind, "__len__") for kind in kinds):
        texts = (str, bytes)
        nested = any(hasattr(kind, "__len__") and not issubclass(kind, texts) for kind in kinds)
        return None if nested or len(kinds) == 1 else _object_array(labels)
    if not all(issubclass(kind, (int, float, np.number, np.bool_)) for kind in kinds):
        return _object_array(labels)
    whole = [abs(int(x)) for x in labels if isinstance(x, (int, np.integer))]
    array = np.asarray(labels)
    if array.dtype.kind not in "iub" and max(whole, default=0) > LARGEST_EXACT_FLOAT:
        return _object_array(labels)
    return array


def labelled_as(labels: np.ndarray, value: Any) -> np.ndarray:
    """(n,) whether each label, or an entry of its row, is ``value``; NaN: is missing."""
    if isinstance(value, float) and value != value:
        found = _missing(labels)
    elif labels.dtype.kind == "O":
        found = np.array([_equal(label, value) for label in labels.ravel()], dtype=bool)
        found = found.reshape(labels.shape)
    else:
        # A text beside numbers equals none of them.
        equal = np.asarray(labels == value)
        found = equal if equal.shape == labels.shape else np.zeros(labels.shape, dtype=bool)
    return np.asarray(found.any(axis=1)) if found.ndim == 2 else found


def _equal(label: Any, value: Any) -> bool:
    try:
        return bool(label == value)
    except (TypeError, ValueError):  # as pandas.NA, or an array
        return False


def _is_missing(label: Any) -> bool:
    """None, NaN, NaT and pandas.NA, of which only pandas.NA has no answer to `label != label`."""
    if label is None:
        return True
    try:
        return bool(label != label)
    except TypeError:
        return type(label).__name__ == "NAType"
    except ValueError:  # an array
        return False


def _missing(labels: np.ndarray) -> np.ndarray:
    kind = labels.dtype.kind
    if kind == "O":
        missing = np.array([_is_missing(label) for label in labels.ravel()], dtype=bool)
        return missing.reshape(labels.shape)
    if kind in "fc":
        return np.isnan(labels)
    if kind in "mM":
        return np.isnat(labels)
    if kind == "U":
        return np.isin(labels, ["nan", "NaT", "<NA>"])  # what NumPy makes of NaN beside texts
    if kind == "T":
        return np.array([_is_missing(label) for label in labels], dtype=bool)
    return np.zeros(labels.shape, dtype=bool)


def refuse_missing(
    labels: np.ndarray,
    name: str = "labels",
    remedy: str = "drop these samples, or pass ignore_label=float('nan') to leave them out",
) -> None:
    """Raise ValueError where class labels are missing; label vectors are checked as numbers."""
    if labels.ndim != 1:
        return
    missing = _missing(labels)
    if missing.any():
        first = int(np.argmax(missing))
        raise ValueError(
            f"{name} contains {labels[first]} first at index {first}, and {int(missing.sum())} of "
            f"{len(labels)} are missing; {remedy}"
        )


def _object_array(items: Any) -> np.ndarray:
    """One-dimensional array of objects, which NumPy would take apart if they are sequences."""
    array = np.empty(len(items), dtype=object)
    for i, item in enumerate(items):
        array[i] = item
    return array


def encode_classes(labels: np.ndarray, name: str = "labels") -> tuple[np.ndarray, np.ndarray]:
    """Classes that occur, and each sample's index among them.

    Parameters
    ----------
    labels : (n,) array
        Labels of any hashable kind.

    Returns
    -------
    classes : (C,) array
        Distinct labels, sorted where they have an order, else as they first occur.
    codes : (n,) int64 array
        ``classes[codes]`` are the labels.

    Raises
    ------
    ValueError
        If labels are not one-dimensional, contain NaN, or are all the same.
    TypeError
        If a label is not hashable.
    """
    if labels.ndim != 1:
        raise ValueError(
            f"{name} must be one-dimensional class labels here, not of shape {labels.shape}; "
            "for one-hot rows pass their argmax"
        )
    if labels.dtype.kind == "f" and not np.isfinite(labels).all():
        row = int(np.argmin(np.isfinite(labels)))
        raise ValueError(f"{name} contains {labels[row]} first at index {row}")
    if labels.dtype.kind == "O":
        classes, codes = _encode_objects(labels, name)
    else:
        classes, codes = np.unique(labels, return_inverse=True)
    _refuse_unrepeated(classes, len(labels), name)
    if len(classes) < 2:
        raise ValueError(
            f"{name} must hold at least two classes, but all {len(labels)} are {shown(classes[0])}"
        )
    return classes, codes.astype(np.int64, copy=False)


def kind_of_labels(labels: np.ndarray) -> str:
    """The task that labels are of: "classification", "regression" or "label vectors".

    Numbers are targets of a regression where they are refused as classes.
    """
    if labels.ndim > 1:
        return "label vectors"
    if labels.dtype.kind in "fiu" and len(np.unique(labels)) > 1:
        try:
            encode_classes(labels)
        except ValueError:
            return "regression"
    return "classification"


def _refuse_unrepeated(classes: Any, n_samples: int, name: str) -> None:
    """Raise ValueError where labels are no classes: all differ, or most are real numbers."""
    numbers = classes.dtype.kind in "fiu"
    n_classes = len(classes)
    # Fractions may be classes, as ratings in halves are, but then they are few.
    fractions = classes.dtype.kind == "f" and not np.array_equal(classes, np.rint(classes))
    many = 2 * n_classes > n_samples or n_classes > max(100, n_samples // 10)
    if fractions and many and n_samples > 2:
        raise ValueError(
            f"{name} are real numbers with {n_classes} different values among {n_samples} "
            "samples, no classes; for a regression use LogME with regression=True, else pass "
            "class labels"
        )
    if 1 < n_classes == n_samples:
        remedy = "for a regression use LogME with regression=True, else " if numbers else ""
        raise ValueError(
            f"{name}: no class has two samples, all {n_samples} labels differ; {remedy}pass one "
            "class label per sample, such as the class alone and no file name or id"
        )


def _encode_objects(labels: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray]:
    index: dict = {}
    try:
        codes = np.array([index.setdefault(label, len(index)) for label in labels])
    except TypeError:
        raise TypeError(f"{name} must be hashable, as strings or integers are") from None
    distinct = list(index)
    order = list(range(len(distinct)))
    try:
        order.sort(key=lambda code: distinct[code])
    except TypeError:
        pass
    classes = _object_array([distinct[code] for code in order])
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    return classes, rank[codes]


def as_targets(targets: np.ndarray, name: str = "labels") -> np.ndarray:
    """Real targets or label vectors as a finite (n, k) float64 array.

    Raises
    ------
    TypeError
        If they are no real numbers.
    ValueError
        If they have more than two axes, no column, or contain NaN or infinity.
    """
    if targets.dtype.kind == "O" and all(
        isinstance(value, (int, float, np.number, np.bool_)) for value in targets.ravel()
    ):
        targets = targets.astype(np.float64)
    if targets.dtype.kind not in "fiub":
        raise TypeError(
            f"{name} must be real numbers here, not of dtype {plain(str(targets.dtype), 80)}"
        )
    if targets.ndim > 2 or targets.size == 0:
        raise ValueError(f"{name} must be of shape (n,) or (n, k), not {targets.shape}")
    columns = np.array(targets.reshape(len(targets), -1), dtype=np.float64, order="C")
    if not np.isfinite(columns).all():
        row, column = np.argwhere(~np.isfinite(columns))[0]
        raise ValueError(
            f"{name} contains {columns[row, column]} first at row {row}, column {column}"
        )
    return columns


def as_codes(codes: Any, n_samples: int, n_classes: int | None = None) -> Any:
    """Class codes for an op: (n,) int64 in [0, n_classes), or any that are not negative.

    Codes on a GPU stay there.

    Raises
    ------
    TypeError
        If they are no integers.
    ValueError
        If their number or range does not fit.
    """
    tensor = _gpu_tensor(codes)
    array = as_array(codes, "codes") if tensor is None else tensor
    if not _holds_integers(array):
        raise TypeError(f"codes must be integers in [0, n_classes), not of dtype {array.dtype}")
    _require_one_each(array, n_samples, "codes")
    limit = "n_classes" if n_classes is None else n_classes
    lowest, highest = int(array.min()), int(array.max())
    if lowest < 0 or (n_classes is not None and highest >= n_classes):
        raise ValueError(f"codes must lie in [0, {limit}), but range from {lowest} to {highest}")
    return array.astype(np.int64, copy=False) if tensor is None else tensor.long()


def _holds_integers(array: Any) -> bool:
    if is_tensor(array):
        torch = sys.modules["torch"]
        return not (array.is_floating_point() or array.is_complex() or array.dtype == torch.bool)
    return array.dtype.kind in "iu"


def _require_one_each(array: Any, n_samples: int, name: str) -> None:
    require_length(array, n_samples, name)
    if array.ndim != 1:
        raise ValueError(f"{name} must be one-dimensional, not of shape {tuple(array.shape)}")


def as_weights(weights: Any, n_samples: int) -> Any:
    """Sample weights for an op: (n,) float64, finite, not negative. On a GPU they stay there.

    Raises
    ------
    ValueError
        If their number does not fit, or one is negative, NaN or infinite.
    """
    tensor = _gpu_tensor(weights)
    if tensor is None:
        array: Any = np.ascontiguousarray(as_array(weights, "weights"), dtype=np.float64)
    else:
        array = tensor.detach().double().contiguous()
    _require_one_each(array, n_samples, "weights")
    usable = array_namespace(array).isfinite(array) & (array >= 0)
    if not usable.all():
        row = int(np.argmin(on_host(usable)))
        raise ValueError(
            f"weights must be finite and not negative, but weights[{row}] is {float(array[row])}"
        )
    return array


def as_operand(values: Any, name: str, shape: tuple[int | str, ...]) -> Any:
    """Float64 array or, on a GPU, tensor of a shape for an op; a view where it is one already.

    Parameters
    ----------
    values : array, tensor or nested sequence
    name : str
    shape : tuple of int and str
        Numbers are as they must be, letters stand for any number, the same for the same letter.

    Raises
    ------
    TypeError
        If they are no real numbers.
    ValueError
        If the shape is another.
    """
    tensor = _gpu_tensor(values)
    array: Any = as_array(values, name) if tensor is None else tensor.detach()
    if tensor is None:
        _require_real(array.dtype.kind, array.dtype, name)
    else:
        _require_real("c" if array.dtype.is_complex else "f", array.dtype, name)
    found = tuple(array.shape)
    sizes: dict[str, int] = {}
    fits = len(found) == len(shape) and all(
        size == (sizes.setdefault(wanted, size) if isinstance(wanted, str) else wanted)
        for wanted, size in zip(shape, found, strict=True)
    )
    if not fits:
        wanted = ", ".join(map(str, shape)) + ("," if len(shape) == 1 else "")
        raise ValueError(f"{name} must be of shape ({wanted}), not {found}")
    return as_float64(array)


def is_integer(value: Any) -> bool:
    """Whether it is an integer of Python or NumPy; truth values are none."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def require_components(n_components: Any, shape: Any) -> None:
    """Raise unless ``n_components`` is an integer in [1, min(n, d)]."""
    if not is_integer(n_components):
        raise TypeError(f"n_components must be an integer or None, not {shown(n_components)}")
    if not 1 <= n_components <= min(shape):
        raise ValueError(
            f"n_components={n_components} is out of range for features of shape {tuple(shape)}: "
            f"it must lie between 1 and {min(shape)}"
        )


def require_positive_integer(value: Any, name: str, remedy: str = "") -> None:
    """Raise unless ``value`` is an integer of at least 1; ``remedy`` names what else it may be."""
    if not is_integer(value):
        raise TypeError(f"{name} must be an integer, not {shown(value)}")
    if value < 1:
        allowed = ", ".join(filter(None, ["at least 1", remedy]))
        raise ValueError(f"{name}={value} is out of range: it must be {allowed}")
