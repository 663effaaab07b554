import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwnas.errors import ConfigError, ModelError
from hwnas.resilience import FLOAT32, INT8, INT32, Population, Role, TensorBits, stratify, unstratified

MIXED = Population(
    tensors=(
        TensorBits(name="stem.weight", layer="stem", role=Role.WEIGHT, size=5, format=INT8),
        TensorBits(name="stem.bias", layer="stem", role=Role.BIAS, size=2, format=INT32),
        TensorBits(name="stem.scale", layer="stem", role=Role.QUANTISATION, size=1, format=FLOAT32),
        TensorBits(name="head.weight", layer="head", role=Role.WEIGHT, size=7, format=INT8),
    )
)


def test_every_bit_has_one_place_and_back() -> None:
    places = MIXED.locate(np.arange(MIXED.size))
    triples = list(zip(places.tensors.tolist(), places.elements.tolist(), places.bits.tolist(), strict=True))
    expected = [
        (number, element, bit)
        for number, tensor in enumerate(MIXED.tensors)
        for element in range(tensor.size)
        for bit in range(tensor.format.bits)
    ]
    assert triples == expected
    for index, (number, element, bit) in enumerate(triples):
        assert MIXED.index(tensor=MIXED.tensors[number].name, element=element, bit=bit) == index


def test_roles_are_counted_apart_and_can_be_left_out() -> None:
    assert [MIXED.bits_of(role) for role in (Role.WEIGHT, Role.BIAS, Role.QUANTISATION)] == [96, 64, 32]
    deployed = MIXED.only(roles={Role.WEIGHT, Role.BIAS})
    assert deployed.size == 160
    assert "stem.scale" not in [tensor.name for tensor in deployed.tensors]


@given(st.sets(st.integers(0, MIXED.size - 1)))
@settings(deadline=None, derandomize=True)
def test_masks_hold_exactly_the_bits_given(indices: set[int]) -> None:
    found = set()
    for words in MIXED.masks(sorted(indices)):
        assert (np.diff(words.elements) > 0).all()
        for element, mask in zip(words.elements.tolist(), words.masks.tolist(), strict=True):
            bits = [bit for bit in range(32) if mask >> bit & 1]
            found |= {MIXED.index(tensor=words.tensor, element=element, bit=bit) for bit in bits}
    assert found == indices


@pytest.mark.parametrize("cut", [stratify, unstratified])
def test_strata_hold_every_bit_once(cut: object) -> None:
    strata = cut(MIXED)  # type: ignore[operator]
    bits = np.concatenate([stratum.bits(np.arange(stratum.size)) for stratum in strata])
    assert sorted(bits.tolist()) == list(range(MIXED.size))


def test_strata_are_layers_by_bit_groups() -> None:
    for stratum in stratify(MIXED):
        places = MIXED.locate(stratum.bits(np.arange(stratum.size)))
        for number, bit in zip(places.tensors, places.bits, strict=True):
            tensor = MIXED.tensors[number]
            group = next(group for group in tensor.format.groups if group.low <= bit <= group.high)
            assert (stratum.layer, stratum.group) == (tensor.layer, f"{tensor.format.name} {group.name}")


def test_wrong_requests_are_refused() -> None:
    with pytest.raises(ConfigError, match="0 to 191"):
        MIXED.locate([3, MIXED.size])
    with pytest.raises(ConfigError, match="no bit 8"):
        MIXED.index(tensor="stem.weight", element=0, bit=8)
    with pytest.raises(ModelError, match="at least one tensor"):
        MIXED.only(roles=[Role.ACTIVATION])
    with pytest.raises(ModelError, match="distinct"):
        Population(tensors=MIXED.tensors[:1] * 2)
    with pytest.raises(ModelError, match="at least one element"):
        TensorBits(name="empty", layer="stem", role=Role.WEIGHT, size=0, format=INT8)
