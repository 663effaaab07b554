"""Checkpoints of trainings: the newest whole one is read, whatever a kill left."""

from hwnas.store import checkpoints


def test_a_checkpoint_is_replaced_as_a_whole_and_removed_with_its_folder(tmp_path):
    folder = tmp_path / "checkpoints"
    assert checkpoints.read(folder, "t0-1") is None
    for data in (b"first", b"second", b"second"):
        checkpoints.write(folder, "t0-1", data)
        assert checkpoints.read(folder, "t0-1") == data
        assert len(list(folder.iterdir())) == 1
    checkpoints.write(folder, "t0-11", b"another's")
    checkpoints.remove(folder, "t0-1")
    assert checkpoints.read(folder, "t0-1") is None
    assert checkpoints.read(folder, "t0-11") == b"another's"
    checkpoints.remove(folder, "t0-11")
    assert not folder.exists()


def test_what_is_damaged_or_was_being_written_is_not_read(tmp_path):
    checkpoints.write(tmp_path, "t0-1", b"whole")
    (whole,) = tmp_path.iterdir()
    (tmp_path / f"t0-1.{'0' * 64}.safetensors").write_bytes(b"damaged")
    (tmp_path / f"t0-1.{'1' * 64}.tmp").write_bytes(b"hal")
    assert checkpoints.read(tmp_path, "t0-1") == b"whole"
    whole.unlink()
    assert checkpoints.read(tmp_path, "t0-1") is None
