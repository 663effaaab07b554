import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from hwnas.errors import ConfigError
from hwnas.resilience import BFLOAT16, FLOAT16, FLOAT32, FORMATS, INT8, LOG8, BitGroup, Format, format_named

EVERY = pytest.mark.parametrize("layout", FORMATS.values(), ids=FORMATS)


def some_values(layout: Format, count: int = 257) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 2**layout.bits, count).astype(layout.word).view(layout.storage)


@EVERY
def test_every_bit_lies_in_one_group(layout: Format) -> None:
    owners = [sum(group.low <= bit <= group.high for group in layout.groups) for bit in range(layout.bits)]
    assert owners == [1] * layout.bits


def test_groups_are_those_of_the_method() -> None:
    bounds = {name: [(group.low, group.high) for group in layout.groups] for name, layout in FORMATS.items()}
    assert bounds["float32"] == [(31, 31), (30, 30), (27, 29), (23, 26), (0, 22)]
    assert bounds["float16"] == [(15, 15), (14, 14), (12, 13), (10, 11), (0, 9)]
    assert bounds["bfloat16"] == [(15, 15), (14, 14), (11, 13), (7, 10), (0, 6)]
    assert bounds["int8"] == [(7, 7), (6, 6), (4, 5), (0, 3)]


@EVERY
def test_flip_is_its_own_inverse_even_through_nan_and_infinity(layout: Format) -> None:
    values = some_values(layout)
    masks = np.random.default_rng(1).integers(0, 2**layout.bits, len(values)).astype(layout.word)
    once = layout.flip(values, masks)
    assert once.dtype == layout.storage
    np.testing.assert_array_equal(layout.words(once) ^ layout.words(values), masks)
    np.testing.assert_array_equal(layout.words(layout.flip(once, masks)), layout.words(values))


@EVERY
def test_forced_bits_have_the_level_and_the_others_stay(layout: Format) -> None:
    values, mask = some_values(layout), layout.mask(0, layout.bits - 1)
    for level in (0, 1):
        words = layout.words(layout.force(values, mask, level=level))
        assert ((words & layout.word.type(mask)) == (mask if level else 0)).all()
        np.testing.assert_array_equal(words | layout.word.type(mask), layout.words(values) | layout.word.type(mask))


@pytest.mark.parametrize(
    ("layout", "value", "bit", "expected"),
    [(FLOAT32, 1.0, 30, np.inf), (FLOAT32, 0.5, 31, -0.5), (FLOAT32, 1.0, 23, 0.5), (FLOAT32, 1.0, 22, 1.5)]
    + [(FLOAT16, 1.0, 14, np.inf), (FLOAT16, 1.0, 9, 1.5), (BFLOAT16, 1.0, 14, np.inf), (BFLOAT16, 1.0, 6, 1.5)]
    + [(LOG8, 1.0, 7, -1.0), (LOG8, 1.0, 3, 0.5), (LOG8, 0.5, 6, 2.0**-9), (LOG8, 2.0**-9, 6, 0.5)]
    + [(INT8, 3, 7, -125), (INT8, 3, 0, 2), (FORMATS["int32"], 0, 31, -(2**31))],
)
def test_known_flips(layout: Format, value: float, bit: int, expected: float) -> None:
    flipped = layout.flip(layout.encode([value]), layout.mask(bit))
    assert layout.decode(flipped)[0] == expected


def test_words_are_the_same_memory() -> None:
    weights = np.ones(3, np.float32)
    FLOAT32.words(weights)[1] ^= np.uint32(1 << 31)
    assert weights.tolist() == [1.0, -1.0, 1.0]


