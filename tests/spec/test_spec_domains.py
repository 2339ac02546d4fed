"""Mistakes in a domain-incremental sweep file, each told in one line; the order and the kind of domains."""

from __future__ import annotations

from pathlib import Path

import pytest

from zfscale.errors import SpecError
from zfscale.spec import load
from zfscale.spec.domains import domain_order, modality

GOOD = """\
name: text
model: {name: embedded/lm-nano}
stream:
  kind: domain_incremental
  domains:
    - {name: licenses}
    - {name: code, dataset: python-code}
  block_size: 64
  tokens_per_domain: 6400
method: {name: sequential}
optimizer: {name: zo-sgd, lr: 1e-3}
train: {epochs: 1, batch_size: 8}
"""
MISTAKES = [  # what to replace, by what, the line, where, what it says
    ("  block_size: 64\n", "", 3, "stream.block_size", "missing; expected an integer >= 2"),
    ("block_size: 64", "block_size: 1", 8, "stream.block_size", "expected an integer >= 2 or null, got 1"),
    ("domain: 6400", "domain: 63", 9, "stream.tokens_per_domain", "63 tokens are less than one block of 64"),
    ("domain: 6400", "domain: 640\n  held_out_tokens: 8", 10, "stream.held_out_tokens", "less than one block of 64"),
    ("licenses", "licences", 6, "stream.domains[0].name", "did you mean 'licenses'?"),
    ("name: code", "name: licenses", 7, "stream.domains[1].name", "is the name of an earlier domain"),
    ("python-code", "./*.none", 7, "stream.domains[1].dataset", "is a path; write {path: ./*.none, format: text}"),
    ("python-code", "{path: /no/*.x, format: text}", 7, "stream.domains[1].dataset.path", "no file matches '/no/*.x'"),
    (
        "python-code",
        "{hub: a/b, split: {test: x}}",
        7,
        "stream.domains[1].dataset.split.test",
        "'x' has no effect on text",
    ),
    (
        "python-code",
        "{hub: a/b, columns: {image: x}}",
        7,
        "stream.domains[1].dataset.columns.image",
        "columns: {text",
    ),
    ("python-code", "~/web.jsonl.gz", 7, "stream.domains[1].dataset", "write {path: ~/web.jsonl.gz, format: jsonl}"),
    ("python-code", "web/all.parquet", 7, "stream.domains[1].dataset", "write {path: web/all.parquet, format: parquet"),
    ("python-code", "{path: ., format: csv}", 7, "stream.domains[1].dataset.path", "it is a directory: ./**/*?"),
    (
        "python-code",
        f"{{path: {__file__}, column: a, format: text}}",
        7,
        "stream.domains[1].dataset.column",
        "has no eff",
    ),
    (
        "python-code",
        "{path: a, format: csv, encoding: x}",
        7,
        "stream.domains[1].dataset.encoding",
        "encoding 'x'",
    ),
    ("python-code", "{path: a, format: csv, encoding: hex}", 7, "stream.domains[1].dataset.encoding", "encoding 'hex'"),
    (
        "python-code",
        f"{{path: {__file__}, format: parquet, encoding: cp1251}}",
        *(7, "stream.domains[1].dataset.encoding", "'cp1251' has no effect on format: parquet; allowed: utf-8"),
    ),
    ("python-code", "{path: /no, format: imagefolder}", 7, "stream.domains[1]", "'code' is images, other domains are"),
    ("python-code", "{path: a, fromat: text}", 7, "stream.domains[1].dataset.fromat", "did you mean 'format'?"),
    ("python-code", "{path: a, format: txt}", 7, "stream.domains[1].dataset.format", "did you mean 'text'?"),
    ("python-code", "mnist5k", 7, "stream.domains[1]", "is images, other domains are text"),
    ("python-code", "3", 7, "stream.domains[1].dataset", "got 3"),
    ("- {name: licenses}", "- licenses", 6, "stream.domains[0]", "expected a mapping with keys name, dataset"),
    ("kind: domain_incremental", "kind: domain-incremental", 4, "stream.kind", "did you mean 'domain_incremental'?"),
    (
        "block_size: 64",
        "block_size: 64\n  dataset: mnist5k",
        9,
        "stream.dataset",
        "has no effect on domain_incremental",
    ),
    ("{name: sequential}", "{name: ease}", 10, "method.name", "'ease' does not learn a domain_incremental stream"),
    ("{name: sequential}", "{name: replay, replay_fraction: 0}", 10, "method.replay_fraction", "> 0 and <= 1, got 0"),
    ("embedded/lm-nano", "embedded/lm-nana", 2, "model.name", "did you mean 'embedded/lm-nano'?"),
    ("embedded/lm-nano", "embedded/vit-nano", 2, "model.name", "unknown model 'embedded/vit-nano'"),
    ("embedded/lm-nano", "./no.gguf", 2, "model.name", "'./no.gguf' is not an existing file"),
    ("embedded/lm-nano", "installed/nothing/a.gguf", 2, "model.name", "no package 'nothing' is installed"),
    ("lm-nano}", "lm-nano, train: 'q_(proj'}", 2, "model.train", "'q_(proj' is no regular expression"),
    ("embedded/lm-nano", "./none", 2, "model.name", "'./none' is not an existing directory"),
]


def message(tmp_path: Path, text: str) -> str:
    file = tmp_path / "x.yaml"
    file.write_text(text)
    with pytest.raises(SpecError) as caught:
        load(file)
    assert all(line.startswith((f"{file}:", "--set ")) for line in str(caught.value).splitlines())
    return str(caught.value).replace(f"{tmp_path}/", "")


