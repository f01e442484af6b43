"""Stochastic Video Generation in TensorFlow and Keras."""