@given(hnp.arrays(np.float32, 20, elements=st.floats(width=32)))
@settings(deadline=None, derandomize=True)
def test_bfloat16_rounds_to_the_nearest_and_ties_to_even(values: np.ndarray) -> None:
    stored = BFLOAT16.encode(values)
    back = BFLOAT16.decode(stored)
    np.testing.assert_array_equal(np.isnan(back), np.isnan(values))
    np.testing.assert_array_equal(BFLOAT16.encode(back), stored)
    ordinary = np.isfinite(values) & np.isfinite(back)
    for step in (-1, 1):  # no neighbour is nearer, and at equal distance the neighbour is odd
        neighbour = BFLOAT16.decode((stored + np.uint16(step % 2**16)).astype(np.uint16))
        here, there = (np.abs(np.float64(x[ordinary]) - values[ordinary]) for x in (back, neighbour))
        with np.errstate(invalid="ignore"):
            worse = (there > here) | ((there == here) & (stored[ordinary] % 2 == 0)) | np.isnan(there) | (values[ordinary] == 0)
        assert worse.all()


def test_bfloat16_ties_overflow_and_nan() -> None:
    step = 2.0**-7
    assert BFLOAT16.decode(BFLOAT16.encode([1 + step / 2, 1 + 3 * step / 2])).tolist() == [1.0, 1 + 2 * step]
    largest, noisy_nan = np.array([0x7F7FFFFF, 0x7F800001], np.uint32).view(np.float32)
    assert BFLOAT16.decode(BFLOAT16.encode([largest, -np.inf])).tolist() == [np.inf, -np.inf]
    assert np.isnan(BFLOAT16.decode(BFLOAT16.encode([noisy_nan])))


def test_integers_are_clipped_and_float16_overflows_to_infinity() -> None:
    assert INT8.encode([300, -300, 2.5, 3.5]).tolist() == [127, -128, 2, 4]
    assert FLOAT16.encode([1e6])[0] == np.inf


def test_log8_words_come_back_and_their_values_are_powers_of_two() -> None:
    words = np.arange(256, dtype=np.uint8)
    values = LOG8.decode(words)
    np.testing.assert_array_equal(LOG8.encode(values), words)
    assert values[[0, 127, 119, 111, 255, 63]].tolist() == [0.0, 1.0, 0.5, 0.25, -1.0, 2.0**-8]
    np.testing.assert_allclose(np.diff(np.log2(values[1:128])), 1 / 8, atol=1e-5)
    np.testing.assert_array_equal(values[128:], -values[:128])


@given(hnp.arrays(np.float32, 20, elements=st.floats(-1, 1, width=32)))
@settings(deadline=None, derandomize=True)
def test_log8_rounds_to_the_nearest_logarithm(values: np.ndarray) -> None:
    back = LOG8.decode(LOG8.encode(values))
    large = np.abs(values) >= 2.0 ** (-126 / 8)
    octaves = np.abs(np.log2(np.abs(back[large])) - np.log2(np.abs(values[large])))
    assert (octaves <= 1 / 16 + 1e-5).all()
    np.testing.assert_array_equal(np.signbit(back), np.signbit(values))
    assert (np.abs(back[~large]) <= 2.0 ** (-126 / 8)).all()


def test_log8_saturates_at_full_scale_and_ends_in_zero() -> None:
    assert LOG8.decode(LOG8.encode([3.0, -np.inf, np.nan, 1e-30])).tolist() == [1.0, -1.0, 1.0, 0.0]
    assert LOG8.decode(LOG8.encode([2.0**-15.7, 2.0**-15.9])).tolist() == [pytest.approx(2.0**-15.75), 0.0]
    assert LOG8.decode(LOG8.flip(LOG8.encode([0.0]), 1 << 6))[0] == pytest.approx(2 ** (-63 / 8))


def test_wrong_requests_are_refused() -> None:
    with pytest.raises(ConfigError, match="float64"):
        FLOAT32.words(np.zeros(2))
    with pytest.raises(ConfigError, match="bits 0 to 7"):
        INT8.mask(8)
    with pytest.raises(ConfigError, match="float16, bfloat16"):
        format_named("float64")
    with pytest.raises(ConfigError, match="cover"):
        Format(name="x", storage=np.dtype(np.int8), word=np.dtype(np.uint8), groups=(BitGroup(name="a", low=0, high=6),))
