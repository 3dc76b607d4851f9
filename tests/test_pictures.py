"""Decoding: right colours from every kind of file, and a reason for what cannot be read."""

import os
import resource
import struct
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from pipeline.data.decoded import decode_all
from pipeline.data.examples import DataError
from pipeline.data.pictures import PictureError, decode, decode_or_reason, listed, resized

RED = (250, 20, 30)


def saved(path: Path, mode: str = "RGB", colour: object = RED, **options: object) -> Path:
    Image.new(mode, (40, 30), colour).save(path, **options)
    return path


def colour_of(path: Path) -> list[int]:
    return [int(value) for value in decode(path, 16).mean(axis=(1, 2)).round()]


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "bmp"])
def test_reads_the_four_formats(suffix: str, tmp_path: Path) -> None:
    pixels = decode(saved(tmp_path / f"a.{suffix}"), 16)
    assert (pixels.shape, pixels.dtype) == ((3, 16, 16), np.uint8)
    assert np.abs(pixels.mean(axis=(1, 2)) - RED).max() < 6


def test_16_bit_grey_is_not_white(tmp_path: Path) -> None:
    Image.fromarray(np.full((20, 20), 40 * 256, np.uint16)).save(tmp_path / "deep.png")
    assert colour_of(tmp_path / "deep.png") == [40, 40, 40]


def test_cmyk_palette_grey_and_transparency_have_their_colours(tmp_path: Path) -> None:
    cmyk = colour_of(saved(tmp_path / "cmyk.jpg", "CMYK", (0, 255, 255, 0)))
    assert cmyk[0] > 230
    assert max(cmyk[1:]) < 40
    palette = Image.new("RGB", (20, 20), RED).convert("P")
    palette.save(tmp_path / "palette.png")
    assert colour_of(tmp_path / "palette.png")[0] > 200
    assert colour_of(saved(tmp_path / "grey.png", "L", 77)) == [77, 77, 77]
    assert colour_of(saved(tmp_path / "clear.png", "RGBA", (0, 0, 0, 0))) == [255, 255, 255]


def test_photograph_held_sideways_is_turned_upright(tmp_path: Path) -> None:
    pixels = np.zeros((20, 20, 3), np.uint8)
    pixels[:10] = 255  # bright above
    exif = Image.Exif()
    exif[0x0112] = 3  # taken upside down
    Image.fromarray(pixels).save(tmp_path / "turned.jpg", exif=exif)
    upright = decode(tmp_path / "turned.jpg", 16)
    assert upright[:, 12:].mean() > 240
    assert upright[:, :4].mean() < 15


def test_first_frame_of_an_animation(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (20, 20), colour) for colour in (RED, (0, 0, 255))]
    frames[0].save(tmp_path / "moving.webp", save_all=True, append_images=frames[1:], lossless=True)
    assert colour_of(tmp_path / "moving.webp") == list(RED)


def png_chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def bomb(path: Path) -> Path:
    """A small file that unpacks to 169 million pixels."""
    Image.new("1", (13_000, 13_000)).save(path)
    assert path.stat().st_size < 100_000
    return path


def test_says_why_a_file_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.jpg").write_text("no picture")
    whole = saved(tmp_path / "whole.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "header.jpg").write_bytes(b"\x89PNG\r\n\x1a\n")
    Image.new("RGB", (9, 9)).save(tmp_path / "format.jpg", format="TIFF")
    saved(tmp_path / "moving.gif", "P", 0)
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "loop.jpg").symlink_to(tmp_path / "loop.jpg")
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nowhere")
    reasons = {
        "empty": "empty file",
        "text": "not a picture of a format that is read",
        "cut": "(?i)truncated",
        "header": "damaged at its beginning",
        "format": "not a picture of a format that is read",
        "pipe": "not a regular file",
        "loop": "symbolic links",
        "gone": "No such file",
    }
    for name, reason in reasons.items():
        with pytest.raises(PictureError, match=reason):
            decode(tmp_path / f"{name}.jpg", 16)
    with pytest.raises(PictureError, match=r"\.gif is not read; JPEG, PNG, WEBP, BMP are"):
        decode(tmp_path / "moving.gif", 16)
    with pytest.raises(PictureError, match="13000 x 13000 pixels; at most 64,000,000 are read"):
        decode(bomb(tmp_path / "bomb.png"), 16)


