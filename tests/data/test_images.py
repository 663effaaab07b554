import io
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image

from hwnas.data.images import Header, decode, read_header
from hwnas.errors import DataError
from tests.data.samples import encode

RNG = np.random.default_rng(0)
COLOUR = RNG.integers(0, 256, (5, 7, 3), dtype=np.uint8)
GREY = RNG.integers(0, 256, (5, 7), dtype=np.uint8)


def read(encoded: bytes) -> np.ndarray:
    """Return the image at its own size and number of channels."""
    header = read_header(encoded, "it", 10_000)
    return decode(encoded, "it", (1 if header.grey else 3, header.height, header.width))


@pytest.mark.parametrize("kind", ["PNG", "BMP", "PPM", "TIFF"])
def test_lossless_images_come_back_exactly(kind: str) -> None:
    np.testing.assert_array_equal(read(encode(COLOUR, kind)), COLOUR.transpose(2, 0, 1))
    np.testing.assert_array_equal(read(encode(GREY, kind)), GREY[None])


def test_grey_becomes_colour_where_colour_is_asked() -> None:
    np.testing.assert_array_equal(decode(encode(GREY), "it", (3, 5, 7)), np.stack([GREY] * 3))


def test_alpha_is_laid_over_white() -> None:
    alpha = np.zeros((5, 7, 1), dtype=np.uint8)
    alpha[0] = 255
    expected = np.where(alpha == 255, COLOUR, 255)
    np.testing.assert_array_equal(read(encode(np.concatenate([COLOUR, alpha], axis=2))), expected.transpose(2, 0, 1))
    np.testing.assert_array_equal(
        read(encode(np.stack([GREY, alpha[..., 0]], axis=2)))[0], np.where(alpha[..., 0] == 255, GREY, 255)
    )


def test_palettes_are_looked_up_and_their_transparent_colour_is_white() -> None:
    image = Image.fromarray((np.arange(12, dtype=np.uint8) % 3).reshape(3, 4), "L").convert("P")
    image.putpalette([10, 20, 30, 200, 0, 0, 0, 0, 99])
    buffer = io.BytesIO()
    image.save(buffer, "PNG", transparency=1)
    pixels = read(buffer.getvalue())
    assert pixels[:, 0, 0].tolist() == [10, 20, 30]
    assert pixels[:, 0, 1].tolist() == [255, 255, 255]
    assert pixels[:, 0, 2].tolist() == [0, 0, 99]


def test_16_bit_grey_keeps_its_upper_bits() -> None:
    deep = RNG.integers(0, 65536, (5, 7), dtype=np.uint16)
    np.testing.assert_array_equal(read(encode(deep))[0], deep >> 8)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_exif_orientation_is_applied(orientation: int, kind: str) -> None:
    upright = {
        1: GREY, 2: GREY[:, ::-1], 3: GREY[::-1, ::-1], 4: GREY[::-1],
        5: GREY.T, 6: np.rot90(GREY, -1), 7: np.rot90(GREY, 2).T, 8: np.rot90(GREY),
    }[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    np.testing.assert_array_equal(read(encode(GREY, kind, exif=exif))[0], upright)


def test_a_header_is_read_without_decoding_and_an_orientation_at_the_end_is_found() -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    plain, turned = encode(GREY), encode(GREY, exif=exif)
    begin = turned.index(b"eXIf") - 4
    end = begin + 12 + int.from_bytes(turned[begin : begin + 4])
    late = turned[:begin] + turned[end:-12] + turned[begin:end] + turned[-12:]
    np.testing.assert_array_equal(read(late)[0], np.rot90(GREY, -1))
    pixels = plain.index(b"IDAT") + 4
    assert read_header(plain[:pixels] + bytes(len(plain) - pixels), "it", 100) == Header(height=5, width=7, grey=True)


def test_other_sizes_are_scaled_to_cover_and_cropped_at_the_centre() -> None:
    wide = np.zeros((20, 60), dtype=np.uint8)
    wide[:, 20:40] = 200
    assert (decode(encode(wide), "it", (1, 10, 10))[0, :, 1:-1] == 200).all()
    np.testing.assert_array_equal(decode(encode(wide.T), "it", (1, 5, 15))[0] > 0, np.ones((5, 15), dtype=bool))
    half = decode(encode(wide), "it", (1, 10, 30))[0]
    assert (half[:, 12:18] == 200).all()
    assert (half[:, :8] == 0).all()


def test_a_large_photograph_is_scaled_like_a_small_one() -> None:
    small = Image.fromarray(RNG.integers(0, 256, (12, 16, 3), dtype=np.uint8))
    photograph = np.asarray(small.resize((1600, 1200), Image.Resampling.BICUBIC))
    lossy, lossless = (decode(encode(photograph, kind), "it", (3, 30, 20)).astype(int) for kind in ("JPEG", "PNG"))
    assert np.abs(lossy - lossless).mean() < 1


def test_a_bomb_is_refused_by_its_header() -> None:
    bomb = encode(np.zeros((2000, 2000), dtype=np.uint8))
    assert len(bomb) < 10_000
    with pytest.raises(DataError, match=r"row 3 has 2000 x 2000 = 4,000,000 pixels, more than the 3,999,999"):
        read_header(bomb[:200], "row 3", 3_999_999)


def test_max_pixels_may_be_more_than_pillow_would_take() -> None:
    limit = Image.MAX_IMAGE_PIXELS
    buffer = io.BytesIO()
    Image.new("1", (20_000, 10_000)).save(buffer, "PNG")
    assert read_header(buffer.getvalue(), "x", 300_000_000) == Header(height=10_000, width=20_000, grey=True)
    assert limit == Image.MAX_IMAGE_PIXELS


def test_threads_leave_pillows_limit_and_the_warning_filters_as_they_were() -> None:
    limit, filters = Image.MAX_IMAGE_PIXELS, list(warnings.filters)
    encoded = encode(RNG.integers(0, 256, (300, 300, 3), dtype=np.uint8))
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: decode(encoded, "it", (3, 8, 8)), range(300)))
    assert limit == Image.MAX_IMAGE_PIXELS
    assert filters == warnings.filters


def test_floating_point_pixels_are_refused() -> None:
    with pytest.raises(DataError, match="floating-point"):
        read(encode(np.zeros((2, 2), dtype=np.float32), "TIFF"))


@given(data=st.data(), kind=st.sampled_from(["PNG", "JPEG", "WEBP", "GIF", "BMP"]))
def test_damage_is_one_error_or_an_image(data: st.DataObject, kind: str) -> None:
    encoded = bytearray(encode(COLOUR, kind))
    for place in data.draw(st.lists(st.integers(0, len(encoded) - 1), min_size=1, max_size=5)):
        encoded[place] = data.draw(st.integers(0, 255))
    damaged = bytes(encoded[: data.draw(st.integers(1, len(encoded)))])
    try:
        read_header(damaged, "row 3", 10_000)
        shape = decode(damaged, "row 3", (3, 4, 4)).shape
    except DataError:
        shape = (3, 4, 4)
    assert shape == (3, 4, 4)
