"""An ensemble out of a run: from its stored networks to the choice, its figures, and its file, checked and measured."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import Tensor

from hwnas.data import DataSet
from hwnas.device import HardwareProfile, load_profile, open_device
from hwnas.errors import ExportError, RequestError
from hwnas.export import class_names, compare, emit, runtime
from hwnas.export.ensemble_file import joined
from hwnas.export.model_input import input_metadata
from hwnas.models.deploying import pixels
from hwnas.models.ensembling import Scores, forward_selection, log_probabilities, scores, together
from hwnas.models.loading import data_settings, stored_data, trained_state
from hwnas.network import Network
from hwnas.store import Row, RunStore
from hwnas.version import __version__

_HOST = "local-cpu"
REFERENCES = 256  # test images on which a file is compared with its networks
TOLERANCE = 1e-4  # of max(1, largest logit), as of a single network's float32 file


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """What was chosen, its figures beside the best single network's, and the file (None: not asked for, or one network alone)."""

    members: tuple[str, ...]
    single: str
    validation: Scores
    single_validation: Scores
    test: Scores
    single_test: Scores
    latency_ms: float | None
    single_latency_ms: float | None
    measured_ms: float | None
    model: bytes | None


def choose(folder: Path, names: Sequence[str], *, size: int, most_ms: float | None, writes: bool) -> Chosen:
    """Choose networks of a run, among finished ones of these ids, that answer together; with ``writes`` make their file.

    Raises RequestError, DataError, ExportError as ``hwnas.api.ensemble`` says.
    """
    with RunStore.open(folder, write=False) as store:
        rows = {row.id: row for row in _with_weights(store, names)}
        latencies = _latencies(store, list(rows.values()), most_ms)
        limit_ms = math.inf if most_ms is None else most_ms
        if latencies is not None and min(latencies.values()) > limit_ms:
            raise RequestError(f"no network takes at most {most_ms:g} ms; the fastest takes {min(latencies.values()):.3g} ms")
        data = stored_data(store)
        networks = {name: Network(row.candidate.graph, trained_state(store, row)) for name, row in rows.items()}
        answers = {name: log_probabilities(network, data, data.validation) for name, network in networks.items()}
        labels = data.validation.labels
        members = forward_selection(answers, labels, size, latencies, limit_ms)
        single = members[0]
        tests = {name: log_probabilities(networks[name], data, data.test) for name in members}
        model, measured_ms = None, None
        if writes and len(members) > 1:
            model = _file(store, members, networks, data, tests)
            measured_ms = None if latencies is None else _measured_ms(store, model)
        return Chosen(
            members=members,
            single=single,
            validation=scores(together([answers[name] for name in members]), labels),
            single_validation=scores(answers[single], labels),
            test=scores(together(list(tests.values())), data.test.labels),
            single_test=scores(tests[single], data.test.labels),
            latency_ms=None if latencies is None else sum(latencies[name] for name in members),
            single_latency_ms=None if latencies is None else latencies[single],
            measured_ms=measured_ms,
            model=model,
        )


def _with_weights(store: RunStore, names: Sequence[str]) -> list[Row]:
    """Those of the networks whose weights are there. Raises RequestError where there are not two."""
    rows = [store.row(name) for name in names]
    there = [row for row in rows if row.outcome and row.outcome.weights and store.has_weights(row.outcome.weights)]
    if len(there) < 2:
        raise RequestError(
            f"an ensemble needs two networks with weights; {store.folder} has {len(there)}, of {len(rows)} that finished (with "
            "--keep front the weights of others are deleted)"
        )
    return there


def _latencies(store: RunStore, rows: Sequence[Row], most_ms: float | None) -> dict[str, float] | None:
    """What the run measured of float32 files, in ms by id; None where it measured none. Raises RequestError where a limit needs
    it."""
    profile = store.meta("profile", HardwareProfile)
    known = {row.id: {**row.values, **row.final}.get("latency_ms") for row in rows}
    found = {name: value for name, value in known.items() if value is not None}
    if len(found) == len(known) and profile.precision == "float32":
        return found
    if most_ms is not None:
        what = "measured no latency" if not found else f"measured {profile.precision} files, and an ensemble's is float32"
        raise RequestError(f"{store.folder} {what}: leave out the limit on latency")
    return None


def _file(
    store: RunStore, members: Sequence[str], networks: Mapping[str, Network], data: DataSet, tests: Mapping[str, Tensor]
) -> bytes:
    """The members as one ONNX file. Raises ExportError where it is not valid or does not answer as they do."""
    profile = store.meta("profile", HardwareProfile)
    form = {"mean": data.mean, "std": data.std, "opset": profile.opset, "ir_version": profile.ir_version}
    files = [emit(networks[name].graph, networks[name].state(), **form) for name in members]
    told = scores(together([tests[name] for name in members]), data.test.labels)
    facts = class_names(data.classes) | input_metadata(data.shape, data_settings(store).fit)
    facts |= {"members": ", ".join(members), "run": store.folder.resolve().name, "hwnas_version": __version__}
    facts |= {"test_error": repr(told.error), "test_images": str(told.images), "data_name": data.name}
    model = joined(files, facts)
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ExportError(f"the ensemble's file is not valid ONNX: {error}. Please report this") from error
    images = pixels(data.test.rows(torch.arange(min(REFERENCES, len(data.test)))))
    expected = together([tests[name][: len(images)] for name in members]).numpy()
    found = compare(np.asarray(runtime(load_profile(_HOST))(model, images)), expected)
    if not found.difference <= TOLERANCE:
        raise ExportError(
            f"the ensemble's file differs from its networks by {found.difference:.2g} of the largest logit, at most "
            f"{TOLERANCE:.0e} is allowed; nothing was written. Please report this"
        )
    return model


def _measured_ms(store: RunStore, model: bytes) -> float | None:
    """The latency of a file on the run's device, as the run measures at its end; None where it computes latencies."""
    profile = store.meta("profile", HardwareProfile)
    if profile.kind != "onnxruntime":
        return None
    target = profile.measurement
    with open_device(profile) as device:
        return device.measure(model, half_width=target.half_width, time_limit_s=target.time_limit_s).latency_ms
