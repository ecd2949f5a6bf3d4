"""Programs that serve the same two requests, each in the manner of its framework."""
