"""Adapters alone, as peft writes them, and what they make of their base."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from checkpoints import loaded, wide_checkpoint
from peft import PeftModel
from safetensors.torch import load_file, save_file

from vrft_pl.__main__ import main
from vrft_pl.policy import LoRA
from vrft_pl.policy.adapters import merge, read_adapter, read_quantization
from vrft_pl.types import InputError


def logprobs(policy, samples):
    prompts = policy.encode(samples)
    with policy.evaluating():
        return policy.logprobs(prompts, policy.encode_targets(samples, prompts)).logprobs


def adapter(checkpoint, folder, **lora):
    """An adapter as after training, its folder written, and the policy."""
    policy = loaded(checkpoint, lora=LoRA(4, **lora))
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(1)
        for parameter in policy.parameters():
            if parameter.requires_grad:
                parameter.add_(0.05 * torch.randn_like(parameter))
    policy.model.save_pretrained(folder)
    return policy


def change(folder, **config):
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | config))


def test_merged_and_unmerged_agree(checkpoint, samples, tmp_path, capsys):
    policy = adapter(checkpoint, tmp_path / "adapter")
    main(["merge", "--adapter", str(tmp_path / "adapter"), "--output", str(tmp_path / "whole")])
    assert capsys.readouterr().out.endswith(f"{tmp_path / 'adapter'} merged into {checkpoint}\n")
    merged = logprobs(loaded(str(tmp_path / "whole")), samples)
    torch.testing.assert_close(merged, logprobs(policy, samples), rtol=1e-5, atol=1e-5)
    assert (merged - logprobs(loaded(checkpoint), samples)).abs().max() > 0.01


def test_merging_is_the_export(qwen3_vl, tmp_path):
    adapter(qwen3_vl, tmp_path / "adapter").export(tmp_path / "export")
    merge(tmp_path / "adapter", None, tmp_path / "whole")
    export, whole = (load_file(tmp_path / name / "model.safetensors") for name in ("export", "whole"))
    assert export.keys() == whole.keys()
    assert all(torch.equal(export[name], whole[name]) for name in export)


@pytest.mark.parametrize("noted", [True, False], ids=["noted", "asked-for"])
def test_an_adapter_of_four_bits_is_merged_into_what_they_stand_for(noted, samples, tmp_path):
    pytest.importorskip("bitsandbytes", reason="needs the extra `qlora`")
    base = wide_checkpoint(tmp_path / "base")
    policy = adapter(base, tmp_path / "adapter", quantize="nf4")
    note = {"coordinates": "resized_pixels", "quantize": "nf4" if noted else None}
    (tmp_path / "adapter/vrft_pl.json").write_text(json.dumps(note))
    merge(tmp_path / "adapter", None, tmp_path / "whole", None if noted else "nf4")
    merge(tmp_path / "adapter", base, tmp_path / "other", None if noted else "nf4")
    whole, expected = loaded(str(tmp_path / "whole")), logprobs(policy, samples)
    torch.testing.assert_close(logprobs(whole, samples), expected, rtol=1e-5, atol=1e-5)
    assert whole.codec.coordinates == "resized_pixels"
    assert not hasattr(whole.hf_model.config, "quantization_config")


def test_a_policy_of_an_adapter_alone_is_told_of_the_command(qwen3_vl, tmp_path):
    adapter(qwen3_vl, tmp_path / "adapter").codec.processor.save_pretrained(tmp_path / "adapter")
    with pytest.raises(InputError, match=r"it holds an adapter. Make one by `vrft_pl merge --adapter .*--output"):
        loaded(str(tmp_path / "adapter"))


def test_what_is_no_adapter_is_refused(qwen3_vl, tmp_path):
    with pytest.raises(InputError, match=r"folder of an adapter at .*, but it has no adapter_config.json"):
        merge(tmp_path, None, tmp_path / "whole")
    adapter(qwen3_vl, tmp_path / "adapter")
    change(tmp_path / "adapter", peft_type="IA3", feedforward_modules=[])
    with pytest.raises(InputError, match="Expected a LoRA adapter at .*, but got IA3Config"):
        read_adapter(tmp_path / "adapter")
    change(tmp_path / "adapter", peft_type="Nothing")
    with pytest.raises(InputError, match="to describe an adapter"):
        read_adapter(tmp_path / "adapter")


def test_an_output_that_exists_is_left_alone(qwen3_vl, tmp_path):
    adapter(qwen3_vl, tmp_path / "adapter")
    with pytest.raises(InputError, match=r"`output` to be a new folder, but .*adapter exists"):
        merge(tmp_path / "adapter", None, tmp_path / "adapter")


def test_a_base_that_is_missing_is_named(qwen3_vl, tmp_path):
    adapter(qwen3_vl, tmp_path / "adapter")
    change(tmp_path / "adapter", base_model_name_or_path=str(tmp_path / "gone"))
    with pytest.raises(InputError, match=r"checkpoint folder at `.*gone`, but there is no such folder"):
        merge(tmp_path / "adapter", None, tmp_path / "whole")
    change(tmp_path / "adapter", base_model_name_or_path=None)
    with pytest.raises(InputError, match="to name its base, but it does not. Name it with `--base`"):
        merge(tmp_path / "adapter", None, tmp_path / "whole")
    assert merge(tmp_path / "adapter", qwen3_vl, tmp_path / "whole") == qwen3_vl


def test_the_base_is_read_at_the_revision_that_is_named(qwen3_vl, tmp_path, monkeypatch):
    adapter(qwen3_vl, tmp_path / "adapter")
    change(tmp_path / "adapter", revision="abc")
    asked = []
    monkeypatch.setattr("vrft_pl.policy.adapters.load_model", lambda *args: asked.append(args) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        merge(tmp_path / "adapter", None, tmp_path / "whole")
    assert asked == [(qwen3_vl, "auto", None, "abc")]


def test_an_adapter_of_another_model_is_refused(qwen3_vl, tmp_path):
    adapter(qwen3_vl, tmp_path / "adapter")
    with pytest.raises(InputError, match=r"to fit Qwen3VL.*size mismatch .*Name its own base"):
        merge(tmp_path / "adapter", wide_checkpoint(tmp_path / "base"), tmp_path / "whole")


def test_weights_that_no_layer_takes_are_not_left_out(qwen3_vl, tmp_path):
    adapter(qwen3_vl, tmp_path / "adapter")
    path = tmp_path / "adapter/adapter_model.safetensors"
    written = load_file(path)
    first = sorted(written)[0]
    save_file({name.replace("layers.0", "layers.7"): value for name, value in written.items()}, path)
    with pytest.raises(InputError, match=f"weights differ, such as {first}"):
        merge(tmp_path / "adapter", None, tmp_path / "whole")


def test_a_note_of_another_way_is_refused(qwen3_vl, tmp_path):
    adapter(qwen3_vl, tmp_path / "adapter")
    (tmp_path / "adapter/vrft_pl.json").write_text('{"coordinates": "permille", "quantize": "int3"}')
    with pytest.raises(InputError, match="to be nf4 or null, but got 'int3'"):
        merge(tmp_path / "adapter", None, tmp_path / "whole")


def test_another_base_than_the_adapter_names_is_told(qwen3_vl, tmp_path, recwarn):
    adapter(qwen3_vl, tmp_path / "adapter")
    merge(tmp_path / "adapter", f"{qwen3_vl}/../{Path(qwen3_vl).name}", tmp_path / "same")
    assert not [w for w in recwarn if "was trained on" in str(w.message)]
    shutil.copytree(qwen3_vl, tmp_path / "other")
    with pytest.warns(UserWarning, match=f"was trained on {qwen3_vl}, and is merged into {tmp_path / 'other'}"):
        merge(tmp_path / "adapter", str(tmp_path / "other"), tmp_path / "whole")


def test_a_mistake_in_the_arguments_is_one_line(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["merge", "--adapter", "a"])
    assert stop.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_an_adapter_that_is_exported_is_taken_by_peft_and_merged_as_the_whole_export(qwen3_vl, tmp_path, monkeypatch):
    base = Path(qwen3_vl)
    monkeypatch.chdir(base.parent)
    policy = adapter(base.name, tmp_path / "peft")  # a folder that is found from here alone
    policy.export(tmp_path / "export")
    policy.export_adapter(tmp_path / "adapter")
    monkeypatch.chdir(tmp_path)
    merge(tmp_path / "adapter", None, tmp_path / "whole")
    export, whole = (load_file(tmp_path / name / "model.safetensors") for name in ("export", "whole"))
    assert export.keys() == whole.keys()
    assert all(torch.equal(export[name], whole[name]) for name in export)
    assert read_adapter(tmp_path / "adapter").base_model_name_or_path == str(base)
    files, peft = ({path.name for path in (tmp_path / name).iterdir()} for name in ("adapter", "peft"))
    processor = {path.name for path in (tmp_path / "export").iterdir()} - {"model.safetensors", "config.json"}
    assert files == peft | processor - {"generation_config.json"}
    taken = PeftModel.from_pretrained(loaded(qwen3_vl).hf_model, tmp_path / "adapter").state_dict()
    assert all(torch.equal(taken[name], value) for name, value in policy.model.state_dict().items())
    assert json.loads((tmp_path / "adapter/vrft_pl.json").read_text()) == {"coordinates": "permille", "quantize": None}


def test_the_adapter_alone_of_four_bits_says_so(tmp_path):
    pytest.importorskip("bitsandbytes", reason="needs the extra `qlora`")
    adapter(wide_checkpoint(tmp_path / "base"), tmp_path / "peft", quantize="nf4").export_adapter(tmp_path / "adapter")
    assert read_quantization(tmp_path / "adapter") == "nf4"


def test_a_policy_without_an_adapter_has_none_to_export(qwen3_vl, tmp_path):
    with pytest.raises(ValueError, match="policy with `lora` to export its adapter, but it has none. Use `export`"):
        loaded(qwen3_vl).export_adapter(tmp_path / "adapter")
    assert not (tmp_path / "adapter").exists()


@pytest.mark.parametrize("lora", [None, LoRA(rank=2)], ids=["export", "export_adapter"])
def test_the_folder_to_write_may_be_a_text(lora, qwen3_vl, tmp_path):
    policy = loaded(qwen3_vl, lora=lora)
    write = policy.export if lora is None else policy.export_adapter
    write(str(tmp_path / "written"))
    assert (tmp_path / "written" / ("config.json" if lora is None else "adapter_config.json")).is_file()
