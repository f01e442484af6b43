"""Export to SavedModels that TensorFlow Serving runs, and a client for them."""
