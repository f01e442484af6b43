"""What runs in a worker: one module for each builder, with its job and the function that reads it.

They import neither TensorFlow nor TFDS, so that a worker starts within seconds and stays small.
"""
