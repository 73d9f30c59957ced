import math

import pytest

from transfer.sharding.device_memory import GIB, host_memory, machine_memory

MEMINFO = "MemTotal:  8388608 kB\nMemFree:  1048576 kB\nMemAvailable:  4194304 kB\n"
# Names of the files of both versions of control groups, and how their lines begin.
VERSIONS = {
    2: (
        "0::",
        "sys/fs/cgroup",
        ("memory.max", "memory.current", "inactive_file"),
        "max",
    ),
    1: (
        "4:cpu,memory:",
        "sys/fs/cgroup/memory",
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        str(2**63 - 4096),
    ),
}


@pytest.fixture
def root(tmp_path):
    write(tmp_path / "proc/meminfo", MEMINFO)
    return tmp_path


def write(file, text):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def limit(root, version, path, most, used, cached=0):
    _, mount, names, unlimited = VERSIONS[version]
    folder = root / mount / path
    write(folder / names[0], f"{unlimited if most is None else most}\n")
    write(folder / names[1], f"{used}\n")
    write(folder / "memory.stat", f"anon 5\n{names[2]} {cached}\n")


def belongs(root, version, path):
    # A machine with the first version lists other controllers and the second version too.
    lines = f"{VERSIONS[version][0]}{path}\n"
    write(root / "proc/self/cgroup", f"7:pids:/{path}\n{lines}" if version == 1 else lines)


def test_without_limits_it_is_what_the_machine_has(root):
    assert (host_memory(root), machine_memory(root)) == (4 * GIB, 8 * GIB)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_container_has_what_its_limit_leaves_and_what_it_caches_of_files(root, version):
    belongs(root, version, "/some/group")

    limit(root, version, "some/group", 2 * 2**30, 3 * 2**29, cached=2**28)
    assert (host_memory(root), machine_memory(root)) == (0.75 * GIB, 2 * GIB)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_limit_of_a_parent_and_of_the_mount_hold_too(root, version):
    belongs(root, version, "/parent/child")
    limit(root, version, "parent/child", None, 10)
    limit(root, version, "parent", 3 * 2**30, 2**30)
    assert (host_memory(root), machine_memory(root)) == (2 * GIB, 3 * GIB)

    # A container sees its own group as the mount, under the path that it has on the host.
    limit(root, version, "", 2**30, 2**29)
    assert (host_memory(root), machine_memory(root)) == (0.5 * GIB, GIB)


def test_a_limit_above_what_is_available_and_a_group_that_is_full(root):
    belongs(root, 2, "/group")
    limit(root, 2, "group", 2**40, 0)
    assert host_memory(root) == 4 * GIB
    limit(root, 2, "group", 2**30, 2**30 + 5)
    assert host_memory(root) == 0.0


def test_a_system_without_these_files_says_its_physical_memory(tmp_path):
    assert GIB / 4 < host_memory(tmp_path) == machine_memory(tmp_path) < math.inf
