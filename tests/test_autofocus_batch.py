"""The autofocus functions of many frames at once: equal to those of single frames, in every form."""

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis.extra.numpy import array_shapes, arrays

from semtune.autofocus import AUTOFOCUS_FUNCTIONS
from semtune.autofocus.batch import CHUNK_PIXELS, focus_values_on_device
from semtune.baseline import focus_values

# Runs the kernels themselves, on the CPU, on frames that end inside and at the borders of tiles and chunks.
INTERPRETED = """
import numpy as np, torch
from semtune.autofocus import kernels
from semtune.baseline import focus_values
random = np.random.default_rng(1)
shapes = (2, 3, 3), (1, 5, 4), (1, 66, 130), (1, 129, 21), (1, 20, 900)
stacks = [random.integers(0, 256, shape, np.uint8) for shape in shapes]
stacks += [np.full((1, 9, 11), 255, np.uint8), np.zeros((1, 9, 11), np.uint8)]
stacks += [np.stack([np.full((8, 9), 200, np.uint8)] * 2)]
stacks[-1][1, 4, 5] -= 1
for stack in stacks:
    ours, single = kernels.focus_values(torch.from_numpy(stack)).numpy(), focus_values(stack)
    np.testing.assert_allclose(ours, single, rtol=1e-9, atol=1e-12)
"""
# Compiles the kernels for compute capability 9.0, which needs no GPU.
COMPILED = """
from triton import compile
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from semtune.autofocus import kernels
types = {"frames": "*u8", "sums": "*i64", "values": "*fp64"}
sizes = {"BLOCK": kernels.BLOCK, "BLOCKS": kernels.BLOCKS, "ROWS": kernels.ROWS, "COLUMNS": kernels.COLUMNS}
for kernel in (kernels.add_counts, kernels.add_sums, kernels.conclude):
    names = kernel.arg_names
    signature = {name: "constexpr" if name in sizes else types.get(name, "i32") for name in names}
    constants = {(names.index(name),): value for name, value in sizes.items() if name in names}
    source = ASTSource(fn=kernel, signature=signature, constexprs=constants)
    assert compile(source, target=GPUTarget("cuda", 90, 32)).asm["cubin"]
"""

stacks = arrays(np.uint8, array_shapes(min_dims=3, max_dims=3, min_side=3, max_side=12))


def agree(stack):
    values = focus_values_on_device(torch.as_tensor(stack))
    assert (values.dtype, values.shape) == (torch.float64, (len(stack), len(AUTOFOCUS_FUNCTIONS)))
    np.testing.assert_allclose(values.numpy(), focus_values(np.asarray(stack)), rtol=1e-9, atol=1e-12)


@pytest.fixture
def textured():
    texture = cv2.GaussianBlur(np.random.default_rng(2).normal(0, 1, (3 * 97, 131)), (0, 0), 2)
    scaled = np.interp(texture, (texture.min(), texture.max()), (0, 255))
    return scaled.round().astype(np.uint8).reshape(3, 97, 131)


@settings(max_examples=50, deadline=None)
@given(stacks)
def test_many_frames_at_once_have_the_values_of_each_alone(stack):
    agree(stack)


def test_textured_and_saturated_frames_have_the_values_of_each_alone(textured):
    agree(textured)
    agree(np.clip(textured.astype(int) * 4 - 300, 0, 255).astype(np.uint8))


@pytest.mark.parametrize("level", [0, 1, 77, 255])
def test_constant_frames_have_no_focus(level):
    assert not focus_values_on_device(torch.full((2, 31, 17), level, dtype=torch.uint8)).any()


def test_one_odd_pixel_in_a_bright_frame_is_seen():
    stack = np.full((1, 900, 1100), 255, np.uint8)
    stack[0, 400, 500] -= 1
    agree(stack)


def test_views_need_not_be_contiguous(textured):
    agree(torch.from_numpy(textured)[:, 3:-5, 7:-2])
    agree(torch.from_numpy(textured)[::2, ::3, ::2])
    agree(torch.from_numpy(textured).transpose(1, 2))
    agree(torch.from_numpy(textured[0])[None].expand(4, -1, -1))


def test_more_frames_than_one_chunk_holds_keep_their_order():
    stack = np.random.default_rng(3).integers(0, 256, (6, 1000, 1024), np.uint8)
    assert stack.size > CHUNK_PIXELS
    agree(stack)


def test_no_frames_have_no_values():
    assert focus_values_on_device(torch.zeros((0, 48, 64), dtype=torch.uint8)).shape == (0, 11)


@pytest.mark.parametrize(
    "frames",
    [
        torch.zeros((2, 5, 5)),
        torch.zeros((5, 5), dtype=torch.uint8),
        torch.zeros((2, 5, 2), dtype=torch.uint8),
    ],
    ids=["float", "one frame", "narrow"],
)
def test_what_is_no_stack_of_bytes_is_refused(frames):
    with pytest.raises(ValueError, match=r"must be uint8 of shape .* stack frames of one size"):
        focus_values_on_device(frames)


@pytest.mark.parametrize(
    ("script", "interpreted"), [(INTERPRETED, "1"), (COMPILED, "0")], ids=["cpu", "h100"]
)
def test_the_gpu_kernels_compute_and_compile(script, interpreted, tmp_path):
    pytest.importorskip("triton", reason="triton comes with torch's CUDA wheels only")
    root = str(Path(__file__).parents[1])
    told = {"TRITON_INTERPRET": interpreted, "TRITON_CACHE_DIR": str(tmp_path), "PYTHONPATH": root}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, env=os.environ | told, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_a_gpu_finds_the_values_of_the_cpu(textured):
    stack = torch.from_numpy(textured)
    on_gpu = focus_values_on_device(stack.cuda()).cpu()
    torch.testing.assert_close(on_gpu, focus_values_on_device(stack), rtol=1e-9, atol=1e-12)


def test_the_autofocus_functions_are_imported_without_torch():
    code = "import sys, semtune.autofocus; print('torch' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "False"
