"""How well latencies were predicted, in words."""

from pathlib import Path

from hwnas.report import predictor_error
from hwnas.store import RunStore

SO_FAR = {"networks": 9, "median_error": 0.125, "spearman": None}


def test_the_error_is_that_on_the_device_that_the_run_has_now(tmp_path: Path) -> None:
    with RunStore.create(tmp_path / "run", config="{}", meta={"device_fingerprint_sha256": "then"}) as store:
        assert predictor_error(store) is None  # nothing was predicted
        store.add_event("predictor", {"of": "generation"}, generation=0)
        assert predictor_error(store) is None  # an older version did not pool
        store.add_event("predictor", {"fingerprint_sha256": "then", "so_far": SO_FAR}, generation=1)
        assert predictor_error(store) == "median absolute error 12.50 %, Spearman unknown, out of sample, on 9 networks"
        store.set_meta("device_fingerprint_sha256", "now")
        assert predictor_error(store) is None
        store.add_event("predictor", {"fingerprint_sha256": "now", "so_far": SO_FAR | {"networks": 2}}, generation=2)
        assert (predictor_error(store) or "").endswith("on 2 networks")
