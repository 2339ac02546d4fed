"""Augmentation: where crops lie, what they look like, and that a trial with it repeats, resumes and is replayed."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.conftest import Memory
from zfscale.models.pixels import Pixels
from zfscale.testing.running import ran
from zfscale.training.augment import Augment, box
from zfscale.training.batch import Batch
from zfscale.training.snapshots import Snapshots
from zfscale.trial.inputs import Inputs
from zfscale.trial.replay import Taken, rebuild

RGB = Pixels(24, 3, (0.0,) * 3, (1.0,) * 3)
BOTH = {"random_crop": 0.05, "random_flip": True}


def images(count: int, side: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 3, side, side), dtype=np.uint8)


def test_a_crop_has_the_share_and_aspect_it_is_to_have():
    draw = np.random.default_rng(0)
    boxes = [box(draw, 200, 240, 0.05) for _ in range(3000)]
    sides = np.array([(rows.stop - rows.start, columns.stop - columns.start) for rows, columns in boxes])
    assert all(0 <= r.start < r.stop <= 200 and 0 <= c.start < c.stop <= 240 for r, c in boxes)
    share = sides.prod(1) / (200 * 240)
    assert 0.048 < share.min() < 0.06
    assert 0.9 < share.max() <= 1
    aspect = np.log(sides[:, 1] / sides[:, 0])
    assert np.abs(aspect).max() < math.log(4 / 3) + 0.04
    assert abs(aspect.mean()) < 0.03
    small = share < 0.4  # where every crop fits, the share is uniform
    assert abs(share[small].mean() - 0.225) < 0.01


@pytest.mark.parametrize(("height", "width"), [(10, 100), (100, 10), (1, 1)])
def test_a_crop_of_a_long_image_is_its_middle(height, width):
    rows, columns = box(np.random.default_rng(0), height, width, 0.99)
    assert (rows.start + rows.stop) // 2 in (height // 2, height // 2 - 1)
    assert (columns.start + columns.stop) // 2 in (width // 2, width // 2 - 1)
    assert (columns.stop - columns.start) / (rows.stop - rows.start) == pytest.approx(
        min(max(width / height, 3 / 4), 4 / 3), abs=0.1
    )


@pytest.mark.parametrize("zoom", [1.0, 8 / 7])
def test_the_model_sees_the_crop_as_pillow_resizes_it(zoom):
    """Whatever the model's own transform cuts off, it is none of the crop."""
    pixels = Pixels(28, 3, (0.0,) * 3, (1.0,) * 3, zoom)
    smooth = np.asarray(Image.fromarray(images(1, 8)[0].transpose(1, 2, 0)).resize((40, 40), Image.Resampling.BICUBIC))
    given = smooth.transpose(2, 0, 1)[None]
    rows, columns = box(np.random.Generator(np.random.Philox(key=5)), 40, 40, 0.3)
    cut = Image.fromarray(smooth[rows, columns]).resize((28, 28), Image.Resampling.BILINEAR)
    got = Augment(0.3, False, pixels)(given, 5)
    seen = pixels(torch.from_numpy(got))[0].permute(1, 2, 0).numpy() * 255
    assert np.abs(seen - np.asarray(cut, dtype=float)).max() <= 1.5


def test_half_of_the_images_are_mirrored():
    given = images(400, 6)
    got = Augment(1.0, True, RGB)(given, 3)
    turned = (got == given[..., ::-1]).all((1, 2, 3))
    assert ((got == given).all((1, 2, 3)) ^ turned).all()
    assert 150 < turned.sum() < 250


def test_it_is_a_function_of_the_seed_alone():
    given, augment = images(8, 24), Augment(0.05, True, RGB)
    before = np.random.get_state(legacy=False)["state"]["key"].copy()
    one = augment(given, 7)
    assert np.array_equal(one, augment(given, 7))
    assert not np.array_equal(one, augment(given, 8))
    assert one.dtype == np.uint8
    assert np.array_equal(np.random.get_state(legacy=False)["state"]["key"], before)


