"""Decoding: right colours from every kind of file, and a reason for what cannot be read."""

import os
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from pipeline.data.examples import DataError
from pipeline.data.images.decode import read_image, read_pixels_or_error, resize_pixels
from pipeline.data.images.decoded_cache import decode_images
from pipeline.data.images.discovery import expand_folders

RED = (250, 20, 30)


def saved(path: Path, mode: str = "RGB", colour: object = RED, **options: object) -> Path:
    Image.new(mode, (40, 30), colour).save(path, **options)
    return path


def colour_of(path: Path) -> list[int]:
    return [int(value) for value in read_image(path, 16).pixels.mean(axis=(1, 2)).round()]


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "bmp"])
def test_reads_the_four_formats(suffix: str, tmp_path: Path) -> None:
    pixels = read_image(saved(tmp_path / f"a.{suffix}"), 16).pixels
    assert (pixels.shape, pixels.dtype) == ((3, 16, 16), np.uint8)
    assert np.abs(pixels.mean(axis=(1, 2)) - RED).max() < 6


def test_16_bit_grey_keeps_its_upper_8_bits(tmp_path: Path) -> None:
    grey = np.linspace(0, 65_535, 256).astype(np.uint16).reshape(16, 16)
    Image.fromarray(grey).save(tmp_path / "deep.png")
    assert (read_image(tmp_path / "deep.png", 16).pixels == (grey >> 8)[None]).all()


def test_16_bit_grey_is_read_with_little_memory(tmp_path: Path) -> None:
    Image.fromarray(np.full((2000, 4000), 40 * 256, np.uint16)).save(tmp_path / "deep.png")
    tracemalloc.start()
    assert colour_of(tmp_path / "deep.png") == [40, 40, 40]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * 8_000_000


def test_cmyk_has_its_colours_also_as_photoshop_writes_it(tmp_path: Path) -> None:
    for ink, colour in (((0, 255, 255, 0), (255, 0, 0)), ((0, 0, 0, 255), (0, 0, 0)), ((255, 0, 0, 0), (0, 255, 255))):
        path = saved(tmp_path / "cmyk.jpg", "CMYK", ink)
        assert b"Adobe" in path.read_bytes()
        assert np.abs(np.subtract(colour_of(path), colour)).max() < 6


def test_palette_grey_and_transparency_have_their_colours(tmp_path: Path) -> None:
    palette = Image.new("P", (20, 20), 1)
    palette.putpalette([0, 0, 0, *RED])
    palette.save(tmp_path / "palette.png")
    assert colour_of(tmp_path / "palette.png") == list(RED)
    assert colour_of(saved(tmp_path / "grey.png", "L", 77)) == [77, 77, 77]
    assert colour_of(saved(tmp_path / "clear.png", "RGBA", (0, 0, 0, 0))) == [255, 255, 255]


def test_one_bit_is_black_and_white(tmp_path: Path) -> None:
    board = np.indices((16, 16)).sum(0) % 2 == 1
    Image.fromarray(board).save(tmp_path / "board.png")
    Image.fromarray(board).save(tmp_path / "board.bmp")
    for suffix in ("png", "bmp"):
        assert (read_image(tmp_path / f"board.{suffix}", 16).pixels == 255 * board[None].astype(np.uint8)).all()


def test_grey_with_alpha_lies_on_white(tmp_path: Path) -> None:
    layers = np.zeros((16, 16, 2), np.uint8)
    layers[:8] = (50, 255)
    Image.fromarray(layers, "LA").save(tmp_path / "grey.png")
    pixels = read_image(tmp_path / "grey.png", 16).pixels
    assert (pixels[:, :8].min(), pixels[:, :8].max(), pixels[:, 8:].min()) == (50, 50, 255)


def test_photograph_held_sideways_is_turned_upright(tmp_path: Path) -> None:
    pixels = np.zeros((20, 20, 3), np.uint8)
    pixels[:10] = 255  # bright above
    exif = Image.Exif()
    exif[0x0112] = 3  # taken upside down
    Image.fromarray(pixels).save(tmp_path / "turned.jpg", exif=exif)
    upright = read_image(tmp_path / "turned.jpg", 16).pixels
    assert upright[:, 12:].mean() > 240
    assert upright[:, :4].mean() < 15


@pytest.mark.parametrize("suffix", ["webp", "png"])
def test_of_an_animation_the_first_picture_is_taken_and_that_is_said(suffix: str, tmp_path: Path) -> None:
    frames = [Image.new("RGB", (20, 20), colour) for colour in (RED, (0, 0, 255))]
    moving, still = tmp_path / f"moving.{suffix}", saved(tmp_path / "still.png")
    frames[0].save(moving, save_all=True, append_images=frames[1:], lossless=True)
    assert colour_of(moving) == list(RED)
    for _ in range(2):  # the second time from the cache
        decoded = decode_images([moving, still], tmp_path, 16, tmp_path / "cache", skip_bad=False)
        assert decoded.notes[0] == f"animations, of which the first frame is used: 1 (moving.{suffix})"


