"""Decoding: right colours from every kind of file, and a reason for what cannot be read."""

import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.data.examples import DataError
from pipeline.data.pictures import PictureError, decode, decode_all, listed

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


def bomb(path: Path) -> Path:
    """A PNG whose header claims 13,000 x 13,000 pixels."""
    header = struct.pack(">IIBBBBB", 13_000, 13_000, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk)))
    return path


def test_says_why_a_file_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.jpg").write_text("no picture")
    whole = saved(tmp_path / "whole.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    Image.new("RGB", (9, 9)).save(tmp_path / "format.jpg", format="TIFF")
    saved(tmp_path / "moving.gif", "P", 0)
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "loop.jpg").symlink_to(tmp_path / "loop.jpg")
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nowhere")
    reasons = {
        "empty": "empty file",
        "text": "not a picture of a format that is read",
        "cut": "truncated",
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
    first = decode_all(paths, tmp_path, 16, cache, skip_bad=False).pictures.pixels
    (file,) = cache.glob("*.npy")
    made = file.stat().st_mtime_ns
    again = decode_all(paths, tmp_path, 16, cache, skip_bad=False).pictures.pixels
    assert isinstance(again, np.memmap)
    assert (file.stat().st_mtime_ns, again.tolist()) == (made, first.tolist())
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
