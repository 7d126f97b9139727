"""Graph to graph, one pass to a file."""
