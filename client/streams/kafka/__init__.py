"""Topics of Kafka, by confluent-kafka (librdkafka): the one package of the client that knows it."""
