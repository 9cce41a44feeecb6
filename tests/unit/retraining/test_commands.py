from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from production_server.retraining.commands import LOG_BYTES, Places, Trained, train_by_command
from production_server.retraining.policies import Bounds

NEAREST_MEAN = """
import sys, pathlib, numpy as np, onnx
from onnx import TensorProto as T, helper as h, numpy_helper as n
data = np.loadtxt(pathlib.Path(sys.argv[1]) / "rows.csv", delimiter=",")
x, y = data[:, :-1].astype("float32"), data[:, -1]
means = np.stack([x[y == k].mean(0) for k in np.unique(y)])
w, b = 2 * means.T, -(means**2).sum(1)  # the nearest mean has the largest of these
graph = h.make_graph([h.make_node("Gemm", ["x", "w", "b"], ["scores"])], "means",
    [h.make_tensor_value_info("x", T.FLOAT, [None, x.shape[1]])],
    [h.make_tensor_value_info("scores", T.FLOAT, [None, len(means)])],
    [n.from_array(w, "w"), n.from_array(b, "b")])
onnx.save(h.make_model(graph), sys.argv[2])
print("trained on", len(x), "rows")
"""
ENDLESS = "import os, pathlib, time; pathlib.Path('pid').write_text(str(os.getpid())); time.sleep(600)"


@pytest.fixture
def places(tmp_path: Path) -> Places:
    for name in ("data", "scratch"):
        (tmp_path / name).mkdir()
    return Places(data=tmp_path / "data", model=tmp_path / "model.onnx", scratch=tmp_path / "scratch")


def train(
    places: Places, script: str, *, stopping: threading.Event | None = None, **bounds: float
) -> Trained:
    command = [sys.executable, "-c", script, "{data}", "{model}"]
    limits = Bounds.model_validate(bounds)
    return train_by_command(command, places, limits, stopping=stopping or threading.Event())


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_for(is_so: Callable[[], object]) -> None:
    for _ in range(200):
        if is_so():
            return
        time.sleep(0.05)
    pytest.fail("it did not become so in 10 s")


def test_a_program_of_ones_own_makes_a_model(places: Places) -> None:
    onnx = pytest.importorskip("onnx")
    (places.data / "rows.csv").write_text("0,0,0\n1,1,0\n8,8,1\n9,9,1\n")
    trained = train(places, NEAREST_MEAN)
    assert trained == Trained(failure="", log="trained on 4 rows\n")
    onnx.checker.check_model(str(places.model))


@pytest.mark.parametrize(
    ("script", "failure"),
    [
        ("raise SystemExit(3)", "ended with 3"),
        ("import os; os.kill(os.getpid(), 9)", "ended by signal 9"),
        ("pass", "wrote no file in the place of {model}"),
        ("import sys; open(sys.argv[2], 'w')", "wrote no file in the place of {model}"),
        ("bytes(300 * 1024**2)", "ended with 1"),
    ],
)
def test_why_there_is_no_model(places: Places, script: str, failure: str) -> None:
    places.model.write_text("what an earlier try left")
    assert failure in train(places, script, memory_bytes=200 * 1024**2).failure


def test_a_program_that_is_not_there(places: Places) -> None:
    trained = train_by_command(["no-such-program"], places, Bounds(), stopping=threading.Event())
    assert trained.failure == "the training ended with 127"
    assert "no-such-program cannot be started: No such file" in trained.log


def test_it_takes_too_long(places: Places) -> None:
    assert "more than 0.005 minutes" in train(places, ENDLESS, minutes=0.005).failure


def test_only_the_end_of_a_long_log_is_kept(places: Places) -> None:
    log = train(places, "print('x' * 1_000_000); print('last')").log
    assert len(log) == LOG_BYTES
    assert log.endswith("x\nlast\n")


def test_it_is_nicer_and_is_told_no_secrets(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROKER_PASSWORD", "secret")
    log = train(places, "import os; print(os.nice(0), 'BROKER_PASSWORD' in os.environ)", niceness=7).log
    assert log == f"{min(19, os.nice(0) + 7)} False\n"


def test_a_training_that_is_stopped_leaves_nothing_running(places: Places) -> None:
    stopping, ended = threading.Event(), list[Trained]()
    thread = threading.Thread(target=lambda: ended.append(train(places, ENDLESS, stopping=stopping)))
    thread.start()
    pid_file = places.scratch / "pid"
    wait_for(lambda: pid_file.exists() and pid_file.read_text())
    stopping.set()
    thread.join()
    assert ended[0].failure == "it was stopped"
    wait_for(lambda: not is_alive(int(pid_file.read_text())))


def test_a_training_dies_with_who_asked_for_it(places: Places) -> None:
    asks = (
        "import sys, threading; from pathlib import Path\n"
        "from production_server.retraining.commands import Places, train_by_command\n"
        "from production_server.retraining.policies import Bounds\n"
        "data, model, scratch = map(Path, sys.argv[1:4])\n"
        "places = Places(data=data, model=model, scratch=scratch)\n"
        "train_by_command([sys.executable, '-c', sys.argv[4]], places, Bounds(), stopping=threading.Event())"
    )
    arguments = [str(places.data), str(places.model), str(places.scratch), ENDLESS]
    pid_file = places.scratch / "pid"
    with subprocess.Popen([sys.executable, "-c", asks, *arguments]) as role:
        try:
            wait_for(lambda: pid_file.exists() and pid_file.read_text())
        finally:
            role.send_signal(signal.SIGKILL)
    wait_for(lambda: not is_alive(int(pid_file.read_text())))
