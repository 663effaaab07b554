import numpy as np
import pytest

from hwnas.errors import GraphError, MorphismError
from hwnas.morphism import OPERATORS, Inheritance, Site, check_plan, from_json
from hwnas.morphism.from_scratch import from_scratch
from hwnas.morphism.inheritance import Axis, Calibrated, Chosen, Constant, Factorised, Fresh, Keep, Slice, TopK, written
from tests.chains import STARTS
from tests.graphs import SAMPLES


def test_a_tensor_is_written_once() -> None:
    with pytest.raises(MorphismError, match=r"\['3.bias'\] more than once"):
        Inheritance(exact=True, records=(Calibrated(node=3), Constant(tensor="3.bias", value=0.0)))


def test_index_sets_are_used_and_defined() -> None:
    cut = Slice(tensor="2.weight", source="2.weight", axes=(Axis(axis=0, segments=(Chosen(index_set="kept", start=0),)),))
    with pytest.raises(MorphismError, match=r"used \['kept'\] and defined \[\]"):
        Inheritance(exact=False, records=(cut,))
    with pytest.raises(MorphismError, match=r"used \[\] and defined \['kept'\]"):
        Inheritance(exact=False, index_sets=(TopK(name="kept", source="2.weight", count=1),))


def test_records_name_what_they_write() -> None:
    assert written(Calibrated(node=7)) == ("7.weight", "7.bias", "7.running_mean", "7.running_var")
    assert written(Factorised(depthwise="8.weight", pointwise="2.weight", source="2.weight")) == ("8.weight", "2.weight")
    assert written(Fresh(tensor="2.weight")) == ("2.weight",)


def test_a_plan_that_does_not_fit_is_refused() -> None:
    parent = SAMPLES["plain"]()
    step = OPERATORS["widen"].apply(parent, Site((2,)), np.random.default_rng(0))
    with pytest.raises(MorphismError, match=r"no record says .*'2.weight'"):
        check_plan(parent, step.graph, Inheritance(exact=True))
    stray = Inheritance(exact=True, records=(*step.inheritance.records, Constant(tensor="99.bias", value=0.0)))
    with pytest.raises(MorphismError, match=r"writes \['99.bias'\]"):
        check_plan(parent, step.graph, stray)
    source = Slice(tensor="2.weight", source="77.weight", axes=(Axis(axis=0, segments=(Keep(start=0, stop=8),)),))
    with pytest.raises(MorphismError, match=r"reads \['77.weight'\]"):
        check_plan(parent, parent, Inheritance(exact=True, records=(source,)))


def test_a_plan_from_scratch_names_every_tensor() -> None:
    for make in STARTS.values():
        graph = make()
        assert {name for record in from_scratch(graph).records for name in written(record)} == set(graph.tensors())


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"exact": 3.5}', '{"exact": true, "records": [{"kind": "magic"}]}'])
def test_what_is_not_a_plan_is_refused(text: str) -> None:
    with pytest.raises(GraphError, match="not an inheritance plan"):
        from_json(text)
