"""Pictures changed a little: mirrored or moved, each by its own draw."""

import torch

from pipeline.preprocessing.augmentation import Augmentation
from pipeline.runtime import seeds

CPU = torch.device("cpu")


def pictures(count: int) -> torch.Tensor:
    return torch.randint(0, 256, (count, 3, 6, 6), dtype=torch.uint8, generator=seeds.make_generator(0))


def changed_by(augmentation: Augmentation, originals: torch.Tensor, seed: int) -> torch.Tensor:
    return augmentation.apply(originals, augmentation.sample(len(originals), seeds.make_generator(seed)))


def test_flip_gives_the_picture_or_its_mirror() -> None:
    originals = pictures(40)
    changed = changed_by(Augmentation(6, flip=True, shift=0, device=CPU), originals, 1)
    same = (changed == originals).flatten(1).all(dim=1)
    mirrored = (changed == originals.flip(3)).flatten(1).all(dim=1)
    assert (same | mirrored).all()
    assert 5 < int(mirrored.sum()) < 35


def test_shift_moves_all_channels_alike_and_repeats_the_edge() -> None:
    picture = pictures(1)
    padded = torch.nn.functional.pad(picture.float(), (1, 1, 1, 1), mode="replicate").byte()
    moved = {(y, x): padded[:, :, y : y + 6, x : x + 6] for y in range(3) for x in range(3)}
    seen = set()
    changed = changed_by(Augmentation(6, flip=False, shift=1, device=CPU), picture.expand(200, -1, -1, -1), 2)
    for one in changed:
        (place,) = [place for place, expected in moved.items() if torch.equal(one, expected[0])]
        seen.add(place)
    assert seen == set(moved)


def test_same_noise_same_change() -> None:
    augment, originals = Augmentation(6, flip=True, shift=2, device=CPU), pictures(20)
    assert torch.equal(changed_by(augment, originals, 3), changed_by(augment, originals, 3))
