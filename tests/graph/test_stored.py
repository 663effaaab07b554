from hwnas.graph import Graph, StoredTensor, stored_tensors
from tests.graphs import SAMPLES, Builder


def summary(graph: Graph) -> dict[int, tuple[tuple[int, ...], tuple[int, ...]]]:
    """Each stored tensor's name to the nodes fused in it and the stored tensors it reads."""
    return {tensor.node: (tensor.nodes, tensor.reads) for tensor in stored_tensors(graph)}


def test_residual_by_hand() -> None:
    assert summary(SAMPLES["residual"]()) == {
        1: ((1,), ()),
        4: ((2, 3, 4), (1,)),
        7: ((5, 6, 7), (4,)),
        9: ((8, 9), (7,)),
        11: ((10, 11), (4, 9)),  # the ReLU fuses into the add
        14: ((12, 13, 14), (11,)),
        16: ((15, 16), (14,)),
        18: ((17, 18), (11,)),
        20: ((19, 20), (16, 18)),
        21: ((21,), (20,)),
        23: ((23,), (21,)),  # the flatten is a view
    }


def test_dense_by_hand() -> None:
    found = summary(SAMPLES["dense"]())
    assert found[8] == ((8,), (4,))
    assert found[9] == ((9,), (7, 8))
    assert found[10] == ((10,), (4, 9))
    assert found[12] == ((11, 12), (10,))  # a batch norm behind a concat cannot fold: it is computed
    assert found[16] == ((14, 15, 16), (13,))


def test_what_others_read_too_is_not_fused() -> None:
    b = Builder()
    conv = b.conv(4, relu=False) - 1
    b.conv(4, conv)  # reads the convolution before its batch norm, which stays on a branch of its own
    b.add(SAMPLES["dense"]()[10].op, conv + 1, len(b.nodes))
    found: dict[int, StoredTensor] = {tensor.node: tensor for tensor in stored_tensors(b.head())}
    assert found[conv].nodes == (conv,)
    assert found[conv + 1].nodes == (conv + 1,)
    assert found[conv + 1].reads == (conv,)
    assert found[conv].elements == 4 * 8 * 8
