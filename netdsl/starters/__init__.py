"""Files to begin with, as ``netdsl new`` writes them."""
