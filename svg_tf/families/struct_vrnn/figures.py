"""What a model of keypoints can show: them, and their tracks."""

from svg_tf.evaluation.figures import keypoints

FIGURES = (keypoints.FIGURE,)
