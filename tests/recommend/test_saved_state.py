"""Saved files with every entry changed, one by one: refused, or predicting finite numbers."""

import copy
import json
import math
import signal
from contextlib import contextmanager

import numpy as np
import pytest
from conftest import make_problem

import transfer_kernels as tk
from transfer_kernels.recommend import Fennec, TransferHistory

safetensors = pytest.importorskip("safetensors.numpy")

M, T, WIDTH = 3, 3, 2
TASK = np.random.default_rng(5).normal(size=(7, WIDTH))
FACTS = {"images": 100.0, "classes": 10.0}

#: What is put in place of an entry of a JSON file.
INTRUDERS = (
    None,
    True,
    -1,
    0,
    2,
    10**6,
    10**400,
    1e300,
    math.nan,
    math.inf,
    -0.5,
    "",
    "forest",
    "x" * 1000,
    [],
    ["m0", "m0"],
    [[1]],
    {},
    {"metric": None},
)


def fitted_fennec(regressor="forest", architectures=None, **options):
    rng = np.random.default_rng(0)
    models, tasks = [f"m{i}" for i in range(M)], [f"t{i}" for i in range(T)]
    history = TransferHistory(
        models,
        tasks,
        rng.random((M, T)),
        proxies={t: rng.normal(i, 1.0, (4, WIDTH)) for i, t in enumerate(tasks)},
        model_facts={m: {"parameters": 1e6 + i, "layers": i} for i, m in enumerate(models)},
        task_facts={t: {"images": 100.0 + i, "classes": 5.0} for i, t in enumerate(tasks)},
    )
    fennec = Fennec(metric=None, n_factors=2, n_trees=2, regressor=regressor, **options)
    return fennec.fit(history, architectures)


FENNECS = {
    "forest": lambda: fitted_fennec(architectures=["a", "b", "a"]),
    "ridge": lambda: fitted_fennec("ridge", np.eye(M, 2)),
    "neighbours": lambda: fitted_fennec("neighbours", meta_weight=0.0),
}


@contextmanager
def within(seconds):
    """Raise where the code hangs."""

    def hung(*_):
        raise AssertionError(f"takes more than {seconds} s")

    if not hasattr(signal, "SIGALRM"):
        yield
        return
    before = signal.signal(signal.SIGALRM, hung)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def changed_json(content):
    """Yield (what was changed, content) with each entry, at any depth, removed or replaced."""

    def places(node, path):
        if path:
            yield path
        items = node.items() if isinstance(node, dict) else enumerate(node)
        for key, child in items:
            if isinstance(child, dict | list):
                yield from places(child, (*path, key))
            else:
                yield (*path, key)

    def parent(root, path):
        for key in path[:-1]:
            root = root[key]
        return root

    for path in places(content, ()):
        for intruder in INTRUDERS:
            one = copy.deepcopy(content)
            parent(one, path)[path[-1]] = intruder
            yield (path, intruder), one
        one = copy.deepcopy(content)
        del parent(one, path)[path[-1]]
        yield (path, "removed"), one
        one = copy.deepcopy(content)
        holder = parent(one, path)
        if isinstance(holder, dict):
            holder["surplus"] = 1
            yield (path, "surplus"), one


def changed_array(array):
    """Yield (what was changed, array or None): each number replaced, shapes and types changed."""
    for i in range(array.size):
        if array.dtype.kind == "f":
            intruders = [-array.flat[i] - 1.0, 1e6, 1e30, 1e300, -1e300, 1e-310, math.nan, math.inf]
        else:
            intruders = [-1, array.flat[i] + 1, 0, array.size - 1, array.size, 2**31 - 1, -(2**31)]
        for intruder in intruders:
            one = array.copy()
            with np.errstate(over="ignore"):
                one.flat[i] = intruder
            yield (i, intruder), one
    yield "removed", None
    yield "flat", array.reshape(-1, *(1,) * (array.ndim == 1))
    yield "empty", array[:0] if array.ndim else array.reshape(1)[:0]
    yield "longer", np.concatenate([array.reshape(-1), array.reshape(-1)[:1]])
    yield "half", np.zeros(array.shape, np.float16)
    yield "text", array.astype(np.int8)


