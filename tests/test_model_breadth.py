"""Every family goes the whole way: encode, generate, log-probs, one step of each stage, export, reload."""

import shutil
from pathlib import Path

import pytest
import torch
from checkpoints import MIXED, NoiseImage, loaded, sample
from lightning.pytorch.loggers import CSVLogger
from training import Share, counting, fit, grpo, sgd, weights
from transformers import AutoModelForImageTextToText, AutoProcessor

from vrft_pl.callbacks import HFExport
from vrft_pl.modules import SFTModule
from vrft_pl.policy.anatomy import Anatomy
from vrft_pl.policy.coordinates import DESCRIPTIONS
from vrft_pl.prompts import chat
from vrft_pl.rollout import LocalSampler, SamplingParams
from vrft_pl.types import InputError

QWEN = ["qwen2_vl", "qwen2_5_vl", "qwen3_vl"]
OTHERS = ["internvl", "llava_onevision", "smolvlm", "idefics3", "gemma3", "paligemma"]
PICTURED = [one for one in MIXED if one.images]
pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*can't share a prompt"),
    pytest.mark.filterwarnings("ignore:.*can't reuse the features"),
]


@pytest.fixture(scope="module", params=QWEN + OTHERS)
def family(request):
    return request.getfixturevalue(request.param)


def generate(policy, prompts, group_size=2, **kwargs):
    params = SamplingParams(max_tokens=8, **kwargs)
    return LocalSampler().generate(policy, prompts, group_size, params, range(len(prompts)))


def moved_parts(policy, before):
    """Parts of the model of which some weight is another one now."""
    moved = (name for name, value in policy.named_parameters() if not torch.equal(value, before[name]))
    return {Anatomy.of(policy.hf_model).part_of(name.removeprefix("model.")) for name in moved}


def test_sampled_logprobs_are_those_of_the_forward_that_trains(family):
    policy = loaded(family)
    prompts = policy.encode(PICTURED)
    completions = generate(policy, prompts)
    assert completions.ids.shape == (2 * len(PICTURED), completions.mask.sum(dim=1).max())
    assert not set(completions.ids.flatten().tolist()) & set(policy.banned_token_ids)
    assert len(set(completions.texts)) == len(completions)
    scored = policy.logprobs(prompts, completions).logprobs
    assert scored[completions.mask].max() < 0
    torch.testing.assert_close(scored, completions.logprobs, rtol=1e-5, atol=1e-5)


def export_of(trainer):
    return Path(trainer.log_dir) / "export"


def test_a_supervised_step_trains_every_part_and_its_export_is_the_same_model_for_everyone(family, tmp_path):
    module = SFTModule(loaded(family), optimizer=sgd)
    before = weights(module)
    trainer = fit(module, counting(size=2), callbacks=[HFExport()], logger=CSVLogger(tmp_path, "run", "0"))
    assert 0 < trainer.callback_metrics["train/loss"] < 20
    assert trainer.global_step == 1
    assert moved_parts(module.policy, before) == {"vision", "projector", "language"}

    policy, folder = module.policy, export_of(trainer)
    model, processor = (load.from_pretrained(folder) for load in (AutoModelForImageTextToText, AutoProcessor))
    assert type(model) is type(policy.hf_model)
    expected, got = (logits(*pair) for pair in ((policy.hf_model, policy.codec.processor), (model, processor)))
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)
    assert (logits(AutoModelForImageTextToText.from_pretrained(family), processor) - expected).abs().max() > 1e-3

    again = loaded(str(folder))
    prompts = policy.encode(PICTURED)
    completions = generate(policy, prompts)
    got, expected = (p.logprobs(p.encode(PICTURED), completions).logprobs for p in (again, policy))
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)
    assert generate(again, again.encode(PICTURED)).texts == completions.texts


def logits(model, processor):
    """What transformers alone makes of a question about a picture."""
    messages = chat(PICTURED[0], DESCRIPTIONS["permille"])
    messages[0]["content"][0]["image"] = PICTURED[0].images[0].open()
    options = {"tokenize": True, "add_generation_prompt": True, "return_dict": True, "return_tensors": "pt"}
    inputs = processor.apply_chat_template([messages], **options)
    inputs.pop("labels", None)
    model.eval()
    with torch.no_grad():
        return model(**inputs).logits


