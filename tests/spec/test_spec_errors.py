"""A broken sweep file is refused with one line: where, what was given, what is allowed."""

from __future__ import annotations

from pathlib import Path

import pytest

from zfscale.errors import SpecError
from zfscale.spec import load

GOOD = """\
name: broken
model: {name: embedded/vit-nano}
stream: {dataset: mnist5k, tasks: 5}
method: {name: ease}
optimizer:
  name: zo-sgd
  lr: 1e-3
train: {epochs: 1, batch_size: 8}
"""


def message(tmp_path: Path, text: str, *overrides: str) -> str:
    """The error of a file, without the directory."""
    file = tmp_path / "x.yaml"
    file.write_text(text)
    with pytest.raises(SpecError) as caught:
        load(file, overrides)
    assert all(line.startswith((str(file), "--set ")) for line in str(caught.value).splitlines())
    return str(caught.value).replace(f"{tmp_path}/", "")


VALUES = [  # what to replace, by what, where the error is, what it says
    ("lr: 1e-3", "lr: true", "x.yaml:7: optimizer.lr:", "expected a number >= 0, got true"),
    ("lr: 1e-3", "lr: .nan", "x.yaml:7: optimizer.lr:", "got NaN"),
    ("lr: 1e-3", "lr: -1", "x.yaml:7: optimizer.lr:", "expected a number >= 0, got -1"),
    ("  lr: 1e-3", "  eps: 1", "x.yaml:5: optimizer.lr:", "missing; expected a number >= 0"),
    ("lr: 1e-3", "lr: 1\n  queries: 33", "x.yaml:8: optimizer.queries:", "an integer >= 1 and <= 32, got 33"),
    ("lr: 1e-3", "lr: 1\n  sides: true", "x.yaml:8: optimizer.sides:", "got true"),
    ("lr: 1e-3", "lr: 1\n  momentum: 1", "x.yaml:8: optimizer.momentum:", ">= 0 and < 1, got 1"),
    ("tasks: 5", "tasks: 5.0", "x.yaml:3: stream.tasks:", "expected an integer >= 1 or null, got 5.0"),
    ("mnist5k", "fashion-mnist", "x.yaml:3: stream.dataset:", "did you mean 'fashion_mnist'?"),
    ("mnist5k", "./data", "x.yaml:3: stream.dataset:", "write {path: ./data, format: imagefolder}"),
    ("mnist5k", "[digits]", "x.yaml:3: stream.dataset:", "or a mapping with keys path, format"),
    ("mnist5k", "{path: .}", "x.yaml:3: stream.dataset.format:", "missing"),
    ("mnist5k", "{path: ., fromat: imagefolder}", "x.yaml:3: stream.dataset.fromat:", "mean 'format'?"),
    ("vit-nano", "vit-nana", "x.yaml:2: model.name:", "did you mean 'embedded/vit-nano'?"),
    ("embedded/vit-nano", "./no-such-model", "x.yaml:2: model.name:", "not an existing directory"),
    ("method:", "methdo:", "x.yaml:4: methdo:", "did you mean 'method'?"),
    ("{name: ease}", "ease", "x.yaml:4: method:", "expected a mapping with keys name, "),
    ("name: broken", "name: ../broken", "x.yaml:1: name:", "expected text matching"),
    ("name: broken", "name: 20261129", "x.yaml:1: name:", "got 20261129; in quotes it is text"),
    ("name: broken", "seed: -1", "x.yaml:1: ", "seed: expected an integer >= 0 and <= 4294967295, got -1"),
]


@pytest.mark.parametrize(("old", "new", "where", "says"), VALUES)
def test_a_bad_value_is_located_and_explained(tmp_path: Path, old: str, new: str, where: str, says: str) -> None:
    assert old in GOOD
    error = message(tmp_path, GOOD.replace(old, new, 1))
    assert error.startswith(where)
    assert says in error


