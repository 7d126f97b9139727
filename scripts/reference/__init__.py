"""What in docs/ is made from the sources: layers, the examples of errors, pictures.

``python -m reference`` (in scripts/) writes what is not up to date; ``--check`` only names it.
"""
