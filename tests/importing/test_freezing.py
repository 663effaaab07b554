"""Tensors that a user freezes stay as they are, in descendants too; a new head is trained first."""

from pathlib import Path

import pytest
import torch

from hwnas.data import Augmentation, load
from hwnas.errors import ConfigError
from hwnas.execution import unpack
from hwnas.experiment import start
from hwnas.importing import ImportedNetwork, NetworkSource, network_of
from hwnas.network import Network
from hwnas.settings import DataSettings, TrainerSettings
from hwnas.store import RunStore
from hwnas.training import train
from hwnas.training.schedule import head_tensors
from tests.importing.brought import Digits, tiny


def digits() -> ImportedNetwork:
    return network_of(NetworkSource(given=Digits().eval()), channels=1, height=8, width=8)


@pytest.fixture(scope="module")
def network() -> Network:
    taken = digits()
    return Network(taken.graph, taken.state)


def trained(network: Network, **settings: object) -> tuple[dict[str, torch.Tensor], set[str]]:
    """The state after a short training, and the names of the parameters that it changed."""
    made, before = Network(network.graph, network.state()), network.state()
    train(
        made,
        load(DataSettings(seed=0)),
        settings=TrainerSettings.model_validate({"device": "cpu", **settings}),
        augmentation=Augmentation(),
        images=320,
        generator=torch.Generator().manual_seed(0),
    )
    after = made.state()
    return after, {name for name in network.graph.parameters() if not torch.equal(before[name], after[name])}


def test_frozen_tensors_stay_and_all_others_are_trained(network: Network) -> None:
    everything = set(network.graph.parameters())
    frozen = set(sorted(everything)[:3])
    assert trained(network)[1] == everything
    assert trained(network, frozen=tuple(frozen))[1] == everything - frozen
    assert trained(network, frozen=tuple(frozen), optimiser="adamw", learning_rate=0.01)[1] == everything - frozen


def test_a_head_is_trained_alone_first_and_then_all(network: Network) -> None:
    head = head_tensors(network.graph)
    assert len(head) == 2
    assert trained(network, head_share=0.99)[1] == head  # of 20 steps all
    assert trained(network, head_share=0.5)[1] == set(network.graph.parameters())


def test_names_of_the_users_module_are_frozen_in_all_descendants(tmp_path: Path) -> None:
    start(tiny(freeze=("conv.weight", "body*.weight")), tmp_path / "run", networks=[NetworkSource(given=Digits().eval())])
    own = {name: number for number, name in digits().names.items()}
    frozen = digits().state[own["conv.weight"]]
    with RunStore.open(tmp_path / "run", write=False) as store:
        kept = {row.id: row.outcome.weights for row in store.rows() if row.outcome and row.outcome.weights}
        states = {name: unpack(store.weights(weights)) for name, weights in kept.items()}
    assert len(states) > 1
    same = [state[own["conv.weight"]].shape == frozen.shape for state in states.values()]
    assert sum(same) > 1  # not all of them were pruned or widened there
    for state, is_same in zip(states.values(), same, strict=True):
        assert not is_same or torch.equal(state[own["conv.weight"]], frozen)
    assert any(not torch.equal(state[own["fc.bias"]], digits().state[own["fc.bias"]]) for state in states.values())


@pytest.mark.parametrize(
    ("freeze", "message"),
    [(("layer9.*",), "no tensor of Digits is called 'layer9"), (("*",), "every tensor of Digits")],
)
def test_a_pattern_that_freezes_nothing_or_everything_is_refused(tmp_path: Path, freeze: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        start(tiny(freeze=freeze), tmp_path / "run", networks=[NetworkSource(given=Digits().eval())])
    assert not (tmp_path / "run" / "run.sqlite").exists()


def test_freezing_needs_the_one_network_whose_tensors_it_names(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="needs the one network"):
        start(tiny(freeze=("conv*",)), tmp_path / "run")
    with pytest.raises(ConfigError, match="begin with it"):
        start(tiny(freeze=("conv*",), with_initial=True), tmp_path / "run", networks=[NetworkSource(given=Digits().eval())])
