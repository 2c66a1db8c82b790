from __future__ import annotations

from pathlib import Path

import pytest

from rft_project.engine.language.checkpoints import Checkpoints, replace_file


def save(folder: Path) -> None:
    (folder / "weights").write_text(folder.name)


def names(checkpoints: Checkpoints) -> list[str]:
    return sorted((p.name for p in checkpoints.directory.iterdir()), key=lambda n: int(n.removeprefix("step-")))


def test_the_best_three_and_the_last_are_kept(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    for step, reward in enumerate([0.5, 0.2, 0.9, 0.5, 0.9, 0.1], 1):
        folder = checkpoints.write(step, {"valid_reward": reward}, save)
        assert folder == tmp_path / "checkpoints" / f"step-{step}" and (folder / "weights").is_file()
    assert names(checkpoints) == ["step-1", "step-3", "step-5", "step-6"]
    assert checkpoints.best() == {"step": 3, "valid_reward": 0.9}


def test_without_validation_the_newest_are_kept(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    assert checkpoints.best() is None
    for step in range(1, 6):
        checkpoints.write(step, {"valid_reward": None}, save)
    assert names(checkpoints) == ["step-3", "step-4", "step-5"]
    assert checkpoints.best() is None


def test_a_broken_write_leaves_what_was_there(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    checkpoints.write(1, {"valid_reward": 0.1}, save)

    def fail(folder: Path) -> None:
        (folder / "weights").write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        checkpoints.write(1, {"valid_reward": 0.2}, fail)
    assert [r["valid_reward"] for r in checkpoints.records()] == [0.1]
    assert names(Checkpoints(tmp_path)) == ["step-1"]


def test_a_step_written_again_replaces_the_first(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    checkpoints.write(1, {"valid_reward": 0.1}, save)
    checkpoints.write(1, {"valid_reward": 0.3}, save)
    assert [r["valid_reward"] for r in checkpoints.records()] == [0.3]


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "resume" / "state"
    replace_file(path, lambda p: p.write_text("old") and None)

    def fail(unfinished: Path) -> None:
        unfinished.write_text("half")
        raise OSError("killed")

    with pytest.raises(OSError, match="killed"):
        replace_file(path, fail)
    assert path.read_text() == "old"
    replace_file(path, lambda p: p.write_text("new") and None)
    assert (path.read_text(), [p.name for p in path.parent.iterdir()]) == ("new", ["state"])
