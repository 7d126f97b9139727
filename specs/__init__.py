"""The architectures of the papers, as ``.net`` files."""
