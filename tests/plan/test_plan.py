"""Programs compiled for slices of TPUs that are not there."""

import json
import re

import pytest

from transfer.config import read
from transfer.plan import fit, plan_table, too_large
from transfer.plan.collectives import KINDS
from transfer.plan.cost import cost
from transfer.plan.hlo import parse
from transfer.plan.least import least_traffic
from transfer.plan.plan import read_program
from transfer.plan.program import compile_group
from transfer.tpu import Topology

from .programs import needs_libtpu
from .slices import BATCH, TIME, VOCABULARY, WIDTH, experiment, group, program

pytestmark = needs_libtpu

# One trial's forward products: q, k, v and out, 3 times as wide gate, up and down; the readout; and
# both products of attention.
MATRICES = 4 * WIDTH**2 + 3 * 3 * WIDTH**2
ATTENTION = 2 * 2 * TIME * WIDTH
# Of which a causal mask leaves this much.
CAUSAL = ATTENTION * (TIME + 1) // (2 * TIME)
GAINS = 2 * 2 * WIDTH + WIDTH


def forward(layers: int, attention: int = ATTENTION) -> int:
    """FLOPs of a forward pass of a batch."""
    return BATCH * TIME * (layers * (2 * MATRICES + attention) + 2 * WIDTH * VOCABULARY)


@pytest.mark.parametrize(
    "execution", ["vectorized", pytest.param("in_turn", marks=pytest.mark.full)]
)
def test_trials_never_send_each_other_anything(execution):
    settings = experiment(training={"execution": execution})
    trials, topology = group(settings, 8), Topology.parse("v5p:2x2x1")
    compiled = compile_group(trials, topology)
    # Neither where the program is walked through nor anywhere in its text.
    assert not re.search(rf" ({'|'.join(KINDS)})(-start)?\(", compiled.text)
    made = read_program(trials, topology, compiled)
    assert made.mesh == {"trial": 4, "data": 1, "fsdp": 1, "tensor": 1}
    assert made.execution == execution
    assert made.exchanges == ()
    # All 8 are trained, 2 on each chip, whether at once or in turn.
    assert made.model_flops == 3 * 8 * forward(2, CAUSAL)
    assert made.own_flops == 3 * 2 * forward(2, CAUSAL)
    assert made.open == ()
    # The kernel's block is the whole of the sequence here, its way back takes q k^T again, twice.
    assert made.compiled_flops == 2 * (3 * forward(2) + 2 * 3 / 2 * BATCH * TIME * ATTENTION)


def test_devices_that_share_a_batch_send_each_other_gradients():
    # The control: what finds nothing along `trial` finds this.
    settings = experiment(mesh={"data": 4})
    alone, topology = group(settings, 1), Topology.parse("v6e:2x2")
    compiled = compile_group(alone, topology)
    assert re.search(rf" ({'|'.join(KINDS)})(-start)?\(", compiled.text)
    made = read_program(alone, topology, compiled)
    assert {each.axes for each in made.exchanges} == {("data",)}
    # Each sends and passes on 3/4 of the gradients, which are in bfloat16 where they are summed.
    gradients = 2 * (2 * MATRICES + WIDTH * VOCABULARY)
    assert sum(each.sent for each in made.exchanges) > 2 * 3 / 4 * gradients
    assert made.estimate.exchange > 0


@pytest.fixture(scope="module")
def sharded():
    """The same model, 2 and 4 layers deep, split over 4 chips."""
    return {layers: program("v5p:2x2x1", mesh={"fsdp": 4}, layers=layers) for layers in (2, 4)}


def test_layers_count_by_their_number_and_are_gathered_one_by_one(sharded):
    costs = {layers: cost(parse(each.text), 4) for layers, each in sharded.items()}
    # Of each layer that is added a chip computes the products, 3 times those of the forward pass,
    # and 9 of attention instead of 3 times 2.
    added = 3 * 2 * MATRICES + 9 / 2 * ATTENTION
    assert costs[4].flops - costs[2].flops == 2 * BATCH * TIME / 4 * added
    gathered = {
        layers: sum(
            message.sent * times
            for message, times in each.messages.items()
            if message.kind == "all-gather"
        )
        for layers, each in costs.items()
    }
    # 3 of 4 parts of every matrix in bfloat16, on the way there and on the way back.
    assert gathered[4] - gathered[2] == pytest.approx(2 * 2 * 2 * MATRICES * 3 / 4, rel=0.01)
    # No loop but that over steps is of unknown length.
    assert [len(each.open) for each in costs.values()] == [1, 1]


