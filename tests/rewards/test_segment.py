"""Masks made of answered boxes and points, by a stub and by tiny SAMs with random weights."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch
from builders import PIXELS, grey_scene, make_sample
from transformers import (
    Sam2Config,
    Sam2ImageProcessor,
    Sam2Model,
    Sam2Processor,
    SamConfig,
    SamImageProcessor,
    SamModel,
    SamProcessor,
)

from vrft_pl.answers import AnswerFrame, Box, Mask, Number
from vrft_pl.metrics import MaskIoU
from vrft_pl.rewards import SamSegmenter, SegmentIoU, Unread
from vrft_pl.types import InputError, Sample

SQUARE = Mask(((0, 0, 10, 0, 10, 10, 0, 10),))
TRUTH = Box((0.0, 0.0, 10.0, 10.0), SQUARE)
EMPTY = Box(None, Mask(()), optional=True)


class Stub:
    """The left half of a box, or a square of four pixels around each point."""

    def __init__(self):
        self.asked = []

    def __call__(self, sample, xyxy, points=()):
        self.asked.append((xyxy, tuple(points)))
        mask = np.zeros((100, 100), dtype=bool)
        if xyxy is not None:
            x1, y1, x2, y2 = map(int, xyxy)
            mask[y1:y2, x1 : (x1 + x2) // 2] = True
        for x, y in points:
            mask[int(y) - 2 : int(y) + 2, int(x) - 2 : int(x) + 2] = True
        return mask


def graded(reward, truth, answer, frame=PIXELS):
    return reward.grade_one(answer, make_sample(truth, "answer"), frame)


@pytest.mark.parametrize(
    ("truth", "answer", "box_alone", "by_stub"),
    [
        (TRUTH, "[0, 0, 10, 10]", 1.0, 0.5),
        (TRUTH, "[0, 0, 20, 10]", 0.5, 1.0),
        (TRUTH, "[50, 50, 60, 60]", 0.0, 0.0),
        (TRUTH, "[300, 0, 310, 10]", 0.0, 0.0),
        (TRUTH, "No Objects", Unread.MALFORMED, Unread.MALFORMED),
        (Box(TRUTH.xyxy, SQUARE, optional=True), "No Objects", 0.0, 0.0),
        (EMPTY, "No Objects", 1.0, 1.0),
        (EMPTY, "[0, 0, 10, 10]", 0.0, 0.0),
        (Box(TRUTH.xyxy, Mask(SQUARE.polygons, ((10, 0, 20, 0, 20, 10, 10, 10),))), "[0, 0, 20, 10]", 1.0, 1.0),
    ],
)
def test_an_answer_is_worth_the_iou_of_its_mask(truth, answer, box_alone, by_stub):
    assert graded(SegmentIoU(), truth, answer) == box_alone
    assert graded(SegmentIoU(Stub()), truth, answer) == by_stub


def test_it_is_the_number_that_is_reported():
    samples = [make_sample(TRUTH, "answer"), make_sample(EMPTY, "answer")]
    from builders import make_completions

    for answers in (["[0, 0, 10, 6]", "[1, 1, 3, 3]"], ["[2, 2, 30, 30]", "No Objects"], ["a", "b"]):
        metric = MaskIoU(Stub())
        metric.update(make_completions(answers), samples)
        mean = SegmentIoU(Stub()).score(make_completions(answers), samples).mean().item()
        assert mean == pytest.approx(metric.compute()["MaskIoU/gIoU"].item())


def test_points_are_handed_on_and_those_outside_are_not():
    stub = Stub()
    reward = SegmentIoU(stub, prompt="points")
    assert graded(reward, TRUTH, "[[5, 5]]") == pytest.approx(16 / 100)
    assert graded(reward, TRUTH, "[[3, 3], [7, 7], [500, 5]]") == pytest.approx(32 / 100)
    assert graded(reward, TRUTH, "[[500, 5]]") == 0
    assert graded(reward, EMPTY, "No Objects") == 1
    assert graded(reward, TRUTH, "five") is Unread.MALFORMED
    assert stub.asked == [(None, ((5, 5),)), (None, ((3, 3), (7, 7)))]


def test_a_mask_of_another_size_is_named():
    reward = SegmentIoU(lambda sample, xyxy: np.ones((3, 4), dtype=bool))
    with pytest.raises(InputError, match=r"row 7: expected the segmenter to return a mask of shape \(100, 100\), but"):
        graded(reward, TRUTH, "[0, 0, 10, 10]")


def test_samples_without_a_mask_are_left_out_and_one_without_a_picture_is_unread():
    assert not SegmentIoU().judges(make_sample(Box((0.0, 0.0, 1.0, 1.0))))
    assert not SegmentIoU().judges(make_sample(Number(1.0)))
    assert graded(SegmentIoU(), TRUTH, "[0, 0, 10, 10]", None) is Unread.NO_PICTURE
    assert (SegmentIoU().costs, SegmentIoU(Stub()).costs) == (False, True)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"prompt": "words"}, "Expected `prompt` to be `box` or `points`, but got 'words'"),
        ({"prompt": "points"}, "Expected a `segmenter` with `prompt: points`, but got none"),
    ],
)
def test_options_that_make_no_sense_are_refused(kwargs, message):
    with pytest.raises(ValueError, match=message):
        SegmentIoU(**kwargs)


def tiny_sam(folder):
    small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = SamConfig(
        vision_config=small
        | {"image_size": 64, "patch_size": 16, "output_channels": 16, "num_pos_feats": 8, "global_attn_indexes": [0]},
        prompt_encoder_config={"hidden_size": 16, "image_size": 64, "patch_size": 16},
        mask_decoder_config=small | {"mlp_dim": 16, "iou_head_hidden_dim": 16},
    )
    SamModel(config).save_pretrained(folder)
    SamProcessor(SamImageProcessor(size={"longest_edge": 64}, pad_size={"height": 64, "width": 64})).save_pretrained(
        folder
    )


def tiny_sam2(folder):
    backbone = {
        "model_type": "sam2_hiera_det_model",
        "hidden_size": 8,
        "image_size": [64, 64],
        "blocks_per_stage": [1, 1, 1, 1],
        "embed_dim_per_stage": [8, 16, 32, 64],
        "num_attention_heads_per_stage": [1, 1, 1, 1],
        "window_size_per_stage": [2, 2, 2, 2],
        "global_attention_blocks": [],
    }
    config = Sam2Config(
        vision_config={
            "backbone_config": backbone,
            "backbone_channel_list": [64, 32, 16, 8],
            "backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]],
            "fpn_hidden_size": 32,
        },
        prompt_encoder_config={"hidden_size": 32, "image_size": 64, "patch_size": 16},
        mask_decoder_config={
            "hidden_size": 32,
            "num_attention_heads": 2,
            "num_hidden_layers": 1,
            "mlp_dim": 16,
            "iou_head_hidden_dim": 16,
        },
    )
    Sam2Model(config).save_pretrained(folder)
    Sam2Processor(
        Sam2ImageProcessor(size={"height": 64, "width": 64}, mask_size={"height": 16, "width": 16})
    ).save_pretrained(folder)


@pytest.fixture(scope="module", params=[tiny_sam, tiny_sam2])
def checkpoint(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param.__name__)
    torch.manual_seed(0)
    request.param(folder)
    return str(folder)


def test_sam_makes_a_mask_of_a_box_or_of_points(checkpoint):
    segmenter, sample = SamSegmenter(checkpoint), Sample("1", (grey_scene(48),), "?", TRUTH, style="answer")
    frame = AnswerFrame(48, 48, 1.0, 1.0)
    box, points = segmenter(sample, (0.0, 0.0, 20.0, 20.0)), segmenter(sample, None, [(5.0, 5.0), (9.0, 9.0)])
    assert box.shape == points.shape == (48, 48)
    assert box.dtype == np.bool_
    for reward, text in ((SegmentIoU(segmenter), "[0, 0, 20, 20]"), (SegmentIoU(segmenter, "points"), "[[5, 5]]")):
        assert 0 <= reward.grade_one(text, sample, frame) <= 1


def test_sam_looks_at_a_picture_once_for_all_of_its_completions(checkpoint):
    segmenter = SamSegmenter(checkpoint)
    first, second = (Sample(name, (grey_scene(size),), "?", TRUTH) for name, size in (("1", 48), ("2", 40)))
    masks = [segmenter(s, (0.0, 0.0, 9.0, 30.0)) for s in (first, first, second, first)]
    assert [mask.shape for mask in masks] == [(48, 48), (48, 48), (40, 40), (48, 48)]
    assert np.array_equal(masks[0], masks[1])
    assert np.array_equal(masks[0], masks[3])
    assert np.array_equal(masks[0], SamSegmenter(checkpoint)(first, (0.0, 0.0, 9.0, 30.0)))


def test_the_mask_is_that_of_the_plain_model(checkpoint):
    from transformers import AutoModelForMaskGeneration, AutoProcessor

    sample = Sample("1", (grey_scene(48),), "?", TRUTH)
    model, processor = AutoModelForMaskGeneration.from_pretrained(checkpoint), AutoProcessor.from_pretrained(checkpoint)
    inputs = processor(images=sample.images[0].open(), input_boxes=[[[3.0, 4.0, 30.0, 40.0]]], return_tensors="pt")
    sizes = [inputs[name] for name in ("original_sizes", "reshaped_input_sizes") if name in inputs]
    given = {k: v for k, v in inputs.items() if k in ("pixel_values", "input_boxes")}
    with torch.no_grad():
        made = model(**given, multimask_output=False)
    plain = processor.post_process_masks(made.pred_masks, *sizes)[0].reshape(-1, 48, 48)[0].numpy()
    assert np.array_equal(SamSegmenter(checkpoint)(sample, (3.0, 4.0, 30.0, 40.0)), plain)


def test_copies_share_the_weights_and_other_processes_load_their_own(checkpoint):
    segmenter = SamSegmenter(checkpoint)
    assert copy.deepcopy(segmenter) is segmenter
    again = pickle.loads(pickle.dumps(segmenter))
    sample = Sample("1", (grey_scene(48),), "?", TRUTH)
    assert np.array_equal(again(sample, (0.0, 0.0, 9.0, 9.0)), segmenter(sample, (0.0, 0.0, 9.0, 9.0)))


def test_what_is_no_sam_and_what_has_no_picture_are_named(tmp_path):
    sample = Sample("1", (grey_scene(48),), "?", TRUTH)
    with pytest.raises(InputError, match="Expected a checkpoint of SAM at"):
        SamSegmenter(str(tmp_path))(sample, (0.0, 0.0, 9.0, 9.0))
    with pytest.raises(InputError, match="row 7: expected a picture to segment, but there is none"):
        SamSegmenter(str(tmp_path))(make_sample(TRUTH), (0.0, 0.0, 9.0, 9.0))