FIRST = "\n  first_order: {name: fo-sgd, lr: 0.1, epochs: 1}"
TRAINING = [  # optimizer, what follows its lr, more of the train block, where the error is, what it says
    ("fo-sgd", "", "objective: accuracy", "8: train.objective:", "'accuracy' has no derivative, and fo-sgd needs one"),
    ("fo-adam", "", "objective: accuracy", "8: train.objective:", "allowed: the zo- optimizers, or cross_entropy"),
    ("forward-grad", "", "objective: accuracy", "8: train.objective:", "and forward-grad needs one"),
    ("forward-grad-adam-sign", "", "objective: accuracy", "8: train.objective:", "forward-grad-adam-sign needs one"),
    ("zo-sgd", FIRST, "objective: accuracy", "9: train.objective:", "and a first-order phase needs one"),
    ("zo-sgd", "", "objective: acuracy", "8: train.objective:", "unknown objective 'acuracy'"),
    ("zo-sgd", "", "objective: my module:f", "8: train.objective:", "unknown objective 'my module:f'"),
    ("zo-sgd", "", "micro_batch_size: 0", "8: train.micro_batch_size:", "expected an integer >= 1 or null, got 0"),
    ("zo-sgd", "", "precision: fp16", "8: train.precision:", "allowed: bf16, bf16-mixed, fp32"),
    ("fo-sgd", FIRST, "", "8: optimizer.first_order:", "no effect on fo-sgd; it belongs to the zo- and"),
    ("zo-adam", FIRST.replace("epochs: 1", "epochs: 2"), "", "8: optimizer.first_order.epochs:", "allowed: 1 to 1"),
    (
        "zo-adam",
        FIRST.replace("fo-sgd", "zo-sgd"),
        "",
        "8: optimizer.first_order.name:",
        "allowed: fo-adam, fo-adamw, fo-sgd",
    ),
    ("zo-adam", FIRST.replace("lr: 0.1, ", ""), "", "8: optimizer.first_order.lr:", "missing"),
    ("zo-adam", FIRST.replace("lr:", "rate:"), "", "8: optimizer.first_order.rate:", "allowed: epochs, lr, name"),
]


@pytest.mark.parametrize(("name", "more", "train", "where", "says"), TRAINING)
def test_what_an_optimizer_cannot_train_on_is_located_and_explained(
    tmp_path: Path, name: str, more: str, train: str, where: str, says: str
) -> None:
    text = GOOD.replace("zo-sgd", name).replace("lr: 1e-3", f"lr: 1e-3{more}").replace("size: 8", f"size: 8, {train}")
    error = message(tmp_path, text)
    assert error.startswith(f"x.yaml:{where}")
    assert says in error


def test_an_optimizer_of_a_grid_that_cannot_train_on_the_objective_is_located(tmp_path: Path) -> None:
    text = GOOD.replace("size: 8", "size: 8, objective: accuracy")
    space = "space:\n  optimizer.name: {grid: [zo-sgd, zo-adam, fo-sgd]}\n"
    assert message(tmp_path, text + space).startswith("x.yaml:8: train.objective: 'accuracy' has no derivative")
    load(tmp_path / "x.yaml", ["space.optimizer.name.grid=[zo-sgd, zo-adamm-sign]"])