def refused_or_finite(load, predict, path, what):
    """Whether it was refused, by one ValueError that names the file and a remedy."""
    with within(5), np.errstate(all="ignore"):
        try:
            loaded = load()
        except ValueError as error:
            message = str(error)
            assert str(path) in message, (what, message)
            assert "; " in message and "\n" not in message and len(message) < 700, (what, message)
            return True
        for numbers in predict(loaded):
            assert np.isfinite(numbers).all(), what
        return False


def predict_with_fennec(fennec):
    width = fennec.regressor_.n_features if fennec.regressor_ else WIDTH
    if width > 10_000:
        return  # a file may say so, and then takes no task of another width
    placement = fennec.place(np.resize(TASK, (7, width)), facts=FACTS)
    yield fennec.score(placement)
    yield list(fennec.recommend(placement, 1).values())


@pytest.mark.parametrize("kind", FENNECS)
def test_every_entry_of_a_saved_fennec(tmp_path, kind):
    fennec = FENNECS[kind]()
    fennec.save(tmp_path)
    text, packed = tmp_path / "fennec.json", tmp_path / "fennec.safetensors"
    content, tensors = json.loads(text.read_text()), safetensors.load(packed.read_bytes())

    def attempt(path, what):
        return refused_or_finite(lambda: Fennec.load(tmp_path), predict_with_fennec, path, what)

    assert not attempt(text, "as saved")
    refused = accepted = 0
    for what, one in changed_json(content):
        text.write_text(json.dumps(one))
        was = attempt(tmp_path, what)
        refused, accepted = refused + was, accepted + (not was)
    assert refused > 5 * accepted > 0  # such as another seed, or a model of another name
    text.write_text(json.dumps(content))
    for name, array in tensors.items():
        for what, changed in changed_array(array):
            rest = {key: value for key, value in tensors.items() if key != name}
            rest |= {} if changed is None else {name: np.ascontiguousarray(changed)}
            packed.write_bytes(safetensors.save(rest))
            was = attempt(tmp_path, (name, what))
            if what in ("removed", "half", "text"):
                assert was, (name, what)
    packed.write_bytes(safetensors.save({**tensors, "surplus": np.zeros(1)}))
    with pytest.raises(ValueError, match="safetensors: surplus does not belong there; copy"):
        Fennec.load(tmp_path)