def test_of_many_animations_the_first_are_named(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), (shade, 0, 0)) for shade in (1, 2)]
    paths = [tmp_path / f"{number}.webp" for number in range(5)]
    for path in paths:
        frames[0].save(path, save_all=True, append_images=frames[1:], lossless=True)
    note, _ = decode_images(paths, tmp_path, 8, tmp_path / "cache", skip_bad=False).notes
    assert note.endswith(": 5 (0.webp, 1.webp, 2.webp and 2 more)")


def test_all_bad_files_are_said_at_once_or_left_out(tmp_path: Path) -> None:
    paths = [saved(tmp_path / "good.png"), tmp_path / "a\nb.png", tmp_path / "z.png"]
    for path in paths[1:]:
        path.write_text("no picture")
    with pytest.raises(DataError) as refused:
        decode_images(paths, tmp_path, 16, tmp_path / "cache", skip_bad=False)
    text = str(refused.value)
    assert "2 of 3 files cannot be read" in text
    assert "a\\nb.png: not an image" in text
    assert "z.png: not an image" in text
    assert "dataset.skip_bad=true" in text
    decoded = decode_images(paths, tmp_path, 16, tmp_path / "cache", skip_bad=True)
    assert (decoded.path_indices.tolist(), len(decoded.images)) == ([0], 1)
    assert decoded.notes == ("left out, since they cannot be read: 2 files",)


def test_cache_is_used_and_made_again_when_a_file_changes_or_it_is_damaged(tmp_path: Path) -> None:
    paths = [saved(tmp_path / f"{number}.png", colour=(number, 0, 0)) for number in range(3)]
    cache = tmp_path / "cache"
    first = np.array(decode_images(paths, tmp_path, 16, cache, skip_bad=False).images.pixels)
    (file,) = cache.glob("*.npy")
    made = file.stat().st_mtime_ns
    again = decode_images(paths, tmp_path, 16, cache, skip_bad=False).images.pixels
    assert isinstance(again, np.memmap)
    assert (file.stat().st_mtime_ns, again.tolist()) == (made, first.tolist())
    del again  # what is cut while it is mapped may not be read
    file.write_bytes(file.read_bytes()[:200])
    assert decode_images(paths, tmp_path, 16, cache, skip_bad=False).images.pixels.tolist() == first.tolist()
    saved(paths[0], colour=(99, 99, 99))
    changed = decode_images(paths, tmp_path, 16, cache, skip_bad=False).images.pixels
    assert changed[0].mean() == 99


def test_equal_pictures_share_a_group(tmp_path: Path) -> None:
    paths = [saved(tmp_path / name, colour=(value, 0, 0)) for name, value in (("a.png", 1), ("b.png", 2), ("c.png", 1))]
    decoded = decode_images(paths, tmp_path, 16, tmp_path / "cache", skip_bad=False)
    assert decoded.groups.tolist() == [0, 1, 0]
    assert decoded.notes == ("images that are duplicates of another: 1; duplicates stay on one side of every split",)


