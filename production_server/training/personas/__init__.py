"""The classifier of personas as a Keras model: read from the service's database, exported, compared, published."""
