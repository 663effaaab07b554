"""Plots hold what the report says."""

import numpy as np

from hwnas.campaign import Examples, FaultSettings, Subject, study
from hwnas.campaign.figures import accuracy_figure, figures_page, vulnerability_figure
from hwnas.injection import TorchTarget
from tests.injection.injection_samples import batch, labels_of, tiny_program


def test_the_page_has_a_curve_and_a_map_for_each_network() -> None:
    made = tiny_program()
    pictures = batch(made.graph, 12)
    data = Examples(images=pictures.numpy(), labels=labels_of(made, pictures))
    settings = FaultSettings(images=12, half_width=20.0, bers=(1e-4, 1e-2))
    subjects = [Subject(name=name, bench=lambda: TorchTarget(made)) for name in ("one", "two")]
    report = study(subjects, data, settings, ["single", "ber"], folder=None, watch=lambda stage: None)
    curves = accuracy_figure(report.networks)
    assert curves is not None
    assert [trace.name for trace in curves.data if trace.name] == ["one", "two"]
    assert {trace.mode for trace in curves.data} == {"lines", "lines+markers"}  # a band has no markers of its own
    first = report.networks[0]
    assert first.curve is not None
    assert first.single is not None
    np.testing.assert_allclose(curves.data[1].y, [each.value for each in first.curve.summary.accuracies])
    heat = vulnerability_figure(first)
    assert heat is not None
    part = next(part for part in first.single.parts if "all" not in (part.layer, part.group))
    assert part.drop is not None
    assert heat.data[0].z[list(heat.data[0].y).index(part.layer)][list(heat.data[0].x).index(part.group)] == part.drop.value
    page = figures_page(report)
    assert page.count("plotly-graph-div") >= 3
    only = study(subjects[:1], data, settings, ["single"], folder=None, watch=lambda stage: None)
    assert accuracy_figure(only.networks) is None
