"""Export to SavedModels that TensorFlow Serving runs, and a client for them."""

# Names of the signatures, see `svg_tf.serving.signatures`.
DEFAULT = "serving_default"
GENERATE, GENERATE_FLOAT, RECONSTRUCT, UNCERTAINTY = "generate", "generate_float", "reconstruct", "uncertainty"
KEYPOINTS, PREDICT_KEYPOINTS = "keypoints", "predict_keypoints"
