"""From files to batches: data sets, tokenizers, ids, batches. Nothing here knows Keras."""
