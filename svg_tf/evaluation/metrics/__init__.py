"""Metrics of predicted video, usable on one's own arrays.

frame       one value a frame: MSE, PSNR, SSIM by protocol
video       over samples and sequences: best of S, intervals, diversity, Fréchet distance
tracks      how much of true positions is in keypoints
perceptual  LPIPS and FVD with weight files that the user supplies
"""

from svg_tf.evaluation.metrics.frame import mse, psnr, ssim
from svg_tf.evaluation.metrics.video import best_of, diversity, frechet_distance, mean_interval

__all__ = ["best_of", "diversity", "frechet_distance", "mean_interval", "mse", "psnr", "ssim"]
