"""Weights that others trained, from files of PyTorch and TensorFlow: read without PyTorch, and without running what is in them.

pickles      an interpreter of the few pickle instructions that tensors and modules need; it knows no program but its own
torch_files  the zip and the legacy container of torch.save and torch.jit.save
runs         checkpoints of the families' published programs -> run directories
lpips, i3d   the networks of LPIPS and FVD -> weight files of `svg_tf.evaluation.metrics.perceptual`
"""
