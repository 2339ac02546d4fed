"""What begins behind the frozen front of an encoder has the bits of a whole forward, in every family of backbones."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tests.models.test_copies import IMAGES, encoder
from zfscale.models.copies import Copies, stack
from zfscale.models.front import Features, Front, front_of
from zfscale.models.vit import Encoder

KINDS = ["vit", "deit", "dinov2", "beit", "clip_vision_model", "siglip_vision_model", "dinov3_vit"]


def blocks(made: Encoder) -> nn.ModuleList:
    place = stack(made.backbone)
    assert place is not None
    return getattr(*place)


def trained(made: Encoder, first: int) -> Encoder:
    """Blocks from the `first` on are trained, the rest is not."""
    made.requires_grad_(False)
    blocks(made)[first:].requires_grad_(True)
    return made


def with_copies(made: Encoder, count: int) -> Copies:
    """`count` copies, of which the newest is trained alone; their weights differ."""
    made.requires_grad_(False)
    copies = Copies(made)
    for seed in range(count):
        copies.pairs.append(copies.fresh())
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in copies.pairs[-1].parameters():
                parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.1)
    copies.pairs[:-1].requires_grad_(False)
    copies.pairs[-1].requires_grad_(True)
    return copies


@pytest.mark.parametrize("first", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_behind_frozen_blocks(kind, first):
    made = trained(encoder(kind, layers=3), first)
    whole = made(IMAGES)
    front = front_of(made, None, IMAGES[:1])
    assert front is not None
    begun = front.run(IMAGES)
    assert len(begun.parts) == 1
    for p in blocks(made)[first].parameters():  # another weight than when it was begun
        p.data.mul_(1.1)
    moved = made(IMAGES)
    assert not torch.equal(moved, whole)
    behind = front.resume(IMAGES, begun)
    assert torch.equal(behind, moved)
    wanted = [p for p in made.parameters() if p.requires_grad]
    gradients = [torch.autograd.grad(f.square().sum(), wanted, allow_unused=True) for f in (moved, behind)]
    assert all((a is None and b is None) or torch.equal(a, b) for a, b in zip(*gradients, strict=True))


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_beside_older_copies(kind, count):
    made = encoder(kind, layers=3)
    copies = with_copies(made, count)
    front = front_of(made, copies, IMAGES[:1])
    assert front is not None
    begun = front.run(IMAGES)
    assert [part.shape[-1] for part in begun.parts] == [16, 16 * count]
    with torch.no_grad():
        next(copies.pairs[-1].parameters()).mul_(1.5)
        found, whole = front.resume(IMAGES, begun), made(IMAGES)
    if kind.startswith("siglip"):  # its pooler takes all copies in one product, whose rounding depends on its size
        torch.testing.assert_close(found, whole, rtol=1e-5, atol=1e-6)
    else:
        assert torch.equal(found, whole)
    assert begun.features is not None
    assert torch.equal(found[:, : -made.width], begun.features)


def test_blocks_in_front_run_once_and_the_encoder_is_as_it_was():
    made = trained(encoder("vit", layers=3), 2)
    names = list(made.state_dict())
    front = front_of(made, None, IMAGES[:1])
    assert front is not None
    ran: list[int] = []
    patches = dict(made.backbone.named_modules())["embeddings.patch_embeddings"]
    for number, part in enumerate([patches, *blocks(made)]):
        part.register_forward_hook(lambda *_, number=number: ran.append(number))
    begun = front.run(IMAGES)
    assert ran == [0, 1, 2], "what is behind does not run"
    ran.clear()
    for _ in range(2):
        front.resume(IMAGES, begun)
    assert ran == [3, 3]
    assert list(made.state_dict()) == names
    ran.clear()
    made(IMAGES)
    assert ran == [0, 1, 2, 3]


def test_an_error_behind_the_front_leaves_the_encoder_as_it_was():
    made = trained(encoder("vit", layers=3), 2)
    front, whole = front_of(made, None, IMAGES[:1]), made(IMAGES)
    assert front is not None
    begun = front.run(IMAGES)
    handle = blocks(made)[2].register_forward_hook(lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        front.resume(IMAGES, begun)
    handle.remove()
    assert torch.equal(made(IMAGES), whole)


def test_where_the_head_is_trained_alone_it_is_the_features():
    made = encoder("vit")
    made.requires_grad_(False)
    front = front_of(made, None, IMAGES[:1])
    assert isinstance(front, Features)
    assert torch.equal(front.resume(IMAGES, front.run(IMAGES)), made(IMAGES))


def test_what_has_no_front():
    """Trained embeddings or a first block; older copies that are trained; features that a hook takes from in front."""
    whole, first, embeddings, hooked = (encoder("vit", layers=3) for _ in range(4))
    trained(first, 0)
    dict(trained(embeddings, 2).backbone.named_children())["embeddings"].requires_grad_(True)
    taken: dict[str, torch.Tensor] = {}
    trained(hooked, 2)
    blocks(hooked)[0].register_forward_hook(lambda _block, _args, output: taken.update(tokens=output))
    hooked.register_forward_hook(lambda _encoder, _args, features: features + taken["tokens"][:, 0])
    assert all(front_of(made, None, IMAGES[:1]) is None for made in (whole, first, embeddings, hooked))
    made = encoder("vit", layers=3)
    copies = with_copies(made, 2)
    assert isinstance(front_of(made, copies, IMAGES[:1]), Front)
    copies.pairs[0].requires_grad_(True)
    assert front_of(made, copies, IMAGES[:1]) is None
