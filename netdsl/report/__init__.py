"""What the user sees of a graph: tables and drawings."""
