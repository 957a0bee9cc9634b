"""Index of videos and photos: what the decoder reads of each frame, so that new prompts need no vision encoder."""