def test_all_bad_files_are_said_at_once_or_left_out(tmp_path: Path) -> None:
    paths = [saved(tmp_path / "good.png"), tmp_path / "a\nb.png", tmp_path / "z.png"]
    for path in paths[1:]:
        path.write_text("no picture")
    with pytest.raises(DataError) as refused:
        decode_all(paths, tmp_path, 16, tmp_path / "cache", skip_bad=False)
    text = str(refused.value)
    assert "2 of 3 files cannot be read" in text
    assert "a\\nb.png: not a picture" in text
    assert "z.png: not a picture" in text
    assert "dataset.skip_bad=true" in text
    decoded = decode_all(paths, tmp_path, 16, tmp_path / "cache", skip_bad=True)
    assert (decoded.kept.tolist(), len(decoded.pictures)) == ([0], 1)
    assert decoded.notes == ("left out, since they cannot be read: 2 files",)


def test_cache_is_used_and_made_again_when_a_file_changes_or_it_is_damaged(tmp_path: Path) -> None:
    paths = [saved(tmp_path / f"{number}.png", colour=(number, 0, 0)) for number in range(3)]
    cache = tmp_path / "cache"
    first = np.array(decode_all(paths, tmp_path, 16, cache, skip_bad=False).pictures.pixels)
    (file,) = cache.glob("*.npy")
    made = file.stat().st_mtime_ns
    again = decode_all(paths, tmp_path, 16, cache, skip_bad=False).pictures.pixels
    assert isinstance(again, np.memmap)
    assert (file.stat().st_mtime_ns, again.tolist()) == (made, first.tolist())
    del again  # what is cut while it is mapped may not be read
    file.write_bytes(file.read_bytes()[:200])
    assert decode_all(paths, tmp_path, 16, cache, skip_bad=False).pictures.pixels.tolist() == first.tolist()
    saved(paths[0], colour=(99, 99, 99))
    changed = decode_all(paths, tmp_path, 16, cache, skip_bad=False).pictures.pixels
    assert changed[0].mean() == 99


def test_equal_pictures_share_a_group(tmp_path: Path) -> None:
    paths = [saved(tmp_path / name, colour=(value, 0, 0)) for name, value in (("a.png", 1), ("b.png", 2), ("c.png", 1))]
    decoded = decode_all(paths, tmp_path, 16, tmp_path / "cache", skip_bad=False)
    assert decoded.groups.tolist() == [0, 1, 0]
    assert decoded.notes == ("pictures that are copies of another: 1; copies stay on one side of every split",)


def test_folder_is_listed_once_also_where_links_turn_in_a_circle(tmp_path: Path) -> None:
    (tmp_path / "deep" / ".hidden").mkdir(parents=True)
    for name in ("a.png", "deep/b.JPG", "deep/.hidden/c.png", "readme.txt"):
        (tmp_path / name).touch()
    (tmp_path / "deep" / "again").symlink_to(tmp_path)
    assert [str(path.relative_to(tmp_path)) for path in listed([tmp_path])] == ["a.png", "deep/b.JPG"]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_way_to_hold_a_camera_is_turned_as_pillow_turns_it(orientation: int, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (16, 16, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(tmp_path / "held.png", exif=exif)
    with Image.open(tmp_path / "held.png") as picture:
        upright = np.asarray(ImageOps.exif_transpose(picture))
    assert (decode(tmp_path / "held.png", 16) == upright.transpose(2, 0, 1)).all()


def test_whole_picture_is_squeezed_and_nothing_is_cut_off(tmp_path: Path) -> None:
    pixels = np.zeros((50, 400, 3), np.uint8)
    pixels[:, :100] = RED  # the leftmost and the rightmost quarter
    pixels[:, 300:] = (0, 200, 0)
    Image.fromarray(pixels).save(tmp_path / "wide.png")
    small = decode(tmp_path / "wide.png", 16)
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


def test_harmful_files_are_refused_quickly_with_little_memory(tmp_path: Path) -> None:
    start = b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0))
    text = png_chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(200_000_000), 1))
    (tmp_path / "text.png").write_bytes(start + text + png_chunk(b"IDAT", zlib.compress(bytes(200))))
    (tmp_path / "huge.bmp").touch()
    os.truncate(tmp_path / "huge.bmp", 400_000_000)  # a hole: it takes no room
    (tmp_path / "device.png").symlink_to("/dev/zero")
    (tmp_path / "script.jpg").write_text("%!PS-Adobe-3.0 EPSF-3.0\n")
    (tmp_path / "drawing.png").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    reasons = {
        "text.png": "too large",
        "huge.bmp": "400,000,000 bytes; at most 300,000,000 are read",
        "device.png": "not a regular file",
        "script.jpg": "not a picture of a format that is read",
        "drawing.png": "not a picture of a format that is read",
    }
    peak, begin = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    for name, reason in reasons.items():
        with pytest.raises(PictureError, match=reason):
            decode(tmp_path / name, 16)
    assert time.monotonic() - begin < 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak < 300_000


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
            results.append(decode_or_reason(file, 8))
    reasons = [result for result in results if isinstance(result, str)]
    assert 0 < len(reasons) < len(results)
    assert all(reason and reason.isprintable() for reason in reasons)