@pytest.mark.parametrize("name", ["fennec.json", "fennec.safetensors", "scatter.npz"])
def test_flipped_bits(tmp_path, name):
    scatter = tk.ops.fisher_scatter(np.eye(2), [0, 1], 2, backend="reference")
    FENNECS["forest"]().save(tmp_path)
    scatter.save(tmp_path / "scatter.npz")
    path = tmp_path / name
    content = path.read_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    for place in rng.integers(len(content), size=80).tolist():
        flipped = bytearray(content)
        flipped[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(flipped)
        if name == "scatter.npz":
            load, predict = (lambda: type(scatter).load(path)), lambda loaded: [loaded.gram]
        else:
            load, predict = (lambda: Fennec.load(tmp_path)), predict_with_fennec
        refused += refused_or_finite(load, predict, tmp_path, (name, place))
    assert refused > 10


def test_a_cycle_in_a_forest_is_refused(tmp_path):
    FENNECS["forest"]().save(tmp_path)
    packed = tmp_path / "fennec.safetensors"
    tensors = safetensors.load(packed.read_bytes())
    left, right = (tensors[f"regressor.{side}"] for side in ("left", "right"))
    left[1], right[1], left[2], right[2] = 2, 2, 1, 1
    packed.write_bytes(safetensors.save(tensors))
    with within(5), pytest.raises(ValueError, match=r"regressor.left and .* node \d has the child"):
        Fennec.load(tmp_path)


def test_a_child_of_none_is_a_leaf_on_both_sides(tmp_path):
    """A node that is its own left child alone would be walked from for ever, or not at all."""
    FENNECS["forest"]().save(tmp_path)
    packed = tmp_path / "fennec.safetensors"
    tensors = safetensors.load(packed.read_bytes())
    fork = int(np.argmax(tensors["regressor.left"] != np.arange(len(tensors["regressor.left"]))))
    tensors["regressor.left"][fork] = fork
    packed.write_bytes(safetensors.save(tensors))
    with pytest.raises(ValueError, match=f"node {fork} has the children {fork} and"):
        Fennec.load(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "is damaged or something else; copy"),
        ("[" * 100_000, "is damaged or something else; copy"),
        ("\udcff", "is damaged"),
        ('{"format": true}', "is of format True"),
        ('{"format": "1"}', "is of format '1'"),
        ('{"format": 1}', "options is missing; copy both files anew, or fit and save again"),
    ],
)
def test_other_json_files(tmp_path, text, message):
    FENNECS["ridge"]().save(tmp_path)
    (tmp_path / "fennec.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ValueError, match=f"fennec.json: {message}"):
        Fennec.load(tmp_path)


def test_numbers_of_numpy_and_odd_names_are_saved(tmp_path):
    history = TransferHistory(
        ["a\udcff", 'quote"\n', "é"], ["\x1b[31m", "t"], np.arange(6.0).reshape(3, 2) + 1
    )
    fennec = Fennec(None, np.int64(2), np.float32(0.0), seed=np.int32(7)).fit(history)
    fennec.save(tmp_path)
    assert "é" in (tmp_path / "fennec.json").read_text(encoding="utf-8")
    loaded = Fennec.load(tmp_path)
    assert loaded.models_ == fennec.models_ and loaded.tasks_ == fennec.tasks_
    assert loaded.seed == 7


# ---------------------------------------------------------------------------- Model Spider


@pytest.fixture(scope="module")
def spider_files(tmp_path_factory):
    pytest.importorskip("torch")
    from transfer_kernels.recommend import ModelSpider, TaskSample

    rng = np.random.default_rng(0)
    own = {"a": rng.normal(size=(2, 2)), "b": rng.normal(size=(2, 3))}
    samples = [
        TaskSample(rng.normal(size=(2, 3)), {"a": x, "b": 1 - x}, own.__getitem__)
        for x in rng.random(4)
    ]
    folder = tmp_path_factory.mktemp("spider")
    options = {"width": 4, "epochs": 2}
    ModelSpider(**options).fit(samples, checkpoint=folder / "fit", progress=False).save(folder)
    return folder, samples, options


def test_every_entry_of_a_saved_model_spider(spider_files, tmp_path):
    from transfer_kernels.recommend import ModelSpider, TaskSample

    folder, samples, _ = spider_files
    content = json.loads((folder / "model_spider.json").read_text())
    tensors = safetensors.load((folder / "model_spider.safetensors").read_bytes())
    text, packed = tmp_path / "model_spider.json", tmp_path / "model_spider.safetensors"

    def attempt(what):
        def predict(spider):
            def own(name):
                return np.ones((2, spider.own_widths_[spider.models_.index(name)]))

            yield spider.score(samples[0])
            if None not in spider.own_widths_:
                yield spider.score(TaskSample(samples[0].general, {}, own), budget=1)

        return refused_or_finite(lambda: ModelSpider.load(tmp_path), predict, "", what)

    packed.write_bytes(safetensors.save(tensors))
    for what, one in changed_json(content):
        if what[0][-1] == "device" or what[1] in ("x" * 1000, 1e300, -0.5):
            continue
        text.write_text(json.dumps(one))
        attempt(what)
    text.write_text(json.dumps(content))
    assert not attempt("as saved")
    for name, array in tensors.items():
        for what, changed in changed_array(array):
            if isinstance(what, tuple) and (what[0] > 0 or what[1] in (1e30, 1e-310)):
                continue  # a load takes some 10 ms
            rest = {key: value for key, value in tensors.items() if key != name}
            rest |= {} if changed is None else {name: np.ascontiguousarray(changed)}
            packed.write_bytes(safetensors.save(rest))
            attempt((name, what))


@pytest.mark.parametrize("device", ["tpu", 3, "cuda:99", "", "cpu:x"])
def test_a_device_that_is_not_there(spider_files, tmp_path, device):
    from transfer_kernels.recommend import ModelSpider

    folder, samples, _ = spider_files
    content = json.loads((folder / "model_spider.json").read_text())
    content["options"]["device"] = device
    (tmp_path / "model_spider.json").write_text(json.dumps(content))
    packed = (folder / "model_spider.safetensors").read_bytes()
    (tmp_path / "model_spider.safetensors").write_bytes(packed)
    with pytest.raises(ValueError, match="device"):
        ModelSpider.load(tmp_path)


def test_every_tensor_of_a_checkpoint(spider_files, tmp_path):
    from transfer_kernels.recommend import ModelSpider

    folder, samples, options = spider_files
    content = (folder / "fit" / "checkpoint.json").read_text()
    tensors = safetensors.load((folder / "fit" / "checkpoint.safetensors").read_bytes())
    (tmp_path / "checkpoint.json").write_text(content)
    (tmp_path / "checkpoint.safetensors").write_bytes(safetensors.save(tensors))
    resumed = ModelSpider(**options).fit(samples, checkpoint=tmp_path, progress=False)
    assert len(resumed.losses_) == options["epochs"]
    for name, array in tensors.items():
        for what, changed in changed_array(array):
            if isinstance(what, tuple) and (what[0] > 0 or not math.isnan(what[1])):
                continue
            rest = {key: value for key, value in tensors.items() if key != name}
            rest |= {} if changed is None else {name: np.ascontiguousarray(changed)}
            (tmp_path / "checkpoint.safetensors").write_bytes(safetensors.save(rest))
            same = changed is not None and (changed.shape, changed.dtype) == (
                array.shape,
                array.dtype,
            )
            if same and not isinstance(what, tuple):
                continue
            with within(20), pytest.raises(ValueError, match="checkpoint.safetensors: "):
                ModelSpider(**options).fit(samples, checkpoint=tmp_path, progress=False)


# ---------------------------------------------------------------------------- Fisher scatter


def test_every_entry_of_a_saved_scatter(tmp_path):
    X, y = make_problem(20, 3, 2, offset=30.0, dtype=np.float64)
    scatter = tk.ops.fisher_scatter(X, y, 2, weights=np.linspace(0.1, 2, 20), backend="reference")
    path = tmp_path / "scatter.npz"
    scatter.save(path)
    arrays = dict(np.load(path))

    def attempt(what):
        def predict(loaded):
            yield loaded.gram
            yield loaded.sums
            yield loaded.means
            yield loaded.within()
            yield loaded.total()
            yield (loaded + scatter).gram

        return refused_or_finite(lambda: type(scatter).load(path), predict, path, what)

    assert not attempt("as saved")
    refused = 0
    for name, array in arrays.items():
        for what, changed in changed_array(array):
            rest = {key: value for key, value in arrays.items() if key != name}
            rest |= {} if changed is None else {name: changed}
            np.savez(path, **rest)
            refused += attempt((name, what))
    assert refused > 100
    np.savez(path, **arrays, surplus=np.zeros(1))
    with pytest.raises(ValueError, match="it also holds surplus"):
        type(scatter).load(path)


def test_other_files_are_no_scatter(tmp_path):
    scatter = type(tk.ops.fisher_scatter(np.eye(2), [0, 1], 2, backend="reference"))
    with pytest.raises(FileNotFoundError, match="absent.npz: no such file"):
        scatter.load(tmp_path / "absent.npz")
    path = tmp_path / "file.npz"
    np.save(tmp_path / "array.npy", np.eye(2))
    objects = np.array([{}], dtype=object)
    np.savez(tmp_path / "objects.npz", **dict.fromkeys(scatter.__dataclass_fields__, objects))
    for content in (
        b"",
        b"PK",
        b"nothing",
        (tmp_path / "array.npy").read_bytes(),
        (tmp_path / "objects.npz").read_bytes(),
        (tmp_path / "objects.npz").read_bytes()[:-30],
    ):
        path.write_bytes(content)
        with pytest.raises(
            ValueError, match=r"file\.npz: is no saved FisherScatter, or is damaged"
        ):
            scatter.load(path)


@pytest.mark.parametrize("offset", [0.0, 5.0, 1e3, 1e8])
def test_sums_of_scatters_around_far_shifts_can_be_loaded(tmp_path, offset):
    """Moving sums to another shift loses digits, which must not be taken for damage."""
    rng = np.random.default_rng(0)
    parts = [rng.normal(size=(300, 4)) * 10.0**-i + offset * i for i in range(3)]
    for part in parts:
        part[:, 1] = part[0, 1]  # a constant column
    y = np.arange(300) % 3
    for first in range(3):
        scatters = [tk.ops.fisher_scatter(X, y, 3, backend="reference") for X in parts]
        total = scatters[first] + scatters[(first + 1) % 3] + scatters[(first + 2) % 3]
        total.save(tmp_path / "total.npz")
        loaded = type(total).load(tmp_path / "total.npz")
        assert np.array_equal(loaded.gram, total.gram)
