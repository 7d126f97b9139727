"""Tree and registry to graph: parameters, blocks, repeats, connections, recipes."""
