"""Finding faces and telling them apart: networks that others trained, made a version that needs no TensorFlow."""
