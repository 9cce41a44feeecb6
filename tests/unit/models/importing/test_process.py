"""The importer's process: what it may not do, and what is told when it dies."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from production_server.confined.limits import Limits
from production_server.errors import ImportFailed, InvalidInput, StoreNotWritable, TooLarge
from production_server.models.importing.process import Asked, import_in_process
from testing.foreign_graphs import FOREIGN_MODELS
from testing.processes import wait_until

FILE = FOREIGN_MODELS / "iris_pipeline.onnx"


def asked(**changes: Any) -> Asked:
    return replace(Asked(file=FILE, name="mine"), **changes)


def python_that(tmp_path: Path, code: str) -> Path:
    """A program that stands where the importer's Python does."""
    program = tmp_path / "python"
    program.write_text(f"#!{sys.executable}\n{code}\n")
    program.chmod(0o755)
    return program


def test_a_file_becomes_a_manifest_and_what_is_served(tmp_path: Path) -> None:
    said: list[str] = []

    answered = import_in_process(asked(), tmp_path, said.append)

    assert answered.manifest.parity is not None
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]
    assert said[0] == "Reading iris_pipeline.onnx (onnx)"


def test_a_refusal_comes_with_its_faults(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as caught:
        import_in_process(asked(file=Path(__file__)), tmp_path, print)

    assert (caught.value.faults[0].field, caught.value.faults[0].got) == ("file", "text")


PROBE = """
import ctypes, json, os, socket, sys
sys.path.insert(0, os.environ["PYTHONPATH"])
request = json.loads(sys.stdin.readline())
from production_server.confined.limits import Limits, confine
print("noise", file=sys.stderr)
notes = confine(Limits(**request["limits"]))
def refusal(*call):
    return ctypes.get_errno() if libc.syscall(*call) == -1 else 0
libc = ctypes.CDLL(None, use_errno=True)
try:
    socket.create_connection(("127.0.0.1", {port}), 5).close()
    reached = True
except OSError:
    reached = False
ring = (ctypes.c_char * 200)()
around = [refusal(425, 2, ring)] + [refusal(0x40000029, 2, 1, 0)] * (os.uname().machine == "x86_64")
socket.socket(socket.AF_UNIX).close()
names = sorted(os.environ)
found = {{"notes": notes, "reached": reached, "around": around, "names": names}}
found["session"] = os.getsid(0) == os.getpid()
print(json.dumps({{"say": json.dumps(found)}}), flush=True)
"""


def test_it_has_no_network_no_secrets_and_a_session_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, listening_port: int
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://somebody:secret@host/name")
    said: list[str] = []

    with pytest.raises(ImportFailed):
        import_in_process(
            asked(python=python_that(tmp_path, PROBE.format(port=listening_port))), tmp_path, said.append
        )

    found = json.loads(said[0])
    assert found["session"]
    assert not {"DATABASE_URL", "BROKER_URL", "CELERIAC_KEY"} & set(found["names"])
    assert not found["reached"] and found["notes"] == []
    # Nor by what makes sockets in another way: a ring, and the other ABI of this processor.
    assert set(found["around"]) == {errno.EACCES}


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "was ended by signal 11"),
        ("import sys; sys.exit('no such thing')", "ended with 1: no such thing; it may use 6.0 GiB"),
        ("print('{\"say\": ', flush=True)", "ended with 0"),
        ("", "ended with 0"),
    ],
)
def test_a_process_that_dies_is_told_in_a_sentence(tmp_path: Path, code: str, told: str) -> None:
    with pytest.raises(ImportFailed, match=told):
        import_in_process(asked(python=python_that(tmp_path, code)), tmp_path, print)


def test_a_process_that_hangs_is_ended_at_its_deadline(tmp_path: Path) -> None:
    python = python_that(tmp_path, "import signal; signal.pause()")

    with pytest.raises(ImportFailed, match=r"reads the file took more than 0\.3 s"):
        import_in_process(asked(python=python, limits=Limits(timeout_s=0.3)), tmp_path, print)


def test_a_file_that_needs_too_much_memory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImportFailed, match="memory"):
        import_in_process(asked(limits=Limits(memory_bytes=40 * 2**20)), tmp_path, print)


def test_what_would_be_too_large_a_file_is_an_error_and_leaves_no_process(tmp_path: Path) -> None:
    with pytest.raises(ImportFailed, match="File too large"):
        import_in_process(asked(limits=Limits(written_bytes=100)), tmp_path, print)


def test_a_file_that_is_larger_than_an_import_may_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TooLarge, match=r"file: expected at most 100 bytes \(IMPORT_FILE_BYTES\)"):
        import_in_process(asked(limits=Limits(read_bytes=100)), tmp_path, print)


def test_a_full_disk_is_told_as_one(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").symlink_to("/dev/full")

    with pytest.raises(StoreNotWritable, match="no room for a version") as caught:
        import_in_process(asked(), tmp_path, print)

    assert caught.value.code == "store_full"


def test_a_python_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ImportFailed, match="cannot be started"):
        import_in_process(asked(python=tmp_path / "nothing"), tmp_path, print)


IMPORT = """
import sys
from dataclasses import replace
from pathlib import Path
from tests.unit.models.importing.test_process import asked
from production_server.models.importing.process import import_in_process
import_in_process(asked(python=Path(sys.argv[1])), Path(sys.argv[2]), lambda text: print(text, flush=True))
"""
WAIT = """
import json, os, signal, sys
sys.path.insert(0, os.environ["PYTHONPATH"])
sys.stdin.readline()
from production_server.confined.limits import Limits, confine
confine(Limits())
print(json.dumps({"say": str(os.getpid())}), flush=True)
signal.pause()
"""


def test_it_does_not_outlive_whoever_asked(tmp_path: Path) -> None:
    command = [sys.executable, "-c", IMPORT, str(python_that(tmp_path, WAIT)), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        importer = int(parent.stdout.readline())
        os.kill(parent.pid, signal.SIGKILL)

    assert [path.name[:9] for path in tmp_path.iterdir() if path.is_dir()] == [
        ".scratch-"
    ]  # goes with the draft
    wait_until(lambda: is_dead(importer), what="the importer is gone", timeout_s=10)


def is_dead(process: int) -> bool:
    """Gone, or only waiting for its new parent to ask how it ended."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] in {"Z", "X"}
    except OSError:
        return True
