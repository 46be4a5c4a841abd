"""The same seed on another processor: numpy and OpenCV made to compute as on one without AVX2 and AVX-512."""

import os
import subprocess
import sys

import numpy as np
import pytest

from semtune.simulator import simulate_field

pytestmark = pytest.mark.slow

PROGRAM = """
import sys
import numpy as np
from semtune.simulator import simulate_field
np.save(sys.argv[1], [frame.frame for field in range(0, 16, 2) for frame in simulate_field(field, 1, 0)])
"""
OLDER = {
    "NPY_DISABLE_CPU_FEATURES": "AVX2 FMA3 X86_V3 X86_V4 AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_ICL",
    "OPENCV_CPU_DISABLE": "AVX2,AVX512-SKX",
}


def test_at_most_one_pixel_in_a_thousand_differs_by_one_grey_level(tmp_path):
    command = [sys.executable, "-W", "ignore", "-c", PROGRAM, tmp_path / "older.npy"]
    subprocess.run(command, env=os.environ | OLDER, check=True)
    older = np.load(tmp_path / "older.npy").astype(int)
    here = np.array([frame.frame for field in range(0, 16, 2) for frame in simulate_field(field, 1, 0)])
    differences = np.abs(here - older)
    assert differences.max() <= 1
    assert (differences > 0).mean(axis=(1, 2)).max() <= 0.001
