from dataclasses import replace

import pytest

pytest.importorskip("matplotlib", reason="the extra `bench` is not installed")


@pytest.fixture
def soak(tool):
    return tool("soak")


def rows(soak, **growth):
    """Rows of 400 steps; numbers by name, as functions of the step."""
    flat = soak.Row(0, 0.0, 0.0, 1000.0, 50.0, handles=9, threads=10, children=1, checkpoints=2, checkpoints_mb=8.0,
                    records_mb=0.0, console_kb=1.0)  # fmt: skip
    steps = range(0, 401, 10)
    usual = {"cpu_seconds": lambda step: 0.2 * step, "records_mb": lambda step: 0.02 * step}
    return [
        replace(flat, step=step, **{name: value(step) for name, value in (usual | growth).items()}) for step in steps
    ]


@pytest.mark.parametrize(
    ("growth", "said"),
    [
        pytest.param({}, [], id="flat"),
        pytest.param({"own_mb": lambda step: 1000 + 3 * min(step, 90)}, [], id="warm-up"),
        pytest.param({"own_mb": lambda step: 1000 - 40 * (step % 100 == 50)}, [], id="dips"),
        pytest.param({"own_mb": lambda step: 0.006 * step}, ["own_mb grows by 0.60 MB per 100 steps"], id="leak"),
        pytest.param({"children_mb": lambda step: 0.01 * step}, ["children_mb grows by 1.00 MB"], id="leak-below"),
        pytest.param({"handles": lambda step: 9 + step // 300}, ["handles grow from 9 to 10"], id="handles"),
        pytest.param({"threads": lambda step: 9 + step // 300}, ["threads grow from 9 to 10"], id="threads"),
        pytest.param({"checkpoints": lambda step: step // 50}, ["checkpoints grow from 5 to 8"], id="checkpoints"),
        pytest.param({"records_mb": lambda step: step**2 / 1e4}, ["a step writes 67 KB, and 36 KB before"], id="files"),
        pytest.param({"console_kb": lambda step: step}, ["100 KB are printed per 100 steps"], id="console"),
    ],
)
def test_what_grows_after_the_warm_up_is_a_fault(soak, growth, said):
    faults = soak.verdict(rows(soak, **growth), warm_up=100)["faults"]
    assert len(faults) == len(said)
    assert all(fault.startswith(expected) for fault, expected in zip(faults, said, strict=True))


def test_a_table_is_read_as_it_was_measured(soak, tmp_path):
    meter = soak.Meter(str(tmp_path / "soak.csv"), every=1)
    row = soak.measured(1, 2.5, tmp_path)
    meter.write([[field.name for field in soak.fields(soak.Row)]], "w")
    meter.write([[*vars(row).values()]], "a")
    assert soak.read(tmp_path / "soak.csv") == [row]
    assert row.own_mb > 0
    assert row.handles > 2
