"""Text to tree and back; it knows no layer's name."""
