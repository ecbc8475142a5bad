"""Running native programs: their buffers, their state, their threads."""