def test_folder_is_listed_once_also_where_links_turn_in_a_circle(tmp_path: Path) -> None:
    (tmp_path / "deep" / ".hidden").mkdir(parents=True)
    for name in ("a.png", "deep/b.JPG", "deep/.hidden/c.png", "readme.txt"):
        (tmp_path / name).touch()
    (tmp_path / "deep" / "again").symlink_to(tmp_path)
    assert [str(path.relative_to(tmp_path)) for path in expand_folders([tmp_path])] == ["a.png", "deep/b.JPG"]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_way_to_hold_a_camera_is_turned_as_pillow_turns_it(orientation: int, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (16, 16, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(tmp_path / "held.png", exif=exif)
    with Image.open(tmp_path / "held.png") as picture:
        upright = np.asarray(ImageOps.exif_transpose(picture))
    assert (read_image(tmp_path / "held.png", 16).pixels == upright.transpose(2, 0, 1)).all()


def test_whole_picture_is_squeezed_and_nothing_is_cut_off(tmp_path: Path) -> None:
    pixels = np.zeros((50, 400, 3), np.uint8)
    pixels[:, :100] = RED  # the leftmost and the rightmost quarter
    pixels[:, 300:] = (0, 200, 0)
    Image.fromarray(pixels).save(tmp_path / "wide.png")
    small = read_image(tmp_path / "wide.png", 16).pixels
    assert small[:, 8, 1].tolist() == list(RED)
    assert small[:, 8, 14].tolist() == [0, 200, 0]
    assert small[:, :, 8].max() == 0


def test_see_through_colours_do_not_shine_through(tmp_path: Path) -> None:
    palette = Image.new("P", (20, 20), 0)
    palette.putpalette([255, 0, 0, 0, 0, 255])
    palette.save(tmp_path / "palette.png", transparency=0)
    assert colour_of(tmp_path / "palette.png") == [255, 255, 255]
    saved(tmp_path / "key.png", "RGB", (9, 9, 9), transparency=(9, 9, 9))
    assert colour_of(tmp_path / "key.png") == [255, 255, 255]
    assert colour_of(saved(tmp_path / "half.png", "LA", (0, 128))) == [127, 127, 127]
    assert colour_of(saved(tmp_path / "one.png", "1", 1)) == [255, 255, 255]


def test_device_is_refused_where_links_are_followed(tmp_path: Path) -> None:
    (tmp_path / "device.png").symlink_to("/dev/zero")
    assert read_pixels_or_error(tmp_path / "device.png", 16) == "not a regular file"


def test_damaged_bytes_give_pixels_or_a_reason_and_never_another_error(tmp_path: Path) -> None:
    generator, file = np.random.default_rng(0), tmp_path / "damaged"
    pixels = generator.integers(0, 255, (20, 20, 3), dtype=np.uint8)
    results: list[object] = []
    for suffix in ("jpg", "png", "webp", "bmp"):
        Image.fromarray(pixels).save(tmp_path / f"whole.{suffix}")
        whole = np.frombuffer((tmp_path / f"whole.{suffix}").read_bytes(), np.uint8)
        for _ in range(100):
            damaged = whole.copy()
            damaged[generator.integers(0, min(len(whole), 200), 3)] = generator.integers(0, 255, 3)
            file.write_bytes(damaged[: generator.integers(1, 2 * len(whole))].tobytes())
            results.append(read_pixels_or_error(file, 8))
    reasons = [result for result in results if isinstance(result, str)]
    assert 0 < len(reasons) < len(results)
    assert all(reason and reason.isprintable() for reason in reasons)


def test_bad_exif_is_no_bad_picture_and_nobody_is_warned(tmp_path: Path) -> None:
    path = saved(tmp_path / "exif.png", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x09\x01\x12")
    assert len(decode_images([path], tmp_path, 16, tmp_path / "cache", skip_bad=False).images) == 1


def test_link_out_of_the_folder_is_bad_and_a_link_inside_is_good(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    saved(tmp_path / "outside.png")
    saved(root / "inside.png")
    (root / "near.png").symlink_to("inside.png")
    (root / "far.png").symlink_to(tmp_path / "outside.png")
    decoded = decode_images(expand_folders([root]), root, 16, tmp_path / "cache", skip_bad=True)
    assert decoded.unreadable == (
        ("far.png", "a link that leads out of the data set's folder; put the file itself there"),
    )
    assert decoded.path_indices.tolist() == [1, 2]


def test_bad_file_is_tried_again_though_its_size_and_time_are_the_same(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    paths = [saved(root_made(root) / "a.png"), root / "b.png"]
    paths[1].symlink_to(saved(root_made(outside) / "b.png"))
    assert decode_images(paths, root, 16, tmp_path / "cache", skip_bad=True).path_indices.tolist() == [0]
    paths[1].unlink()
    (outside / "b.png").rename(paths[1])
    assert decode_images(paths, root, 16, tmp_path / "cache", skip_bad=True).path_indices.tolist() == [0, 1]


def root_made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def test_cache_leaves_no_half_files_and_says_when_it_cannot_be_written(tmp_path: Path) -> None:
    paths, cache = [saved(tmp_path / "a.png"), saved(tmp_path / "b.png")], tmp_path / "cache"
    decode_images(paths, tmp_path, 16, cache, skip_bad=False)
    assert sorted(file.suffix for file in cache.iterdir()) == [".json", ".npy"]
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"store: decoded images are cached there: .*cannot be written \(File exists\)"):
        decode_images(paths, tmp_path, 16, tmp_path / "file", skip_bad=False)


def test_all_pictures_bad_is_an_error_also_when_bad_ones_are_skipped(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    with pytest.raises(DataError, match="none of the 1 files"):
        decode_images([tmp_path / "a.png"], tmp_path, 16, tmp_path / "cache", skip_bad=True)


def test_decodes_at_least_500_small_pictures_a_second(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (160, 200, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "0.jpg")
    for number in range(1, 300):
        os.link(tmp_path / "0.jpg", tmp_path / f"{number}.jpg")
    begin = time.monotonic()
    decode_images(expand_folders([tmp_path]), tmp_path, 64, tmp_path / "cache", skip_bad=False)
    assert 300 / (time.monotonic() - begin) > 500


def test_arrays_are_resized_as_files_are(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (1, 40, 60, 3), dtype=np.uint8)
    Image.fromarray(pixels[0]).save(tmp_path / "a.png")
    assert (resize_pixels(pixels, 16)[0] == read_image(tmp_path / "a.png", 16).pixels).all()
