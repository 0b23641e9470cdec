import socket
import threading
from types import SimpleNamespace

import pytest
from lightning.fabric.plugins.environments import LightningEnvironment
from lightning.pytorch.plugins.environments import TorchElasticEnvironment
from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy
from torch.distributed import HashStore

from vrft_pl.distributed import Place, device_refusal, launch_refusals, meet, open_store
from vrft_pl.distributed.preflight import named
from vrft_pl.types import InputError


def outcomes(facts, seconds=5.0, world_size=None):
    """How the meeting ends for each rank; a rank without facts does not come."""
    store, ends = HashStore(), {}

    def come(rank):
        try:
            meet(store, Place("", 0, rank, world_size or len(facts)), facts[rank], seconds)
            ends[rank] = "met"
        except (InputError, SystemExit) as end:
            ends[rank] = str(end)

    ranks = [threading.Thread(target=come, args=(rank,)) for rank, told in enumerate(facts) if told is not None]
    for thread in ranks:
        thread.start()
    for thread in ranks:
        thread.join()
    return ends


def test_ranks_with_the_same_facts_meet():
    assert outcomes([{"torch": "2.15", "rows": 8}] * 3) == {0: "met", 1: "met", 2: "met"}


@pytest.mark.parametrize(
    ("third", "line"),
    [
        pytest.param(
            {"torch": "2.14", "rows": 8}, "the same torch, but got 2.15 on rank 0 and 2.14 on rank 2", id="is"
        ),
        pytest.param({"torch": "2.15"}, "the same rows, but got 8 on rank 0 and None on rank 2", id="less"),
        pytest.param({"torch": "2.15", "rows": 8, "x": 1}, "same x, but got None on rank 0 and 1 on rank 2", id="more"),
    ],
)
def test_a_rank_that_differs_is_named_once(third, line):
    same = {"torch": "2.15", "rows": 8}
    ends = outcomes([same, same, third])
    assert line in ends[0]
    assert (ends[1], ends[2]) == ("1", "1")


def test_a_rank_that_does_not_come_is_named():
    ends = outcomes([{"torch": 1}, None, {"torch": 1}, None], seconds=0.5)
    assert ends[0].startswith("Expected 4 ranks within 0 s, but ranks 1, 3 did not come.")
    assert ends[2] == "1"


def test_a_first_rank_that_does_not_come_is_named():
    assert "Expected rank 0 to answer within 0 s" in outcomes([None, {"torch": 1}], seconds=0.5)[1]


def test_two_processes_of_one_rank_are_refused():
    store = HashStore()
    store.add("came/1", 1)
    follower = threading.Thread(target=lambda: pytest.raises(SystemExit, meet, store, Place("", 0, 1, 2), {}, 5.0))
    follower.start()
    with pytest.raises(InputError, match="Expected one process to be rank 1, but two are. Give each process a RANK"):
        meet(store, Place("", 0, 0, 2), {}, 5.0)
    follower.join()


def test_many_ranks_are_named_in_short():
    assert named(range(12)) == "ranks 0, 1, 2, 3, 4, 5, 6, 7 and 4 more"


def test_ranks_share_a_store_with_the_process_group_to_come():
    port = free_port()
    first = open_store(Place("127.0.0.1", port, 0, 2), 5.0)
    again = open_store(Place("127.0.0.1", port, 0, 2), 5.0)
    second = open_store(Place("127.0.0.1", port, 1, 2), 5.0)
    second.set("key", "value")
    assert first.get("key") == again.get("key") == b"value"


@pytest.fixture
def listener():
    """Another program, which never answers."""
    with socket.create_server(("", 0)) as other:
        yield other.getsockname()[1]


def test_a_port_that_is_taken_is_one_line(listener):
    with pytest.raises(InputError, match=rf"Expected port {listener} \(MASTER_PORT\) to be free"):
        open_store(Place("127.0.0.1", listener, 0, 2), 5.0)
    with pytest.raises(InputError, match="Expected rank 0 behind .*, but another program answers there."):
        open_store(Place("127.0.0.1", listener, 1, 2), 0.5)


