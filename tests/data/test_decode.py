from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from spos.data.decode import BrokenImageError, check, decode
from spos.data.photograph import fit, random_box, random_photograph, resized_side


def saved(image: Image.Image, format: str = "PNG", **options) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def encoded(size: tuple[int, int], format: str) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return saved(Image.fromarray(pixels), format)


def colour(content: bytes) -> tuple[int, ...]:
    image = decode(content)
    assert image.mode == "RGB"
    return image.getpixel((0, 0))


def test_grey_palette_and_one_bit_images_become_colour():
    assert colour(saved(Image.new("L", (4, 4), 77))) == (77, 77, 77)
    assert colour(saved(Image.new("1", (4, 4), 1))) == (255, 255, 255)
    palette = Image.new("RGB", (4, 4), (10, 200, 30)).quantize(4)
    assert palette.mode == "P" and colour(saved(palette)) == (10, 200, 30)


def test_transparency_is_laid_on_white():
    assert colour(saved(Image.new("RGBA", (4, 4), (0, 0, 200, 0)))) == (255, 255, 255)
    assert colour(saved(Image.new("RGBA", (4, 4), (0, 0, 200, 255)))) == (0, 0, 200)
    half = colour(saved(Image.new("RGBA", (4, 4), (0, 0, 0, 128))))
    assert half == (127, 127, 127)
    assert colour(saved(Image.new("LA", (4, 4), (0, 0)))) == (255, 255, 255)
    keyed = saved(Image.new("RGB", (4, 4), (1, 2, 3)), transparency=(1, 2, 3))
    assert colour(keyed) == (255, 255, 255)
    palette = Image.new("P", (4, 4), 0)
    assert colour(saved(palette, transparency=0)) == (255, 255, 255)


def test_cmyk_jpeg_becomes_colour():
    red = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    r, g, b = colour(saved(red, "JPEG", quality=100))
    assert r > 245 and g < 10 and b < 10


@pytest.mark.parametrize("value", [0, 257, 32768, 40000, 65535])
def test_16_bit_images_are_scaled_and_not_clipped(value):
    deep = Image.fromarray(np.full((4, 4), value, np.uint16))
    assert deep.mode.startswith("I;16")
    assert colour(saved(deep)) == (round(value / 257),) * 3


def test_16_bit_images_of_all_values_keep_their_order():
    ramp = np.linspace(0, 65535, 64, dtype=np.uint16).reshape(8, 8)
    pixels = np.asarray(decode(saved(Image.fromarray(ramp))))[..., 0].ravel()
    assert pixels[0] == 0 and pixels[-1] == 255 and (np.diff(pixels.astype(int)) >= 3).all()


@pytest.mark.parametrize("format", ["PNG", "JPEG", "BMP", "WEBP"])
def test_the_formats_are_recognised_by_their_content(format):
    assert decode(encoded((7, 5), format)).size == (7, 5)
    assert check(encoded((7, 5), format)) == (7, 5)


def test_the_rotation_that_a_camera_noted_is_applied():
    image = Image.new("RGB", (40, 20))
    image.paste((255, 255, 255), (0, 0, 20, 20))
    exif = Image.Exif()
    exif[0x0112] = 6
    upright = decode(saved(image, "JPEG", exif=exif, quality=100))
    assert upright.size == (20, 40)
    assert upright.getpixel((10, 5))[0] > 240 and upright.getpixel((10, 35))[0] < 15


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_damaged_notes_of_a_camera_are_none(format):
    image = Image.new("RGB", (5, 4), (0, 255, 0))
    content = saved(image, format, exif=b"no notes", lossless=True)
    assert decode(content).size == check(content) == (5, 4)


@pytest.mark.parametrize("read", [decode, check])
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty file"),
        (b"this is text, not an image", "not a JPEG, PNG, BMP, or WebP image"),
        (encoded((64, 64), "JPEG")[:-1500], "truncated"),
        (encoded((64, 64), "PNG")[:-1500], "truncated"),
        (encoded((64, 64), "JPEG")[:30], ""),
        (encoded((64, 64), "BMP")[:-200], "truncated"),
        (encoded((64, 64), "WEBP")[:-200], ""),
    ],
)
def test_broken_content_is_found_with_a_reason_in_one_line(read, content, reason):
    with pytest.raises(BrokenImageError, match=reason or ".") as error:
        read(content)
    assert str(error.value)
    assert "\n" not in str(error.value)


def test_a_large_jpeg_is_decoded_small_but_never_below_twice_the_side():
    content = saved(Image.new("RGB", (1600, 800)), "JPEG")
    assert decode(content).size == (1600, 800)
    assert decode(content, 100).size == (400, 200)
    assert decode(content, 700).size == (1600, 800)


def test_fit_keeps_the_middle_and_leaves_the_right_size_alone():
    image = Image.new("RGB", (60, 20))
    image.paste((255, 0, 0), (20, 0, 40, 20))
    assert fit(image, 10).getpixel((5, 5)) == (255, 0, 0)
    square = Image.new("RGB", (20, 20))
    assert fit(square, 20) is square


def test_fit_is_imagenets_resize_and_centre_crop():
    pixels = np.random.default_rng(0).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    image = Image.fromarray(pixels).resize((400, 300), Image.Resampling.BICUBIC)
    assert resized_side(224) == 256
    whole = image.resize((341, 256), Image.Resampling.BICUBIC)
    expected = whole.crop((58, 16, 58 + 224, 16 + 224))
    difference = np.abs(np.asarray(fit(image, 224), int) - np.asarray(expected, int))
    assert difference.mean() < 2


def test_random_photographs_depend_on_the_generator_and_keep_the_mode():
    for mode in ("L", "RGB"):
        image = Image.new(mode, (50, 40), 128 if mode == "L" else (128, 90, 20))
        one, other = (random_photograph(image, 16, np.random.default_rng(5)) for _ in range(2))
        assert one.mode == mode and one.size == (16, 16) and one.tobytes() == other.tobytes()


@pytest.mark.parametrize("size", [(1, 1), (500, 2), (2, 500), (90, 60)])
def test_random_boxes_stay_inside(size):
    random = np.random.default_rng(0)
    for _ in range(300):
        left, top, right, bottom = random_box(size, random)
        assert 0 <= left < right <= size[0] and 0 <= top < bottom <= size[1]


def test_a_square_is_cut_at_any_ratio_of_sides():
    for image_size, shorter in ((21, 23), (21, 174), *((n, n + 2) for n in range(4, 127))):
        for size in ((shorter, shorter + 9), (shorter + 9, shorter)):
            assert fit(Image.new("L", size), image_size).size == (image_size, image_size)
