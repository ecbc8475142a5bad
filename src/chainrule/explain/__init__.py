"""What a graph that ran tells of itself: explanations of gradients, and why one is zero, missing or not finite."""