def test_bad_exif_is_no_bad_picture_and_nobody_is_warned(tmp_path: Path) -> None:
    path = saved(tmp_path / "exif.png", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x09\x01\x12")
    assert len(decode_all([path], tmp_path, 16, tmp_path / "cache", skip_bad=False).pictures) == 1


def test_link_out_of_the_folder_is_bad_and_a_link_inside_is_good(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    saved(tmp_path / "outside.png")
    saved(root / "inside.png")
    (root / "near.png").symlink_to("inside.png")
    (root / "far.png").symlink_to(tmp_path / "outside.png")
    decoded = decode_all(listed([root]), root, 16, tmp_path / "cache", skip_bad=True)
    assert decoded.bad == (("far.png", "a link that leads out of the data set's folder; put the file itself there"),)
    assert decoded.kept.tolist() == [1, 2]


def test_bad_file_is_tried_again_though_its_size_and_time_are_the_same(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    paths = [saved(root_made(root) / "a.png"), root / "b.png"]
    paths[1].symlink_to(saved(root_made(outside) / "b.png"))
    assert decode_all(paths, root, 16, tmp_path / "cache", skip_bad=True).kept.tolist() == [0]
    paths[1].unlink()
    (outside / "b.png").rename(paths[1])
    assert decode_all(paths, root, 16, tmp_path / "cache", skip_bad=True).kept.tolist() == [0, 1]


def root_made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def test_cache_leaves_no_half_files_and_says_when_it_cannot_be_written(tmp_path: Path) -> None:
    paths, cache = [saved(tmp_path / "a.png"), saved(tmp_path / "b.png")], tmp_path / "cache"
    decode_all(paths, tmp_path, 16, cache, skip_bad=False)
    assert sorted(file.suffix for file in cache.iterdir()) == [".json", ".npy"]
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="store: decoded pictures are kept in"):
        decode_all(paths, tmp_path, 16, tmp_path / "file", skip_bad=False)


def test_all_pictures_bad_is_an_error_also_when_bad_ones_are_skipped(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    with pytest.raises(DataError, match="none of the 1 files"):
        decode_all([tmp_path / "a.png"], tmp_path, 16, tmp_path / "cache", skip_bad=True)


def test_decodes_at_least_500_small_pictures_a_second(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (160, 200, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "0.jpg")
    for number in range(1, 300):
        os.link(tmp_path / "0.jpg", tmp_path / f"{number}.jpg")
    begin = time.monotonic()
    decode_all(listed([tmp_path]), tmp_path, 64, tmp_path / "cache", skip_bad=False)
    assert 300 / (time.monotonic() - begin) > 500


def test_arrays_are_resized_as_files_are(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (1, 40, 60, 3), dtype=np.uint8)
    Image.fromarray(pixels[0]).save(tmp_path / "a.png")
    assert (resized(pixels, 16)[0].transpose(2, 0, 1) == decode(tmp_path / "a.png", 16)).all()
