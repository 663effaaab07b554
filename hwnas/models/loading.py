"""What a stored run is made of, for those who work on it afterwards: its data, and the tensors of its networks."""

from collections.abc import Sequence

from hwnas.config import Budget, Final, RunConfig, config_from_json
from hwnas.data import DataSet, DataSettings, load
from hwnas.errors import DataError, RequestError
from hwnas.execution import unpack
from hwnas.network import State
from hwnas.settings.reference import import_modules
from hwnas.store import Row, RunStore


def stored_config(store: RunStore) -> RunConfig:
    """The run's configuration, with the budget that it was last resumed with."""
    config = config_from_json(store.config)
    import_modules(config.imports)  # graphs of the run may have operations that these register
    most = 1.0 if config.max_error is None else config.max_error  # None: an older version, to which every network was useful
    final = config.final if "final" in config.model_fields_set else Final(share=0.0)  # an older version ended with the search
    return config.model_copy(update={"budget": store.meta("budget", Budget), "max_error": most, "final": final})


def data_settings(store: RunStore) -> DataSettings:
    """How the run's data are read and split."""
    return stored_config(store).data_settings


def stored_data(store: RunStore) -> DataSet:
    """The run's own data. Raises DataError where others lie in their place."""
    settings = data_settings(store)
    data = load(settings)
    if data.fingerprint != (then := store.meta("data_fingerprint", str)):
        raise DataError(
            f"the data in {settings.source} are not those of the run: fingerprint {data.fingerprint}, "
            f"expected {then}; bring the run's data back"
        )
    return data


def refuse_untrained(rows: Sequence[Row], what: str) -> None:
    """Raise RequestError for candidates without weights; ``what`` cannot be done to them ("exported")."""
    untrained = [row.id for row in rows if row.outcome is None or row.outcome.weights is None]
    if untrained:
        raise RequestError(f"only trained models can be {what}; {', '.join(untrained)} did not finish")


def trained_state(store: RunStore, row: Row) -> State:
    """The tensors of a trained candidate. Raises StoreError where they are damaged."""
    assert row.outcome is not None
    assert row.outcome.weights is not None
    return unpack(store.weights(row.outcome.weights))
