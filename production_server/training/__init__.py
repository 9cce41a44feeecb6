"""Training: real data in, an immutable version of a model out.

The only part of the project that may import TensorFlow and Keras; nothing imports it.
"""
