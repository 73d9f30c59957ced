"""How tests compile: quickly, and each program once."""

import contextlib
import platform
from collections.abc import Iterator

import jax
from jax.experimental.compilation_cache import compilation_cache

# Compiling is most of the time that a small model takes. With these XLA needs a fifth of it; how
# devices share the work and what is kept for the backward pass are settled before.
_QUICK = (
    "--xla_backend_optimization_level=0",
    "--xla_llvm_disable_expensive_passes=true",
    "--xla_cpu_use_fusion_emitters=false",
    "--xla_cpu_parallel_codegen_split_count=1",
)
# LLVM selects the instructions of AVX-512 by a slower way.
_ON_X86 = ("--xla_cpu_max_isa=AVX2",)
QUICK = " ".join(_QUICK + _ON_X86 * (platform.machine() in ("x86_64", "AMD64")))

# For a program that runs longer than it compiles: `jax.jit(run, compiler_options=OPTIMIZED)`.
OPTIMIZED = {
    "xla_backend_optimization_level": 3,
    "xla_llvm_disable_expensive_passes": False,
    "xla_cpu_use_fusion_emitters": True,
}


@contextlib.contextmanager
def compiled_once(folder: str) -> Iterator[None]:
    """Inside, a program is compiled by the first process or test that needs it alone."""
    settings = {
        "jax_compilation_cache_dir": folder,
        "jax_persistent_cache_min_compile_time_secs": 0.0,
    }
    before = {name: getattr(jax.config, name) for name in settings}
    for name, value in settings.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()
    try:
        yield
    finally:
        for name, value in before.items():
            jax.config.update(name, value)
        compilation_cache.reset_cache()
