"""A bundle from outside, computed again on the data: what its manifest says is checked before it is believed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hwnas.api import open_run, verify
from hwnas.device import load_profile
from hwnas.errors import HwnasError
from hwnas.experiment import Ended
from hwnas.export import runtime
from hwnas.models.exporting import recomputed_errors


@pytest.fixture(scope="module")
def manifest(first_run: tuple[Path, Ended], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("verified") / "bundle"
    open_run(first_run[0]).export(folder, models=[open_run(first_run[0]).front()[0].id])
    assert [check.passed for check in verify(folder, "digits")] == [True]
    return folder / "manifest.json"


def stating(name: str, value: str) -> Callable[[Any], None]:
    return lambda found: found["files"][0]["metadata"].update({name: value})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (stating("data_settings", "nonsense"), "data_settings are damaged: 'nonsense'"),
        (stating("data_settings", "[1]"), "data_settings are damaged"),
        (stating("data_settings", '{"seed": "none"}'), "data_settings: seed"),
        (stating("data_settings", '{"cache_folder": "planted"}'), "they say 'cache_folder'"),
        (stating("data_settings", '{"source": "/elsewhere"}'), "they say 'source'"),
        (stating("data_settings", '{"max_pixels": 1e18, "normalisation": [0.5, 0.5]}'), "they say 'normalisation'"),
        (stating("test_error", "little"), "no number, 'little'"),
        (lambda found: found.update(files=[]), "manifest: files"),
    ],
)
def test_damaged_metadata_are_refused_in_words(manifest: Path, change: Callable[[Any], None], message: str) -> None:
    whole = manifest.read_text()
    found = json.loads(whole)
    change(found)
    manifest.write_text(json.dumps(found))
    try:
        with pytest.raises(HwnasError, match=message):
            recomputed_errors(manifest.parent, "digits", runtime(load_profile("local-cpu")))
    finally:
        manifest.write_text(whole)
