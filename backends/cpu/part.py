"""Functions that become parts of kernels, and are optimised there alone.

Numba makes machine code of every function, and optimises each with all that it calls: the innermost
again and again. Nothing calls these but kernels, so that it is enough to do it once, for the whole
of a kernel: that halves the time.
"""

import ctypes

from numba import _dynfunc, njit
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import LoweringPass, register_pass
from numba.core.typed_passes import NativeLowering

# Sums may be reordered, so that loops use SIMD; NaN and infinity stay what they are.
FAST = {"reassoc", "contract", "nsz", "arcp"}
# A division by zero is infinite or NaN, as everywhere else in numerical code. Nothing is allocated.
OPTIONS = {"fastmath": FAST, "error_model": "numpy", "_nrt": False}
# What Python would get that calls a part: an error.
NOT_CALLED = ctypes.cast(ctypes.pythonapi.PyErr_BadArgument, ctypes.c_void_p).value


class PartLibrary(JITCodeLibrary):
    """The code of a part with what it calls, as it was written."""

    def _optimize_final_module(self):
        """The kernel will be optimised."""

    def _finalize_final_module(self):
        """The kernel will become machine code."""
        self._finalize_dynamic_globals()
        self._verify_declare_only_symbols()
        self._finalized = True


@register_pass(mutates_CFG=False, analysis_only=True)
class Entry(LoweringPass):
    """Others find a part by an object that stands for it."""

    _name = "entry_of_a_part"

    def __init__(self):
        """Nothing is kept."""

    def run_pass(self, state):
        """Make the object, and tell Numba whose code is meant by it."""
        made = state["cr"]
        entry = _dynfunc.make_function(
            made.fndesc.lookup_module(), made.fndesc.qualname, "A part of kernels.",
            NOT_CALLED, made.env, (state.library,),
        )  # fmt: skip
        state.targetctx.insert_user_function(entry, made.fndesc, [state.library])
        state.reload_init.extend(state.library._reload_init)
        state["cr"] = made._replace(cfunc=entry)
        return True


class PartCompiler(CompilerBase):
    """Numba's compiler, which stops before machine code."""

    def define_pipelines(self):
        """Its passes, and one for what it leaves out."""
        state = self.state
        state.flags.no_cpython_wrapper = state.flags.no_cfunc_wrapper = True
        state.flags.no_compile = True
        state.library = PartLibrary(state.targetctx.codegen(), state.func_id.func_qualname)
        state.library.enable_object_caching()
        passes = DefaultPassBuilder.define_nopython_pipeline(state)
        passes.add_pass_after(Entry, NativeLowering)
        passes.finalize()
        return [passes]


device = njit(forceinline=True, pipeline_class=PartCompiler, **OPTIONS)  # becomes a part
routine = njit(pipeline_class=PartCompiler, **OPTIONS)  # is called, if that is as good
