"""MLServer: python -m benchmarks.peers.mlserver_server.

It writes MLServer's files where it stands, then becomes `mlserver start`.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from benchmarks.peers.given import given
from benchmarks.peers.mlserver_runtime import BEST


def main() -> None:
    """Write the server's and the model's settings and start."""
    told = given(**BEST)
    settings = told.settings
    ports = {
        "http_port": told.port,
        "grpc_port": settings["grpc_port"],
        "metrics_port": settings["metrics_port"],
    }
    server = {
        "host": "127.0.0.1",
        "debug": False,
        "parallel_workers": settings["workers"],
        "metrics_endpoint": None,
        "gzip_enabled": False,
        **ports,
        **{name: value for name, value in settings.items() if name.startswith("kafka_")},
    }
    model = {
        "name": told.model,
        "implementation": "benchmarks.peers.mlserver_runtime.Runtime",
        "max_batch_size": settings["max_batch_size"],
        "max_batch_time": settings["max_batch_time_s"],
    }
    Path("settings.json").write_text(json.dumps(server))
    Path("model-settings.json").write_text(json.dumps(model))
    program = Path(sys.executable).with_name("mlserver")
    os.execv(program, [str(program), "start", "."])


if __name__ == "__main__":
    main()
