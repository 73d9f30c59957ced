"""A part of the cluster held for one group, all of it or none."""

from typing import Any

import ray
from ray.util.placement_group import placement_group, remove_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy
from ray.util.tpu import SlicePlacementGroup, get_tpu_worker_resources, slice_placement_group

from transfer.errors import TransferError
from transfer.sweeps.ray.resources import POD_TYPE, Resources

# A slice is asked for by its first machine; where none is free the next round asks again.
_SLICE_SECONDS = 1.0


class Reservation:
    """Resources that are asked for by `ready`, which says when they are there."""

    def __init__(self, resources: Resources):
        self.resources = resources
        self._slice: SlicePlacementGroup | None = None
        self._group: Any = None
        self._held: Any = None

    @property
    def processes(self) -> int:
        """How many processes the resources have room for: on a slice, one a machine."""
        return self._slice.num_hosts if self._slice else self.resources.processes

    @property
    def asked(self) -> bool:
        """Whether Ray knows of it; a slice has to be asked for until one is free."""
        return self._group is not None

    def ready(self) -> bool:
        """Whether all of it is held, asking for it first; raises `TransferError` for no slice."""
        if self._group is None:
            self._ask()
        if self._group is None:
            return False
        done, _ = ray.wait([self._held], timeout=0)
        return bool(done)

    def options(self, rank: int) -> dict[str, Any]:
        """What Ray has to know to put a process into its place."""
        bundle = self._group.bundle_specs[rank]
        others = {name: value for name, value in bundle.items() if name not in ("CPU", "GPU")}
        return {
            "num_cpus": bundle.get("CPU", 0),
            "num_gpus": bundle.get("GPU", 0),
            "resources": others,
            "scheduling_strategy": PlacementGroupSchedulingStrategy(
                self._group, placement_group_bundle_index=rank
            ),
        }

    def release(self) -> None:
        """Give it back."""
        if self._slice is not None:
            self._slice.shutdown()
        elif self._group is not None:
            remove_placement_group(self._group)

    def _ask(self) -> None:
        resources = self.resources
        if resources.slice:
            generation, (_, sides) = resources.generation, resources.slice.split(":")
            try:
                machines, _ = get_tpu_worker_resources(sides, generation)
                self._slice = slice_placement_group(
                    sides,
                    generation,
                    resources_per_bundle={"CPU": resources.cpus},
                    # To Ray a slice of one machine is any with so many chips, also one of a larger
                    # slice.
                    bundle_label_selector=[{POD_TYPE: resources.pod_type}] * machines,
                    head_reservation_timeout_s=_SLICE_SECONDS,
                )
            except TimeoutError:
                return
            except ValueError as error:
                raise TransferError(
                    f"Ray has no TPU slice {resources.slice} ({error}); expected another in "
                    "--slices."
                ) from error
            self._group = self._slice.placement_group
        else:
            bundle = {"CPU": resources.cpus} | ({"GPU": resources.gpus} if resources.gpus else {})
            self._group = placement_group([bundle] * resources.processes, strategy="PACK")
        self._held = self._group.ready()
