"""Layers of the video models: recurrent nets, convolution blocks, and the DCGAN and VGG backbones.

Weights are created when a layer is built from its sizes (not at its first call), so that a model is complete, and can
be counted, saved or restored, before it has seen data. Framework defaults that differ from the paper's are written out.
"""
