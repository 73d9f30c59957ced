import subprocess
import sys

SCRIPT = """
import sys
import transfer.scaling
heavy = {"jax", "jaxlib", "flax", "optax", "numpy"}
print("transfer.scaling.recipe" in sys.modules, sorted(heavy & set(sys.modules)))
"""


def test_the_theory_imports_no_array_library():
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "True []"