@pytest.mark.parametrize("address", ["127.0.0.1", "no-such-machine.invalid"])
def test_a_store_that_is_nowhere_is_one_line(address):
    with pytest.raises(InputError, match=f"Expected rank 0 to listen on {address}:.* but rank 1 got: .* Start rank 0"):
        open_store(Place(address, free_port(), 1, 2), 0.5)


def free_port():
    with socket.create_server(("", 0)) as probe:
        return probe.getsockname()[1]


def ddp(environment, devices=2):
    strategy = DDPStrategy(parallel_devices=[None] * devices, cluster_environment=environment)
    strategy.set_world_ranks()
    return strategy


def test_a_taken_port_is_found_before_processes_are_started(listener, monkeypatch):
    monkeypatch.setenv("MASTER_PORT", str(listener))
    assert launch_refusals(ddp(LightningEnvironment()))[0].startswith(f"Expected port {listener} (MASTER_PORT)")
    monkeypatch.setenv("MASTER_PORT", str(free_port()))
    assert launch_refusals(ddp(LightningEnvironment())) == []


def test_a_port_that_torchrun_listens_on_is_not_taken(listener, monkeypatch):
    values = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": listener, "WORLD_SIZE": 2, "RANK": 0, "LOCAL_RANK": 0}
    for name, value in values.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.setenv("TORCHELASTIC_USE_AGENT_STORE", "True")
    assert launch_refusals(ddp(TorchElasticEnvironment())) == []


def test_a_wrong_world_size_is_one_line(monkeypatch):
    for name, value in {"WORLD_SIZE": 3, "RANK": 1, "LOCAL_RANK": 1}.items():
        monkeypatch.setenv(name, str(value))
    (line,) = launch_refusals(ddp(TorchElasticEnvironment()))
    assert "to be the 3 processes that were started, but got 2 times 1." in line


def test_a_network_interface_that_is_missing_is_one_line(monkeypatch):
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")
    assert launch_refusals(ddp(LightningEnvironment())) == []
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo,ib7")
    (line,) = launch_refusals(ddp(LightningEnvironment()))
    assert line.startswith("Expected GLOO_SOCKET_IFNAME to be a network interface out of ")
    assert "but got 'ib7'." in line


def test_one_process_has_nobody_to_find():
    assert launch_refusals(SingleDeviceStrategy("cpu")) == []
    assert Place.of(SingleDeviceStrategy("cpu")) is None
    assert Place.of(ddp(LightningEnvironment(), devices=1)) is None


@pytest.mark.parametrize(
    ("accelerator", "devices", "line"),
    [
        pytest.param("cpu", -5, "a number of devices from 1, but got -5", id="less-than-none"),
        pytest.param("cpu", "-1", "a number of devices from 1, but got -1", id="all-of-a-cpu"),
        pytest.param("auto", 0, "from 1, or -1 for all there are, but got 0", id="none"),
        pytest.param("gpu", 99, "Expected GPUs for `trainer.accelerator: gpu`, but this machine shows none", id="gpu"),
        pytest.param("auto", 99999, "for `trainer.devices`, 4 to a core, but got 99999", id="a-process-each"),
    ],
)
def test_devices_that_cannot_be_are_one_line(accelerator, devices, line, monkeypatch):
    gone = SimpleNamespace(is_available=lambda: False)
    monkeypatch.setattr("vrft_pl.distributed.preflight.CUDAAccelerator", gone)
    monkeypatch.setattr("vrft_pl.distributed.preflight.MPSAccelerator", gone)
    assert line in device_refusal(accelerator, devices)


@pytest.mark.parametrize(("accelerator", "devices"), [("cpu", 1), ("auto", "auto"), ("auto", -1), ("cpu", "2")])
def test_devices_that_can_be_are_not_refused(accelerator, devices):
    assert device_refusal(accelerator, devices) is None