SPACES = [  # an entry of the space on line 10, where the error is, what it says
    ("optimizer.lr: {grdi: [1]}", "space.optimizer.lr.grdi:", "did you mean 'grid'?"),
    ("optimizer.lr: {grid: [1], choice: [2]}", "space.optimizer.lr:", "got grid and choice"),
    ("optimizer.lr: [1]", "space.optimizer.lr:", "expected one distribution"),
    ("optimizer.lr: {choice: []}", "space.optimizer.lr.choice:", "at least 1 value, got []"),
    ("optimizer.lr: {loguniform: [0, 1]}", "space.optimizer.lr.loguniform:", "must be > 0"),
    ("optimizer.lr: {loguniform: [1]}", "space.optimizer.lr.loguniform:", "a list of 2 numbers, got [1]"),
    ("optimizer.lr: {uniform: [2, 1]}", "space.optimizer.lr.uniform:", "must be below the second"),
    ("optimizer.lr: {uniform: [0, .inf]}", "space.optimizer.lr.uniform[1]:", "got Infinity"),
    ("seed: {randint: [3, 3]}", "space.seed.randint:", "which is excluded"),
    ("optimizer.lr: {quniform: [1, 2]}", "space.optimizer.lr.quniform:", "a list of 3 numbers"),
    ("optimizer.lr: {quniform: [0.1, 0.2, 1]}", "space.optimizer.lr.quniform:", "no multiple of 1"),
    ("seed: {uniform: [0.1, 0.2]}", "space.seed.uniform:", "expected an integer >= 0"),
    ("output.dir: {grid: [a]}", "space.output.dir:", "allowed: model, stream, method"),
    (
        "optimizer: {grid: [{lr: 1}, zo-sgd]}",
        "space.optimizer.grid[1]:",
        "expected a mapping with keys of optimizer, got 'zo-sgd'",
    ),
    ("optimizer: {grid: [{lr: 1}, {epss: 1}]}", "space.optimizer.grid[1].epss:", "did you mean 'eps'?"),
    ("stream: {grid: [{dataset: nope/, tasks: 2}]}", "space.stream.grid[0].dataset:", "unknown dataset"),
    ("train.epochs: {grid: [1, 2, 0]}", "space.train.epochs.grid[2]:", "expected an integer >= 1, got 0"),
]


@pytest.mark.parametrize(("entry", "where", "says"), SPACES)
def test_a_bad_space_is_located_and_explained(tmp_path: Path, entry: str, where: str, says: str) -> None:
    error = message(tmp_path, f"{GOOD}space:\n  {entry}\n")
    assert error.startswith(f"x.yaml:10: {where}")
    assert says in error


def test_an_invalid_combination_cites_the_line_of_the_grid_entry(tmp_path: Path) -> None:
    space = "space:\n  stream.tasks:\n    grid:\n    - 5\n    - 3\n"
    error = message(tmp_path, GOOD + space)
    assert error == (
        "x.yaml:13: space.stream.tasks.grid[1]: 3 does not divide the 10 classes of mnist5k; allowed: 1, 2, 5, 10, "
        "or task_sizes"
    )


def test_all_problems_are_listed_in_file_order(tmp_path: Path) -> None:
    text = GOOD.replace("1e-3", "x").replace("epochs: 1", "epochs: 0") + "resources: {workers: 0}\n"
    assert message(tmp_path, text).splitlines() == [
        "x.yaml:7: optimizer.lr: expected a number >= 0, got 'x'",
        "x.yaml:8: train.epochs: expected an integer >= 1, got 0",
        "x.yaml:9: resources.workers: expected an integer >= 1 and <= 65536, got 0",
    ]
    assert message(tmp_path, text, "seed=-1").startswith("--set seed=-1: seed: expected")


def test_what_the_types_and_what_the_names_tell_is_listed_together(tmp_path: Path) -> None:
    text = GOOD.replace("1e-3", "-1").replace("tasks: 5", "tasks: 3").replace("vit-nano", "vit-nana")
    assert [line.split(": ")[1] for line in message(tmp_path, text).splitlines()] == [
        "model.name",
        "stream.tasks",
        "optimizer.lr",
    ]


def test_more_problems_than_a_screen_holds_are_counted(tmp_path: Path) -> None:
    grid = ", ".join("-1" for _ in range(25))
    lines = message(tmp_path, GOOD + f"space: {{optimizer.lr: {{grid: [{grid}]}}}}\n").splitlines()
    assert len(lines) == 21
    assert lines[-1] == "x.yaml: and 5 more"


OVERRIDES = [
    ("optimizer.lr=abc", "optimizer.lr: expected a number >= 0, got 'abc'"),
    ("optimizer.lrr=1", "optimizer.lrr: unknown path; did you mean 'optimizer.lr'?"),
    ("optimizer.lr", "expected path=value"),
    (
        "train.objective=acuracy",
        "did you mean 'accuracy'?",
    ),
    ("optimizer.lr=[1", "not YAML"),
    ("space.optimizer.lr.grdi=[1]", "space.optimizer.lr.grdi: unknown distribution; did you mean 'grid'?"),
    ("space.optimizer.lrr.grid=[1]", "not a path of the template; did you mean 'optimizer.lr'?"),
    ("space.optimizer.lr.grid=[]", "space.optimizer.lr.grid: expected a list of at least 1 value"),
    ("spce.seed.grid=[1]", "did you mean 'space'?"),
]