def test_a_reinforced_step_trains_every_part(family):
    module = grpo(family, policy=loaded(family), rewards=[Share()])
    before = weights(module)
    trainer = fit(module, counting(size=2))
    assert trainer.callback_metrics["train/loss"].isfinite()
    assert trainer.callback_metrics["train/dead_groups"] < 1
    assert trainer.callback_metrics["train/sampler_gap"] < 1e-5
    assert trainer.global_step == 1
    assert moved_parts(module.policy, before) == {"vision", "projector", "language"}


@pytest.mark.parametrize("name", QWEN)
def test_coordinates_of_the_resized_picture_are_known_where_the_processor_says_its_grid(name, request):
    policy = loaded(request.getfixturevalue(name), coordinates="resized_pixels")
    frame = policy.encode([sample("?", [NoiseImage(60, 44)])]).items[0].frame
    assert (60 / frame.scale_x, 44 / frame.scale_y) == pytest.approx((64, 48))


@pytest.mark.parametrize("name", OTHERS)
def test_coordinates_of_the_resized_picture_are_refused_where_the_processor_does_not(name, request):
    policy = loaded(request.getfixturevalue(name), coordinates="resized_pixels", shared_prefix=False)
    with pytest.raises(InputError) as error:
        policy.encode(PICTURED)
    assert str(error.value) == "`coordinates: resized_pixels` needs a processor that reports the size of its patches."


@pytest.mark.parametrize("name", OTHERS)
def test_limits_of_the_area_are_refused_where_the_processor_has_none(name, request):
    with pytest.raises(
        InputError, match="`min_pixels` and `max_pixels` need a processor that resizes by area"
    ) as error:
        loaded(request.getfixturevalue(name), max_pixels=1024)
    assert "\n" not in str(error.value)


def test_a_question_without_a_picture_is_refused_where_the_processor_needs_one(paligemma):
    with pytest.raises(InputError) as error:
        loaded(paligemma, shared_prefix=False).encode([sample("Row 7")])
    assert str(error.value) == (
        "Row 7: expected a question that PaliGemmaProcessor encodes, but got `images` are expected as arguments to a "
        "`PaliGemmaProcessor` instance."
    )


def with_template(folder, template, tmp_path):
    """A copy of a checkpoint with another chat template, or with none."""
    copy = shutil.copytree(folder, tmp_path / "copy", ignore=shutil.ignore_patterns("*.jinja"))
    processor = AutoProcessor.from_pretrained(folder)
    processor.chat_template = processor.tokenizer.chat_template = template
    processor.save_pretrained(copy)
    return str(copy)


def test_a_checkpoint_without_a_chat_template_is_refused(family, tmp_path):
    folder = with_template(family, None, tmp_path)
    with pytest.raises(InputError) as error:
        loaded(folder)
    assert str(error.value) == (
        f"Expected `{folder}` to have a chat template, but it has none. Use a checkpoint that is tuned to "
        "instructions, or write a `chat_template.jinja` into its folder."
    )


def test_a_chat_template_in_the_folder_is_enough(paligemma, tmp_path):
    folder = with_template(paligemma, None, tmp_path)
    shutil.copy(Path(paligemma) / "chat_template.jinja", folder)
    assert loaded(folder, shared_prefix=False).encode(PICTURED[:1]).items[0].num_tokens > 4


def test_a_system_prompt_is_refused_where_the_template_takes_none(qwen3_vl, tmp_path):
    refuse = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    folder = with_template(qwen3_vl, refuse + AutoProcessor.from_pretrained(qwen3_vl).chat_template, tmp_path)
    policy = loaded(folder)
    policy.encode([sample("Row 7")])
    with pytest.raises(InputError, match="Row 7: expected a question that .* encodes, but got System role not supp"):
        policy.encode([sample("Row 7", system="Be brief.")])