@pytest.mark.parametrize(("old", "new", "line", "path", "says"), MISTAKES)
def test_a_mistake_is_located_and_explained(
    tmp_path: Path, old: str, new: str, line: int, path: str, says: str
) -> None:
    assert old in GOOD
    error = message(tmp_path, GOOD.replace(old, new, 1))
    assert error.startswith(f"x.yaml:{line}: {path}:"), error
    assert says in error


@pytest.mark.parametrize("name", ["a.csv", "b.JSONL.gz", "c.parquet"])
def test_a_suffix_that_contradicts_the_format_is_found_without_reading(tmp_path: Path, name: str) -> None:
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / name).write_text("")
    for path in (name, "*"):
        text = GOOD.replace("python-code", f"{{path: {tmp_path}/files/{path}, format: text}}")
        assert f"{name}' is named as {name.split('.')[1].lower()}; write format: " in message(tmp_path, text)


def test_keys_of_domains_have_no_effect_on_classes(tmp_path: Path) -> None:
    file = GOOD.replace("domain_incremental", "class_incremental").replace("lm-nano", "vit-nano")
    error = message(tmp_path, file.replace("sequential", "ease"))
    assert error.startswith("x.yaml:3: stream.dataset: missing; expected one of mnist5k")
    error = message(
        tmp_path, file.replace("sequential", "ease").replace("  domains", "  dataset: digits\n  tasks: 5\n  domains")
    )
    assert error.startswith("x.yaml:7: stream.domains: ")
    assert "has no effect on class_incremental; it belongs to domain_incremental" in error


def test_good_files_expand(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(GOOD + "space: {stream.order_seed: {grid: [0, 1]}, model.train: {grid: [full, lora]}}\n")
    trials = load(file).trials
    assert len(trials) == 4
    assert {modality(trial.stream) for trial in trials} == {"text"}
    assert [domain.source for domain in trials[0].stream.domains or ()] == ["licenses", "python-code"]


def test_the_order_of_domains_is_a_permutation_by_seed() -> None:
    assert domain_order(4, None) == [0, 1, 2, 3]
    assert sorted(domain_order(4, 7)) == [0, 1, 2, 3]
    assert domain_order(4, 7) == domain_order(4, 7)


IMAGES = """\
name: images
model: {name: embedded/mae-nano}
stream:
  kind: domain_incremental
  domains:
    - {name: glyphs}
    - {name: other, dataset: owner/pictures}
  images_per_domain: 64
method: {name: sequential}
optimizer: {name: zo-sgd, lr: 1e-3}
train: {epochs: 1, batch_size: 8, objective: reconstruction}
"""
IMAGE_MISTAKES = [
    (IMAGES, "glyphs", "glyhps", 6, "stream.domains[0].name", "did you mean 'glyphs'?"),
    (IMAGES, "domain: 64", "domain: 0", 8, "stream.images_per_domain", "expected an integer >= 1 or null, got 0"),
    (IMAGES, "images_per_domain: 64", "block_size: 64", 8, "stream.block_size", "64 has no effect on images"),
    (IMAGES, "mae-nano", "vit-nano", 2, "model.name", "unknown model 'embedded/vit-nano'"),
    (
        *(IMAGES, ", objective: reconstruction", "", 11, "train.objective"),
        "'cross_entropy' is no objective for image domains, whose examples are patches to predict; "
        "allowed: reconstruction, or package.module:function",
    ),
    (
        *(GOOD, "batch_size: 8", "batch_size: 8, objective: reconstruction", 12, "train.objective"),
        "'reconstruction' is no objective for classes and tokens; allowed: cross_entropy, accuracy, or package",
    ),
    (
        *(IMAGES, "{name: glyphs}", "{name: fashion1k}\n    - {name: clothes, dataset: fashion_mnist}"),
        *(6, "stream.domains[0]"),
        "'fashion1k' trains on images of fashion1k, which 'clothes', Fashion-MNIST, is evaluated on; allowed: one of",
    ),
    (
        *(IMAGES, "owner/pictures}", "fashion1k}\n  upstream: {name: zalando-datasets/fashion_mnist}"),
        *(7, "stream.domains[1]"),
        "'other' trains on images of fashion1k, which 'zalando-datasets/fashion_mnist', Fashion-MNIST, is evaluated on",
    ),
    (GOOD, "tokens_per_domain", "images_per_domain", 9, "stream.images_per_domain", "6400 has no effect on text"),
]


@pytest.mark.parametrize(("good", "old", "new", "line", "path", "says"), IMAGE_MISTAKES)
def test_a_mistake_with_images_is_located_and_explained(
    tmp_path: Path, good: str, old: str, new: str, line: int, path: str, says: str
) -> None:
    assert old in good
    error = message(tmp_path, good.replace(old, new, 1))
    assert error.startswith(f"x.yaml:{line}: {path}:"), error
    assert says in error


def test_an_upstream_domain_trains_nothing(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(
        IMAGES.replace("glyphs", "fashion_mnist").replace("  images_", "  upstream: {name: fashion1k}\n  images_")
    )
    assert len(load(file).trials) == 1


def test_image_domains_expand_and_a_users_objective_goes_with_any(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    for good, kind in ((IMAGES, "images"), (GOOD, "text")):
        file.write_text(good + "space: {train.objective: {grid: [mine:loss]}}\n")
        assert [modality(trial.stream) for trial in load(file).trials] == [kind]
