"""The optimizers of the language, one to a file; importing this package registers them all."""

from netdsl.op import import_all

import_all(__name__, __path__)
