"""llama.cpp's own HTTP server, through xllamacpp: one process per model, text or embeddings, LoRA per request."""
