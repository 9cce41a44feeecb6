"""Other servers of models, with the same ONNX file, and the comparison with them.

A module `<peer>_server` runs in the peer's own environment, which has neither Celeriac nor its dependencies: it
imports nothing of this project but `benchmarks.session` and `benchmarks.peers.given`.
"""
