"""What the web processes count of themselves and are told of the service, for Prometheus."""