@pytest.mark.parametrize("transform", ["fit", "crop"])
@pytest.mark.parametrize("method", ["ease", "finetune"])
def test_a_trial_repeats_resumes_and_is_replayed(method, transform, small, image_folder, tmp_path):
    stream = {"dataset": {"path": str(image_folder), "format": "imagefolder"}, "tasks": 3, "transform": transform}
    spec = small.spec(method, "zo-sgd-conserve", stream=stream | BOTH, train__epochs=2)
    inputs = Inputs([spec])
    first, again = ran(spec, inputs), ran(spec, inputs)
    assert first.said.told == again.said.told
    resumed = ran(spec, inputs, first.ledger[:5])
    assert resumed.said.told == first.said.told
    taken = [Taken(s.task, s.lr, e) for s, e in zip(first.said.steps, first.ledger, strict=True)]
    rebuilt = rebuild(spec, taken, Snapshots(tmp_path, spec.trial_id)).network.state_dict()
    assert all(value.equal(rebuilt[name]) for name, value in first.weights.items())
    plain = ran(small.spec(method, "zo-sgd-conserve", stream=stream, train__epochs=2), inputs)
    assert [s.loss for s in plain.said.steps] != [s.loss for s in first.said.steps]


def test_all_forwards_of_a_step_see_the_same_images(small, monkeypatch):
    """And an epoch later, the same row of the task looks different."""
    seen: list[np.ndarray] = []
    forward = Batch._losses

    def spy(self: Batch, *ranks: int) -> Iterator[torch.Tensor]:
        seen.append(self.x.numpy().copy())
        return forward(self, *ranks)

    monkeypatch.setattr(Batch, "_losses", spy)
    stream = {**small.spec_of["stream"], **BOTH}
    told: Memory = small.run(small.spec("ease", "zo-sgd", stream=stream, optimizer__queries=2))
    assert len(seen) == 4 * len(told.steps)
    for step in range(len(told.steps)):
        mine = seen[4 * step : 4 * step + 4]
        assert all(np.array_equal(mine[0], other) for other in mine)
    assert len({x.tobytes() for x in seen}) == len(told.steps)


def test_the_optimizer_has_no_part_in_it(small, monkeypatch):
    """Its seed is the step's, whatever takes it."""
    seeds: dict[str, list[int]] = {"zo-sgd": [], "fo-sgd": []}
    call = Augment.__call__
    for name, kept in seeds.items():
        monkeypatch.setattr(
            Augment, "__call__", lambda self, x, seed, kept=kept: kept.append(seed) or call(self, x, seed)
        )
        small.run(small.spec("ease", name, stream={**small.spec_of["stream"], **BOTH}))
    assert seeds["zo-sgd"] == seeds["fo-sgd"]
    assert len(set(seeds["zo-sgd"])) == len(seeds["zo-sgd"]) > 0


def test_the_benchmarks_transform_is_pillows(tmp_path: Path, small):
    """Shorter side to 8/7 of the model's, then the centre: of images that are larger, and of small ones of one size."""
    from zfscale.data.pixels import decode
    from zfscale.models.catalogue import family

    for width, height in ((64, 40), (16, 16)):
        folder = tmp_path / f"{width}"
        for name, value in (("a", 60), ("b", 200)):
            (folder / name).mkdir(parents=True)
            for i in range(5):
                x = np.random.default_rng(value + i).integers(0, 256, (6, 6, 3), dtype=np.uint8)
                Image.fromarray(x).resize((width, height), Image.Resampling.BICUBIC).save(folder / name / f"{i}.png")
        stream = {"dataset": {"path": str(folder), "format": "imagefolder"}, "tasks": 2, "transform": "crop"}
        spec = small.spec("simplecil", "fo-sgd", stream=stream)
        base, data = Inputs([spec]).of(spec)
        pixels = family(spec).network(spec, base, 0).encoder.pixels
        assert (pixels.size, pixels.resized) == (12, 14)
        got = pixels(torch.from_numpy(data.train_x[:1].copy()))[0, 0].numpy()
        expected = []
        for file in sorted(folder.glob("*/*.png")):
            image = decode(file.read_bytes(), "")[0]
            scale = 14 / min(image.size)
            image = image.resize((round(width * scale), round(height * scale)), Image.Resampling.BICUBIC).convert("L")
            left, top = (image.width - 12) // 2, (image.height - 12) // 2
            x = np.asarray(image.crop((left, top, left + 12, top + 12)), dtype=float) / 255
            expected.append((x - base.pixels.mean[0]) / base.pixels.std[0])
        assert min(np.abs(got - one).max() for one in expected) < 0.03