def test_what_lies_on_a_chip(sharded):
    made = read_program(
        group(experiment(mesh={"fsdp": 4}), 1),
        Topology.parse("v5p:2x2x1"),
        sharded[2],
    )
    matrices = 2 * MATRICES + 2 * WIDTH * VOCABULARY
    assert made.parameters == matrices + GAINS
    # In float32, a quarter of every matrix and all gains; of the optimizer twice that and a count.
    assert made.memory.parameters == 4 * (matrices / 4 + GAINS)
    assert made.memory.optimizer == pytest.approx(2 * made.memory.parameters, abs=64)
    assert made.memory.total < made.memory.limit == 95.74 * 2**30
    # A block keeps its input in bfloat16, at least.
    assert made.memory.activations > 2 * 2 * BATCH / 4 * TIME * WIDTH
    content = json.loads(json.dumps(made.to_json(), allow_nan=False))
    assert content["topology"] == "v5p:2x2x1"
    assert content["estimate"]["utilisation"] == pytest.approx(
        made.model_flops / 4 / 459e12 / content["estimate"]["step"]
    )
    assert plan_table(made) is not None
    assert_bounded(sharded[2], made)


@pytest.mark.full
def test_a_mask_leaves_the_model_as_little_as_the_kernel():
    # Four blocks of 128, of which the kernel takes 10 of 16, on the way back 7 products for 4: less
    # than 3 times all pairs, but more than 3 times those that the mask leaves.
    time = 512
    long = experiment(data={"sequence_length": time, "batch_size": 4})
    alone, topology = group(long, 1), Topology.parse("v5e:1x1")
    made = read_program(alone, topology, compile_group(alone, topology))
    pairs = 4 * 2 * 2 * time * time * WIDTH * 2
    others = 4 * time * 3 * (2 * 2 * MATRICES + 2 * WIDTH * VOCABULARY)
    assert made.compiled_flops == others + 9 / 2 * 10 / 16 * pairs
    assert made.own_flops == others + 3 * (time + 1) / (2 * time) * pairs
    assert made.own_flops < made.compiled_flops < others + 3 * pairs
    assert made.estimate.utilisation < 1


def test_a_planted_recomputation_is_found_and_the_bound_holds():
    settings = experiment(remat="full")
    alone, topology = group(settings, 1), Topology.parse("v5e:1x1")
    compiled = compile_group(alone, topology)
    made = read_program(alone, topology, compiled)
    # As the trials above, which compute no layer again.
    plain = 3 * forward(2) + 2 * 3 / 2 * BATCH * TIME * ATTENTION
    # Each layer is computed again but for its last product, which nothing behind it needs.
    again = 2 * BATCH * TIME * (2 * (MATRICES - 3 * WIDTH**2) + ATTENTION)
    assert made.compiled_flops == plain + again
    assert made.model_flops == 3 * forward(2, CAUSAL)
    assert_bounded(compiled, made)


def assert_bounded(program, plan):
    """The least traffic is no more than the program's own count, on the chip or without one."""
    assert plan.least.total <= plan.bytes
    # Programs this small lie on the chip in part, so that the bound is 0: without it, it is not.
    everywhere = re.sub(r"S\(\d+\)", "", program.text)
    moved = cost(parse(everywhere), program.population.mesh.size).bytes
    least = least_traffic(program, plan.memory, on_chip=0.0)
    assert 0 < least.activations < least.total <= moved


@pytest.mark.full
def test_what_does_not_fit_is_said_with_what_does():
    # 2^19 images a chip leave 128 channels of 32 bits for each of 64 pixels, on both layers.
    images = 2**21
    large = read(
        {
            "base_width": 8,
            "model": {"kind": "cnn", "width": 64, "layers": 1},
            "data": {"kind": "images", "batch_size": images, "eval_images": images},
            "mesh": {"data": 4},
        }
    )
    topology = Topology.parse("v5e:2x2")
    found = fit(group(large, 1), topology)
    assert not found.fits
    assert found.change["training.microbatches"] > 1
    assert found.plan.memory.total < found.plan.memory.limit < found.needed
    # What is compiled leaves out the padding and the images' gradient, which is no work to do.
    assert found.plan.own_flops == found.plan.compiled_flops < found.plan.model_flops / 4
    said = too_large(found, "The run", topology)
    assert f"needs {found.needed / 2**30:.2f} GiB of a chip, which has 15.75" in said
    assert f"the nearest that fits is {found.flags}." in said
