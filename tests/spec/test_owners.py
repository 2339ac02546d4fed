"""An option that means nothing for the method, the optimizer, the model or the stream is an error with its owner."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.spec.test_spec_errors import message
from zfscale.errors import SpecError
from zfscale.spec import load
from zfscale.spec.owners import owners
from zfscale.spec.schema import TEMPLATE_PATHS
from zfscale.spec.trial_blocks import MethodSpec, OptimizerSpec

GOOD = """\
name: x
model:
  name: embedded/vit-nano
stream:
  dataset: mnist5k
  tasks: 5
method:
  name: ease
optimizer:
  name: zo-sgd
  lr: 1e-3
train: {epochs: 1, batch_size: 8}
"""
DOMAINS = "kind: domain_incremental\n  domains: [{name: licenses}]\n  block_size: 64"
TEXT = (
    GOOD.replace("dataset: mnist5k\n  tasks: 5", DOMAINS).replace("vit-nano", "lm-nano").replace("ease", "sequential")
)
IMAGES = TEXT.replace("licenses", "digits").replace("\n  block_size: 64", "").replace("lm-nano", "mae-nano")
IMAGES = IMAGES.replace("batch_size: 8", "batch_size: 8, objective: reconstruction")

TEMPLATE = [  # file, after which line, what is added, the error's line and path, what it says
    (
        GOOD,
        "lr: 1e-3",
        "beta1: 0.5",
        "12: optimizer.beta1: 0.5",
        "zo-sgd; it belongs to the updates adam, adamm, adamw",
    ),
    (GOOD, "lr: 1e-3", "sign: projected", "12: optimizer.sign: 'projected'", "zo-sgd; it belongs to the -sign opt"),
    (
        GOOD,
        "lr: 1e-3",
        "warmup: 0.1",
        "12: optimizer.warmup: 0.1",
        "schedule: constant; it belongs to optimizer.schedule: ",
    ),
    (GOOD, "name: ease", "replay_fraction: 0.5", "9: method.replay_fraction: 0.5", "ease; it belongs to replay"),
    (GOOD, "name: embedded/vit-nano", "train: lora", "4: model.train: 'lora'", "ease; it belongs to zero-shot, seq"),
    (GOOD, "name: embedded/vit-nano", "lora_rank: 4", "4: model.lora_rank: 4", "no effect on ease; it"),
    (
        GOOD,
        "tasks: 5",
        "order_seed: 1",
        "7: stream.order_seed: 1",
        "class_incremental; it belongs to domain_incremental",
    ),
    (GOOD, "tasks: 5", "held_out_tokens: 64", "7: stream.held_out_tokens: 64", "belongs to domains of text"),
    (GOOD, "tasks: 5", "images_per_domain: 64", "7: stream.images_per_domain: 64", "belongs to domains of images"),
    (TEXT, "block_size: 64", "class_order_seed: 1993", "8: stream.class_order_seed: 1993", "to class_incremental"),
    (
        TEXT,
        "block_size: 64",
        "held_out_images: 64",
        "8: stream.held_out_images: 64",
        "text; it belongs to domains of im",
    ),
    (TEXT, "name: embedded/lm-nano", "input_range: unit", "4: model.input_range: 'unit'", "text; it belongs to images"),
    (
        TEXT,
        "name: embedded/lm-nano",
        "lora_alpha: 2",
        "4: model.lora_alpha: 2",
        "model.train: full; it belongs to model.",
    ),
    (IMAGES, "domains: [{name: digits}]", "held_out_tokens: 64", "7: stream.held_out_tokens: 64", "images"),
]


@pytest.mark.parametrize(("text", "after", "more", "where", "says"), TEMPLATE)
def test_an_option_of_the_template_that_no_trial_uses_is_an_error(
    tmp_path: Path, text: str, after: str, more: str, where: str, says: str
) -> None:
    assert text.count(f"{after}\n") == 1
    error = message(tmp_path, text.replace(f"{after}\n", f"{after}\n  {more}\n"))
    assert error.startswith(f"x.yaml:{where} has no effect on ")
    assert says in error
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize("kind", [GOOD, TEXT, IMAGES])
def test_what_is_not_written_or_null_is_no_error(tmp_path: Path, kind: str) -> None:
    nulls = "".join(f"  {key}: null\n" for key in ("upstream", "order_seed", "tokens_per_domain", "first_task_classes"))
    (tmp_path / "x.yaml").write_text(kind.replace("method:\n", f"{nulls}method:\n"))
    assert len(load(tmp_path / "x.yaml").trials) == 1


POINTS = [  # an entry of the space on line 14, the place and the value, what it says
    ("method: {grid: [{name: ease, alpha: 0.2}, {name: finetune, alpha: 3}]}", "method.grid[1].alpha: 3", "to ease"),
    ("optimizer: {grid: [{name: zo-sgd, eps: 1}, {name: fo-sgd, eps: 2}]}", "optimizer.grid[1].eps: 2", "to the zo- o"),
    (
        "optimizer: {grid: [{momentum: 0.5, beta1: 0.5}, {name: zo-adam, beta1: 0.3}]}",
        "optimizer.grid[0].beta1: 0.5",
        "zo",
    ),
    (
        "optimizer: {grid: [{schedule: warmup-cosine, warmup: 0}, {warmup: 0.1}]}",
        "optimizer.grid[1].warmup: 0.1",
        "cons",
    ),
    (
        "stream: {grid: [{tasks: 5, order_seed: 1}, {tasks: 2}]}",
        "stream.grid[0].order_seed: 1",
        "to domain_incremental",
    ),
    ("optimizer: {grid: [{name: fo-sgd, history: 0}]}", "optimizer.grid[0].history: 0", "no effect on fo-sgd"),
]


@pytest.mark.parametrize(("entry", "where", "says"), POINTS)
def test_an_option_in_the_own_block_of_a_point_that_has_no_use_for_it_is_an_error(
    tmp_path: Path, entry: str, where: str, says: str
) -> None:
    error = message(tmp_path, f"{GOOD}space:\n  {entry}\n")
    assert error.startswith(f"x.yaml:14: space.{where} has no effect on ")
    assert says in error
    assert len(error.splitlines()) == 1


CROSSED = [  # more of the optimizer block, the space, how many trials
    ("eps: 1e-2", "optimizer.name: {grid: [zo-sgd, fo-sgd]}", 2),
    ("first_order: {name: fo-sgd, lr: 0.1, epochs: 1}", "optimizer.name: {grid: [zo-sgd, fo-sgd]}", 2),
    ("beta1: 0.5", "optimizer: {grid: [{name: zo-sgd}, {name: fo-adam, beta2: 0.5}]}", 2),
    ("clip: 1", "optimizer.name: {grid: [zo-sgd, fo-sgd]}\n  optimizer.eps: {grid: [1e-3, 1e-2]}", 4),
    (
        "queries: 2",
        "optimizer.name: {grid: [fo-sgd, zo-sgd]}\n  optimizer: {grid: [{lr: 1, eps: 1}, {lr: 2, eps: 2}]}",
        4,
    ),
    ("queries: 2", "optimizer.schedule: {grid: [cosine, warmup-cosine]}\n  optimizer.warmup: {grid: [0.1, 0.2]}", 4),
    ("queries: 2", "method.name: {grid: [finetune, aper]}\n  method.bottleneck: {choice: [8]}", 2),
]


@pytest.mark.parametrize(("more", "space", "trials"), CROSSED)
def test_a_value_that_points_share_is_no_error_where_one_of_them_uses_it(
    tmp_path: Path, more: str, space: str, trials: int
) -> None:
    (tmp_path / "x.yaml").write_text(GOOD.replace("lr: 1e-3\n", f"lr: 1e-3\n  {more}\n") + f"space:\n  {space}\n")
    assert len(load(tmp_path / "x.yaml").trials) == trials


def test_a_shared_value_that_no_point_uses_is_one_error_at_its_place(tmp_path: Path) -> None:
    names = f"{GOOD}space:\n  optimizer.name: {{grid: [fo-sgd, fo-adam]}}\n"
    error = message(tmp_path, f"{names}  optimizer.eps: {{grid: [1e-3, 1e-2]}}\n")
    assert error == (
        "x.yaml:15: space.optimizer.eps.grid[0]: 0.001 has no effect on any trial of this file; "
        "it belongs to the zo- optimizers"
    )
    assert message(tmp_path, names, "optimizer.clip=1").startswith("--set optimizer.clip=1: optimizer.clip: 1 has no ")


def test_a_name_from_the_command_line_may_be_tried_over_the_same_file(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(GOOD.replace("lr: 1e-3\n", "lr: 1e-3\n  eps: 1e-2\n").replace("ease\n", "ease\n  alpha: 0.2\n"))
    assert len(load(file, ["optimizer.name=fo-sgd", "method.name=finetune"]).trials) == 1
    assert len(load(file, ["space.optimizer.name.grid=[fo-sgd, fo-adam]"]).trials) == 2
    file.write_text(f"{GOOD}space:\n  optimizer: {{grid: [{{name: zo-sgd, eps: 1}}, {{name: zo-adam, beta1: 0.2}}]}}\n")
    assert len(load(file, ["optimizer.name=fo-sgd"]).trials) == 2
    error = message(tmp_path, GOOD, "optimizer.name=fo-sgd", "optimizer.eps=1")  # both are meant
    assert error.startswith("--set optimizer.eps=1: optimizer.eps: 1 has no effect on fo-sgd; ")
    error = message(tmp_path, GOOD, "space.optimizer={grid: [{name: fo-sgd, eps: 2}]}")
    assert "space.optimizer.grid[0].eps: 2 has no effect on fo-sgd" in error


def test_what_cannot_be_used_is_told_together_with_what_is_wrong(tmp_path: Path) -> None:
    space = "space:\n  method: {grid: [{name: finetune, alpha: 3}, {name: ease, beta: x}]}\n"
    first, second = message(tmp_path, GOOD + space).splitlines()
    assert "grid[0].alpha: 3 has no effect on finetune" in first
    assert "grid[1].beta: expected a number" in second


def test_every_option_of_a_method_and_an_optimizer_has_an_owner() -> None:
    optional = {f"method.{key}" for key in MethodSpec.model_fields} - {"method.name"}
    assert all(owners(path) for path in optional)
    free = {"name", "lr", "weight_decay", "schedule"}
    assert {key for key in OptimizerSpec.model_fields if not owners(f"optimizer.{key}")} == free
    assert all(isinstance(owners(path), str) for path in TEMPLATE_PATHS if "." in path)


def test_a_null_that_comes_first_excuses_nothing(tmp_path: Path) -> None:
    """A stray option of which one value is null is a stray one all the same."""
    file = tmp_path / "null.yaml"
    text = "name: x\nmodel: {name: embedded/vit-nano}\nstream: {dataset: digits, tasks: 5}\nmethod: {name: simplecil}\n"
    text += "optimizer: {name: zo-sgd, lr: 1e-3}\ntrain: {epochs: 1, batch_size: 8}\n"
    file.write_text(f"{text}space:\n  stream.order_seed: {{grid: [null, 1]}}\n")
    with pytest.raises(SpecError, match=r"order_seed.*has no effect on class_incremental"):
        load(file)


@pytest.mark.parametrize("method", ["ease", "aper", "simplecil"])
def test_a_state_has_no_future_where_each_task_trains_its_own_weights(method: str, tmp_path: Path) -> None:
    text = GOOD.replace("name: ease", f"name: {method}").replace("lr: 1e-3", "lr: 1e-3\n  carry_state: true")
    (tmp_path / "s.yaml").write_text(text)
    with pytest.raises(SpecError, match=rf"12: optimizer.carry_state: true has no effect on {method}; .* finetune"):
        load(tmp_path / "s.yaml")


def test_a_state_that_is_divided_over_ranks_is_not_carried(tmp_path: Path) -> None:
    text = (
        GOOD.replace("ease", "finetune")
        .replace("zo-sgd", "fo-sgd")
        .replace("lr: 1e-3", "lr: 1e-3\n  carry_state: true")
    )
    (tmp_path / "s.yaml").write_text(text + "engine: {stage: 1}\n")
    with pytest.raises(SpecError, match=r"12: optimizer.carry_state: the state is divided over ranks"):
        load(tmp_path / "s.yaml")