@pytest.mark.parametrize(("override", "says"), OVERRIDES)
def test_an_error_in_an_override_cites_the_override(tmp_path: Path, override: str, says: str) -> None:
    error = message(tmp_path, GOOD, override)
    assert error.startswith(f"--set {override}: ")
    assert says in error


WITHOUT_EFFECT = [
    ({"name": "zo-sgd", "sign": "projected"}, "sign", "no effect on zo-sgd; it belongs to the -sign optimizers"),
    ({"name": "zo-sgd-sign", "sign": "projected", "clip": 1.0}, "clip", "allowed: 0"),
    (
        {"name": "fo-sgd", "history": 0.5},
        "history",
        "0.5 has no effect on fo-sgd; it belongs to the zo- and",
    ),
    ({"name": "fo-adam", "sparsity": 0.5}, "sparsity", "no effect on fo-adam; it"),
    ({"name": "fo-sgd", "clip": 0.5}, "clip", "no effect on fo-sgd; it"),
]


@pytest.mark.parametrize(("options", "key", "says"), WITHOUT_EFFECT)
def test_an_option_that_would_do_nothing_is_refused(tmp_path: Path, options: dict, key: str, says: str) -> None:
    error = message(tmp_path, GOOD, *(f"optimizer.{name}={value}" for name, value in options.items()))
    assert f"optimizer.{key}: " in error
    assert says in error


def test_an_image_folder_must_have_classes_that_the_tasks_divide(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    text = GOOD.replace("mnist5k", f"{{path: {folder}, format: imagefolder}}").replace("tasks: 5", "tasks: 3")
    (folder / "train").mkdir(parents=True)
    assert "no class subdirectories; expected are ROOT/CLASS/IMAGE" in message(tmp_path, text)
    for name in "abcd":
        (folder / "train" / name).mkdir()
    assert "3 does not divide the 4 classes" in message(tmp_path, text)
    trial = load(tmp_path / "x.yaml", ["stream.tasks=2"]).trials[0]
    assert trial.leaves()["stream.dataset"] == str(folder)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "x.yaml:1: the file is empty"),
        (b"# only a comment\n", "x.yaml:1: the file is empty"),
        (b"just prose\n", "expected a mapping of keys at the top level, got 'just prose'"),
        (b"- a\n", "got a list"),
        (b"name: x\n\ttasks: 3\n", "x.yaml:2: not YAML: a tab"),
        (b"a: \x00", "x.yaml:1: not YAML: unprintable"),
        (b"\xff\xfe\x81", "x.yaml: not a text file"),
        (b"a: &a [*a]\n", "nested too deeply"),
        (b"a: &a {<<: *a}\n", "nested too deeply"),
        (b"a: " + b"[" * 5000, "nested too deeply"),
        (b"a: &a [1,1,1,1,1,1,1,1,1]\n" + b"".join(
            b"%c: &%c [%s]\n" % (98 + i, 98 + i, b",".join([b"*%c" % (97 + i)] * 9)) for i in range(8)
        ), "more than 120000 values"),
        (b"a: !!python/object/apply:os.system [ls]\n", "got !!python/object/apply:os.system"),
        (b"1: a\n", "x.yaml:1: a key must be text, got '1'"),
    ],
)  # fmt: skip
def test_what_is_not_a_sweep_file_at_all(tmp_path: Path, content: bytes, says: str) -> None:
    (tmp_path / "x.yaml").write_bytes(content)
    with pytest.raises(SpecError) as caught:
        load(tmp_path / "x.yaml")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_a_directory(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"none\.yaml: no such file"):
        load(tmp_path / "none.yaml")
    with pytest.raises(SpecError, match="cannot be read"):
        load(tmp_path)
