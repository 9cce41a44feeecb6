"""The composition roots: which parts make which process. The only place that knows both the web and the worker."""
