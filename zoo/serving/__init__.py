"""An HTTP server for trained models that speaks TensorFlow Serving's REST contract: `zoo serve`."""
