"""Models at work: data, training, run directories."""
