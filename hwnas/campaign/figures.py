"""Plots of a fault report: accuracy against bit error rate, and where in the memory the damage is done."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from hwnas.campaign.results import FaultReport, NetworkResult

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")  # the colour-blind can distinguish them
DASHES = ("solid", "dash", "dot", "dashdot")  # once the colours are used up
ROW_HEIGHT = 22  # pixels of a layer's name


def figures_page(report: FaultReport) -> str:
    """One self-contained HTML page with every plot that the report has data for."""
    figures = [figure for figure in (accuracy_figure(report.networks), *map(vulnerability_figure, report.networks)) if figure]
    parts = [
        figure.to_html(full_html=False, include_plotlyjs="inline" if number == 0 else False)
        for number, figure in enumerate(figures)
    ]
    return f"<!doctype html><html><head><meta charset='utf-8'><title>Faults</title></head><body>{''.join(parts)}</body></html>"


def accuracy_figure(networks: Sequence[NetworkResult]) -> go.Figure | None:
    """Accuracy against bit error rate with 95 % bands; None where no network has a curve."""
    figure = go.Figure()
    for number, network in enumerate(network for network in networks if network.curve is not None):
        curve, colour = network.curve, COLOURS[number % len(COLOURS)]
        assert curve is not None
        points = curve.summary.accuracies
        band = [min(1.0, each.high) for each in points] + [max(0.0, each.low) for each in reversed(points)]
        rates = list(curve.bers)
        figure.add_scatter(
            x=rates + rates[::-1], y=band, fill="toself", fillcolor=colour, opacity=0.2, mode="lines", line={"width": 0},
            hoverinfo="skip", legendgroup=network.model, showlegend=False,
        )  # fmt: skip
        figure.add_scatter(
            x=rates, y=[each.value for each in points], name=network.model, legendgroup=network.model,
            line={"color": colour, "dash": DASHES[number // len(COLOURS) % len(DASHES)]}, mode="lines+markers",
        )  # fmt: skip
    if not figure.data:
        return None
    figure.update_xaxes(type="log", title="bit error rate", exponentformat="power", dtick=1)
    figure.update_yaxes(title="accuracy", range=[0, 1])
    figure.update_layout(title="Accuracy against bit error rate, 95 % bands", template="plotly_white")
    return figure


def vulnerability_figure(network: NetworkResult) -> go.Figure | None:
    """Mean drop of one fault by layer and bit group, beside the whole layers' with intervals; None without single faults."""
    if network.single is None:
        return None
    parts = network.single.parts
    layers = list(dict.fromkeys(part.layer for part in parts if part.layer != "all"))
    groups = list(dict.fromkeys(part.group for part in parts if part.group != "all"))
    drops = np.full((len(layers), len(groups)), np.nan)
    whole = {part.layer: part.drop for part in parts if part.group == "all"}
    for part in parts:
        if part.layer != "all" and part.group != "all" and part.drop is not None:
            drops[layers.index(part.layer), groups.index(part.group)] = part.drop.value
    figure = make_subplots(1, 2, shared_yaxes=True, subplot_titles=("by layer and bits", "whole layer, 95 % interval"))
    figure.add_heatmap(x=groups, y=layers, z=drops, colorscale="Viridis", colorbar={"title": "points", "x": 0.45}, row=1, col=1)
    known = [(layer, drop) for layer in layers if (drop := whole.get(layer)) is not None]
    figure.add_scatter(
        x=[drop.value for _, drop in known],
        y=[layer for layer, _ in known],
        error_x={
            "type": "data",
            "array": [drop.high - drop.value for _, drop in known],
            "arrayminus": [drop.value - drop.low for _, drop in known],
        },
        mode="markers", showlegend=False, row=1, col=2,
    )  # fmt: skip
    figure.update_yaxes(type="category", autorange="reversed")
    figure.update_xaxes(title="mean drop in points", row=1, col=2)
    title = f"{network.model} ({network.dtype}, {network.target}): drop of one fault"
    figure.update_layout(title=title, template="plotly_white", height=max(450, 200 + ROW_HEIGHT * len(layers)))
    return figure
