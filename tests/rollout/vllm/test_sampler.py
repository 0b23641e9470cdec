import pytest
import torch
from training import counting, fit, grpo
from vllm_server import StubServer, copied

from vrft_pl.policy import VLM, LoRA
from vrft_pl.policy.probes import OTHERS, PICTURED
from vrft_pl.rollout import LocalSampler, SamplingParams, VLLMSampler
from vrft_pl.types import InputError

SEEDS = (5, 6, 7, 8)


@pytest.fixture(scope="module")
def shared():
    with StubServer() as server:
        yield server


@pytest.fixture
def server(shared):
    """One server for all tests of this file, as if it was started anew."""
    shared.requests.clear()
    shared.spoil, shared.deaf, shared.fail = (lambda answer: answer), False, None
    return shared


@pytest.fixture(scope="module")
def loaded():
    policy = VLM().load()
    return policy, copied(policy)


@pytest.fixture
def policy(loaded):
    """One policy for all tests of this file, with the weights of the checkpoint."""
    policy, weights = loaded
    policy.load_state_dict(weights)
    return policy


def sampler(*servers, **kwargs):
    return VLLMSampler([server.address for server in servers], **{"patience": 0.5, "probes": 0, **kwargs})


def disturbed(policy):
    """The same policy with other weights, so that it is told from what a server was started with."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter += 0.02 * torch.randn(parameter.shape, generator=generator)
    return policy


def test_completions_are_those_of_the_weights_that_were_pushed(server, policy):
    ours, prompts, params = sampler(server, probes=1), disturbed(policy).encode(PICTURED + OTHERS), SamplingParams(12)
    ours.update(policy, 0)
    made = ours.generate(policy, prompts, 3, params, SEEDS)
    with torch.no_grad():
        own = policy.logprobs(prompts, made).logprobs
    assert len(made) == 12
    torch.testing.assert_close(made.logprobs, own * made.mask, atol=1e-4, rtol=0)
    assert made.texts == policy.decode(made.ids, made.mask)
    assert made.frames == tuple(prompt.frame for prompt in prompts.repeat_interleave(3))
    for ids, mask, reason in zip(made.ids, made.mask, made.finish_reasons, strict=True):
        assert (int(ids[mask][-1]) in policy.end_token_ids) == (reason == "stop")


def test_greedy_completions_are_those_of_local_sampler_and_have_no_logprobs(server, policy):
    ours, prompts = sampler(server), disturbed(policy).encode(PICTURED + OTHERS)
    ours.update(policy, 0)
    greedy = SamplingParams(12, temperature=0.0)
    made, local = (one.generate(policy, prompts, 2, greedy, SEEDS) for one in (ours, LocalSampler()))
    assert made.logprobs is None
    assert made.texts == local.texts
    assert torch.equal(made.ids, local.ids)
    assert torch.equal(made.mask, local.mask)
    assert {body["sampling_params"]["n"] for body in server.prompts} == {1}


def test_seeds_decide_and_not_the_place_of_a_prompt(server, policy):
    ours, prompts = sampler(server), policy.encode(PICTURED + OTHERS)
    ours.update(policy, 0)
    made = ours.generate(policy, prompts, 2, SamplingParams(8), SEEDS)
    turned = ours.generate(policy, prompts.select([3, 2, 1, 0]), 2, SamplingParams(8), SEEDS[::-1])
    other = ours.generate(policy, prompts, 2, SamplingParams(8), (1, 2, 3, 4))
    assert turned.texts == tuple(made.texts[i] for i in (6, 7, 4, 5, 2, 3, 0, 1))
    assert other.texts != made.texts


def test_pictures_are_sent_once_a_group_and_placeholders_once_a_picture(server, policy):
    ours = sampler(server)
    ours.update(policy, 0)
    ours.generate(policy, policy.encode(PICTURED[:1]), 8, SamplingParams(4), SEEDS[:1])
    (body,) = server.prompts
    image = policy.codec.processor.tokenizer.convert_tokens_to_ids("<|image_pad|>")
    assert len(body["content_parts"]) == body["token_ids"].count(image) == 1
    assert body["sampling_params"]["n"] == 8
    assert set(body["sampling_params"]["logit_bias"]) == {str(token) for token in policy.banned_token_ids}


def test_caches_are_reset_after_every_push(server, policy):
    ours = sampler(server)
    ours.update(policy, 0)
    after = server.routes[server.routes.index("finish_weight_update") :]
    assert {"reset_prefix_cache", "reset_mm_cache", "reset_encoder_cache"} < set(after)


def test_a_server_that_keeps_old_weights_and_answers_200_is_found(server, policy):
    server.restart()
    server.deaf = True
    with pytest.raises(InputError, match="to write as the policy does after a push, but log-probs of the same tokens"):
        sampler(server, probes=1).update(disturbed(policy), 0)


def test_probes_are_asked_after_the_first_pushes_and_then_as_often_as_wanted(server, policy):
    ours, asked = sampler(server, probes=1, probe_every=3), []
    for step in range(6):
        before = len(server.prompts)
        ours.update(policy, step)
        asked.append(len(server.prompts) > before)
    assert asked == [True, False, True, False, False, True]


def test_a_server_that_was_started_anew_gets_the_weights_again(server, policy):
    ours, prompts = sampler(server), disturbed(policy).encode(PICTURED)
    ours.update(policy, 3)
    made = ours.generate(policy, prompts, 4, SamplingParams(12), SEEDS[:2])
    server.restart()
    again = ours.generate(policy, prompts, 4, SamplingParams(12), SEEDS[:2])
    assert again.texts == made.texts
    torch.testing.assert_close(again.logprobs, made.logprobs, atol=1e-5, rtol=0)


def test_a_lost_server_is_one_clear_error(policy):
    with StubServer() as server:
        ours = sampler(server)
        ours.update(policy, 0)
    with pytest.raises(InputError, match=r"a server of vLLM that answers, but none did for 0.5 s \(http://127"):
        ours.generate(policy, policy.encode(PICTURED), 2, SamplingParams(4), SEEDS[:2])
    with pytest.raises(InputError, match="a server of vLLM that answers"):
        sampler(server).settle(policy)


def test_two_servers_share_the_work_and_one_does_it_alone_where_the_other_dies(server, policy):
    prompts = disturbed(policy).encode(PICTURED + OTHERS)
    with StubServer() as other:
        ours = sampler(server, other, patience=5.0)
        ours.update(policy, 0)
        made = ours.generate(policy, prompts, 2, SamplingParams(8), SEEDS)
        assert len(server.prompts) == len(other.prompts) == 2
    assert ours.generate(policy, prompts, 2, SamplingParams(8), SEEDS).texts == made.texts
    with pytest.warns(match="gets no new weights and is left out until it does"):
        ours.update(policy, 1)
    assert ours.generate(policy, prompts, 2, SamplingParams(8), SEEDS).texts == made.texts


def test_weights_of_another_trainer_do_not_pass_for_ours(server, policy):
    ours, prompts = sampler(server), disturbed(policy).encode(PICTURED)
    ours.update(policy, 0)
    made = ours.generate(policy, prompts, 2, SamplingParams(8), SEEDS[:2])
    sampler(server).update(VLM().load(), 0)
    again = ours.generate(policy, prompts, 2, SamplingParams(8), SEEDS[:2])
    torch.testing.assert_close(again.logprobs, made.logprobs, atol=1e-5, rtol=0)


def test_an_adapter_is_pushed_as_it_is_or_merged(server):
    policy = VLM(lora=LoRA(rank=2)).load()
    prompts = policy.encode(PICTURED)
    ours = sampler(server)
    for step in range(2):
        ours.update(policy, step)
        ours.generate(policy, prompts, 2, SamplingParams(4), SEEDS[:2])
    assert len(server.adapters) == 1  # that of the step before is unloaded
    assert server.adapters == [server.prompts[-1]["model"]]
    assert "update_weights" not in server.routes
    server.restart()
    ours.generate(policy, prompts, 2, SamplingParams(4), SEEDS[:2])
    assert server.adapters == [server.prompts[-1]["model"]]
    with torch.no_grad():
        for name, parameter in policy.named_parameters():
            if "lora_B" in name:
                parameter.normal_()
    sampler(server, merge=True, probes=1).update(policy, 0)
    assert "update_weights" in server.routes


def test_an_adapter_on_the_tower_is_merged(server):
    """The real engine leaves it out, and says nothing."""
    sampler(server).update(VLM(lora=LoRA(rank=2, parts=("language", "vision"))).load(), 0)
    assert "update_weights" in server.routes
    assert "v1/load_lora_adapter" not in server.routes


def test_files_of_weights_are_removed(server, policy, tmp_path):
    ours = sampler(server, folder=str(tmp_path))
    for step in range(2):
        ours.update(policy, step)
        assert len(list(tmp_path.iterdir())) == 1
    ours.close()
    assert list(tmp_path.iterdir()) == []
    ours = sampler(server, folder=str(tmp_path))
    ours.update(policy, 0)
    del ours  # as at the end of a process that never closed it
    assert list(tmp_path.iterdir()) == []


def test_it_trains(server):
    """Log-probs that are trained are those that were sampled, step after step."""
    server.restart()
    ours = sampler(server, probes=2)
    trained = grpo("tiny", policy=VLM(), sampler=ours, params=SamplingParams(6), group_size=4)
    gaps = []
    trained.on_train_batch_end = lambda *args: gaps.append(float(trained.trainer.callback_metrics["train/sampler_gap"]))
    fit(trained, counting(size=6, batch_size=2), max_steps=3)
    assert len(gaps) == 3
    assert max(gaps) < 1e-4
    assert server.routes.count("update_weights") == 3


def test_servers_on_other_hosts_need_a_token(tmp_path):
    with pytest.raises(InputError, match="`token_file` for http://10.0.0.7:8000, which is not on this machine alone"):
        VLLMSampler(["http://10.0.0.7:8000"])
    (tmp_path / "token").write_text("word\n")
    assert VLLMSampler(["http://10.0.0.7:8000"], token_file=str(tmp_path / "token")).servers


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"servers": []}, "`servers` to hold one or several different addresses"),
        ({"servers": ["http://127.0.0.1:1"] * 2}, "`servers` to hold one or several different addresses"),
        ({"timeout": 0}, "`timeout` to be above 0 seconds"),
        ({"patience": -1.0}, "`patience` to be above 0 seconds"),
        ({"probes": -1}, "`probes` and `probe_every` to count pushes"),
        ({"probe_every": 0}, "`probes` and `probe_every` to count pushes"),
    ],
)
def test_arguments_are_checked(kwargs, message):
    with pytest.raises(ValueError, match=message):
        VLLMSampler(**kwargs)


def test_it_samples_under_any_strategy_and_holds_weights():
    assert VLLMSampler().supports("fsdp")
    assert VLLMSampler().holds_weights
    assert not VLLMSampler().exact
    assert not LocalSampler().holds_weights


def test_colocated_servers_are_as_many_as_ranks(server, policy):
    with pytest.raises(InputError, match="a server for each of 1 ranks with `colocated`, but got 2"):
        sampler(server, replace_port(server), colocated=True).settle(policy)


def replace_port(server):
    class Other:
        address = f"http://127.0.0.1:{server.port + 1}"

    return Other
