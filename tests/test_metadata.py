"""Control parameters of each vendor, from files made after the structure of real ones."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from semtune.errors import MetadataError
from semtune.metadata import ControlParameters, read_control_parameters

SEM_FRAMES = Path(__file__).parents[2] / "shared" / "sem_frames"
needs_sem_frames = pytest.mark.skipif(
    not SEM_FRAMES.is_dir(), reason="the folder of real SEM frames is not here"
)
GREY = np.zeros((8, 8), np.uint8)


def tiff(folder, tag, block, name="frame.tif"):
    block = block.encode("latin-1") if isinstance(block, str) else block
    extra = [(tag, 7, len(block), block, True)]
    tifffile.imwrite(folder / name, GREY, photometric="minisblack", metadata=None, extratags=extra)
    return folder / name


def beside(folder, text, encoding="latin-1", suffix=".txt"):
    tifffile.imwrite(folder / "frame.tif", GREY, photometric="minisblack", metadata=None)
    (folder / f"frame{suffix}").write_bytes(text.encode(encoding))
    return folder / "frame.tif"


# Zeiss


ZEISS = {
    "DP_DWELL_TIME": "Dwell Time = 100 ns",
    "DP_IMAGE_STORE": "Store resolution = 1024 * 768",
    "DP_DETECTOR_CHANNEL": "Signal A = InLens",
    "AP_BRIGHTNESS": "Brightness =  48.7 %",
    "AP_CONTRAST": "Contrast =  24.9 %",
    "AP_WD": "WD = 4.97 mm",
    "AP_STIG_X": "Stigmation X =  -5.5 %",
    "AP_STIG_Y": "Stigmation Y =  12.2 %",
    "AP_MAG": "Mag =   10.00 K X",
    "AP_IMAGE_PIXEL_SIZE": "Image Pixel Size = 11.16 nm",
    "AP_ACTUALKV": "EHT = 10.00 kV",
    "AP_LINE_TIME": "Line Time = 63.43 ms",
}


def zeiss_block(metres="4.967394e-003", **changes):
    head = ["0", "0", "0", "1.1e-008", "1.0e+004", "6", "1.0e+004", "2.29", "2.0e-007", metres]
    lines = [part for key, line in (ZEISS | changes).items() if line is not None for part in (key, line)]
    return "\r\n".join([*head, *lines, ""])


def test_zeiss_is_read_with_its_units(tmp_path):
    assert read_control_parameters(tiff(tmp_path, 34118, zeiss_block())) == ControlParameters(
        vendor="zeiss",
        brightness=48.7,
        brightness_unit="percent",
        contrast=24.9,
        contrast_unit="percent",
        working_distance_mm=4.967394,
        stigmator_x_percent=-5.5,
        stigmator_y_percent=12.2,
        magnification=10_000,
        pixel_size_nm=11.16,
        accelerating_voltage_kv=10,
        dwell_time_us=pytest.approx(63_430 / 1024),
        detector="InLens",
    )


def test_a_zeiss_working_distance_keeps_its_digits_only_where_both_agree(tmp_path):
    for head, expected in (("4.974e-003", 4.974), ("5.1e-003", 4.97), ("nan", 4.97), ("0", 4.97)):
        path = tiff(tmp_path, 34118, zeiss_block(metres=head))
        assert read_control_parameters(path).working_distance_mm == pytest.approx(expected)


@pytest.mark.parametrize(
    ("key", "line", "field", "value"),
    [
        ("AP_MAG", "Mag =  989 X", "magnification", 989),
        ("AP_IMAGE_PIXEL_SIZE", "Image Pixel Size = 558.2 pm", "pixel_size_nm", 0.5582),
        ("AP_IMAGE_PIXEL_SIZE", "Image Pixel Size = 1.116 µm", "pixel_size_nm", 1116),
        ("AP_LINE_TIME", "Line Time = 1.024 Secs", "dwell_time_us", 1000),
        ("AP_LINE_TIME", "Line Time = 1.024 Mins", "dwell_time_us", 60_000),
        ("AP_ACTUALKV", "EHT = 500 V", "accelerating_voltage_kv", 0.5),
        ("AP_CONTRAST", None, "contrast", None),
        ("DP_IMAGE_STORE", None, "dwell_time_us", None),
    ],
)
def test_zeiss_units_vary_and_keys_may_lack(tmp_path, key, line, field, value):
    parameters = read_control_parameters(tiff(tmp_path, 34118, zeiss_block(**{key: line})))
    assert getattr(parameters, field) == (None if value is None else pytest.approx(value))


@pytest.mark.parametrize(
    ("key", "line", "message"),
    [
        ("AP_WD", "WD = nan mm", "AP_WD is 'nan mm', which is no number"),
        ("AP_WD", "WD = 1e999 mm", "outside 0..1000"),
        ("AP_WD", "WD = 4.97 furlongs", "which has no unit of 'pm'"),
        ("AP_WD", "WD = 4.97", "has no unit"),
        ("AP_WD", "WD = 4,97 mm", "which is no number"),
        ("AP_WD", "WD = -4.97 mm", "outside"),
        ("AP_STIG_X", "Stigmation X = 101 %", r"outside -100\.\.100"),
        ("AP_MAG", "no value here", "AP_MAG is followed by 'no value here'"),
        ("DP_IMAGE_STORE", "Store resolution = 0 * 768", "no number above zero"),
    ],
)
def test_a_damaged_zeiss_value_is_refused_not_misread(tmp_path, key, line, message):
    path = tiff(tmp_path, 34118, zeiss_block(**{key: line}))
    with pytest.raises(MetadataError, match=rf"frame\.tif: .*{message}.*; give its control parameters"):
        read_control_parameters(path)


# Thermo


def thermo_block(beam="EBeam", scan="EScan", detector="ETD", **changes):
    values = {"StigmatorX": "-0.25", "WD": "0.0041", "HV": "5000", "Bar": "", "Contrast": "68.5"} | changes
    return "\r\n".join(
        [
            "[Beam]",
            f"Beam={beam}",
            f"Scan={scan}",
            f"[{beam}]",
            *(f"{key}={values[key]}" for key in ("HV", "WD", "StigmatorX")),
            "StigmatorY=0.00188391",
            f"[{scan}]",
            "Dwell=1e-006",
            "PixelWidth=9.76562e-008",
            "[Image]",
            "DigitalContrast=1",
            "DigitalBrightness=0",
            "[Detectors]",
            f"Name={detector}",
            f"[{detector}]",
            f"Contrast={values['Contrast']}",
            "Brightness=41.6",
            "[PrivateFei]",
            f"DatabarHeight={values['Bar']}",
            "\0",
        ]
    )


@pytest.mark.parametrize("tag", [34682, 34680])
@pytest.mark.parametrize(("beam", "scan"), [("EBeam", "EScan"), ("IBeam", "IScan")])
def test_thermo_is_read_from_the_sections_that_its_beam_and_detector_name(tmp_path, tag, beam, scan):
    assert read_control_parameters(tiff(tmp_path, tag, thermo_block(beam, scan, "TLD"))) == ControlParameters(
        vendor="thermo",
        brightness=41.6,
        brightness_unit="percent",
        contrast=68.5,
        contrast_unit="percent",
        working_distance_mm=pytest.approx(4.1),
        stigmator_x_percent=-25,
        stigmator_y_percent=pytest.approx(0.188391),
        pixel_size_nm=pytest.approx(97.6562),
        accelerating_voltage_kv=5,
        dwell_time_us=pytest.approx(1),
        detector="TLD",
    )


@pytest.mark.parametrize(("written", "rows"), [("", None), ("0", None), ("79", 79)])
def test_a_thermo_data_bar_is_known_only_where_its_height_is(tmp_path, written, rows):
    assert read_control_parameters(tiff(tmp_path, 34682, thermo_block(Bar=written))).data_bar_rows == rows


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"WD": "inf"}, "<beam>/WD is 'inf', which is no number"),
        ({"StigmatorX": "1.5"}, "<beam>/StigmatorX is '1.5', outside"),
        ({"HV": "5 kV"}, "<beam>/HV is '5 kV', which has no unit"),
        ({"Bar": "-3"}, "DatabarHeight is '-3', which is no number of rows"),
    ],
)
def test_a_damaged_thermo_value_is_refused(tmp_path, changes, message):
    with pytest.raises(MetadataError, match=message):
        read_control_parameters(tiff(tmp_path, 34682, thermo_block(**changes)))


# TESCAN


TESCAN_MAIN = "[MAIN]\r\nMagnification=20000\r\nPixelSizeX=1.5625e-08\r\nImageStripSize=77\r\n"
TESCAN_SEM = (
    "[SEM]\r\nDetector=SE\r\nDetector0=SE BSE\r\nDwellTime=3.2e-06\r\nHV=15000.0\r\nWD=0.0081\r\n"
    "PrimaryDetectorGain=46.562\r\nPrimaryDetectorOffset=73.76\r\nStigmatorX=1.7\r\n"
)
TESCAN = ControlParameters(
    vendor="tescan",
    brightness=73.76,
    brightness_unit="counts",
    contrast=46.562,
    contrast_unit="counts",
    working_distance_mm=pytest.approx(8.1),
    magnification=20_000,
    pixel_size_nm=pytest.approx(15.625),
    accelerating_voltage_kv=15,
    dwell_time_us=pytest.approx(3.2),
    detector="SE BSE",
    data_bar_rows=77,
)


def tescan_block():
    chunks = [(1, b"\xff\x4f thumbnail WD=9\n"), (2, TESCAN_MAIN.encode()), (3, TESCAN_SEM.encode())]
    return b"".join(struct.pack("<IH", len(data) + 2, kind) + data for kind, data in chunks)


def test_tescan_is_read_from_its_chunks_and_from_its_header_file(tmp_path):
    assert read_control_parameters(tiff(tmp_path, 50431, tescan_block())) == TESCAN
    path = beside(tmp_path, TESCAN_MAIN + TESCAN_SEM, suffix="-tif.hdr")
    assert read_control_parameters(path) == TESCAN


def test_a_broken_chunk_is_refused(tmp_path):
    for block in (tescan_block()[:-9], b"\0" * 40, b"\xff" * 40):
        with pytest.raises(MetadataError, match=r"has a chunk of \d+ bytes at \d+ of \d+"):
            read_control_parameters(tiff(tmp_path, 50431, block))


# JEOL and Hitachi


JEOL = """$CM_FORMAT JEOL-SEM
$CM_ACCEL_VOLT 15
$CM_MAG 5000
$CM_SIGNAL_NAME SED
$CM_BRIGHTNESS 418
$CM_CONTRAST 1479
$$SM_WD 10.2
$$SM_MICRON_BAR 128
$$SM_MICRON_MARKER 5um
$$SM_OL_STIG 12 -7
"""


def test_jeol_is_read_from_the_text_beside(tmp_path):
    assert read_control_parameters(beside(tmp_path, JEOL)) == ControlParameters(
        vendor="jeol",
        brightness=418,
        brightness_unit="counts",
        contrast=1479,
        contrast_unit="counts",
        working_distance_mm=10.2,
        magnification=5000,
        pixel_size_nm=pytest.approx(5000 / 128),
        accelerating_voltage_kv=15,
        detector="SED",
    )


def test_an_older_jeol_text_has_neither_brightness_nor_contrast(tmp_path):
    text = "$CM_MAG 500\r\n$CM_IMAGE_RES 1280x960\r\n$$SM_MICRON_BAR 100\r\n"
    parameters = read_control_parameters(beside(tmp_path, text))
    assert parameters == ControlParameters(vendor="jeol", magnification=500)


@pytest.mark.parametrize(
    ("encoding", "head"),
    [("utf-16", "[SemImageFile]\r\n"), ("latin-1", ""), ("utf-8-sig", "[SemImageFile]\n")],
)
def test_hitachi_is_read_in_each_of_its_encodings(tmp_path, encoding, head):
    text = (
        f"{head}InstructName=TM3000\r\nSignalName=BSE\r\nMagnification=1000\r\nPixelSize=99.2\r\nBrightness=1411\r\n"
        "Contrast=2223\r\nWorkingDistance=7400 um\r\nAcceleratingVoltage=15000 Volt\r\nScanSpeed=Slow3\r\n"
    )
    assert read_control_parameters(beside(tmp_path, text, encoding)) == ControlParameters(
        vendor="hitachi",
        brightness=1411,
        brightness_unit="counts",
        contrast=2223,
        contrast_unit="counts",
        working_distance_mm=pytest.approx(7.4),
        magnification=1000,
        pixel_size_nm=99.2,
        accelerating_voltage_kv=15,
        detector="BSE",
    )


# Nobody's, and damaged


def test_a_file_without_a_vendor_gives_nothing(tmp_path):
    (tmp_path / "frame.png").write_bytes(b"\x89PNG")
    assert read_control_parameters(tmp_path / "frame.png") == ControlParameters()
    assert (
        read_control_parameters(beside(tmp_path, "notes of the operator\nWD=7 mm\n")) == ControlParameters()
    )


@pytest.mark.parametrize("tag", [34118, 34680, 34682, 50431])
def test_a_foreign_block_is_refused(tmp_path, tag):
    with pytest.raises(MetadataError, match=r"frame\.tif: TIFF tag .* holds no"):
        read_control_parameters(tiff(tmp_path, tag, "x"))


def test_an_unreadable_file_is_refused(tmp_path):
    with pytest.raises(MetadataError, match="No such file"):
        read_control_parameters(tmp_path / "missing.tif")
    with pytest.raises(MetadataError, match="is not a regular file"):
        read_control_parameters(tmp_path)
    (tmp_path / "short.tif").write_bytes(b"II*\0\x08")
    with pytest.raises(MetadataError, match=r"short\.tif: cannot be read"):
        read_control_parameters(tmp_path / "short.tif")
    with pytest.raises(MetadataError, match=r"larger than 4194304 bytes"):
        read_control_parameters(tiff(tmp_path, 34118, b"0" * (4 * 2**20 + 1)))


@pytest.mark.parametrize(
    ("tag", "block"),
    [(34118, zeiss_block()), (34682, thermo_block()), (50431, tescan_block().decode("latin-1"))],
)
def test_damaged_bytes_give_parameters_or_our_error_and_no_noise(tmp_path, tag, block, capfd):
    data = tiff(tmp_path, tag, block).read_bytes()

    @settings(max_examples=60, deadline=None)
    @given(
        st.dictionaries(st.integers(0, len(data) - 1), st.integers(0, 255), max_size=8), st.integers(0, 300)
    )
    def read_damaged(changes, lost):
        damaged = bytearray(data)
        for position, value in changes.items():
            damaged[position] = value
        (tmp_path / "damaged.tif").write_bytes(damaged[: len(data) - lost])
        try:
            parameters = read_control_parameters(tmp_path / "damaged.tif")
        except MetadataError:
            return
        numbers = [value for value in vars(parameters).values() if isinstance(value, float)]
        assert np.isfinite(numbers).all()

    read_damaged()
    assert capfd.readouterr() == ("", "")


@needs_sem_frames
def test_real_files_are_read():
    auriga = read_control_parameters(SEM_FRAMES / "zeiss_auriga60_inlens.tif")
    assert (auriga.brightness, auriga.contrast, auriga.working_distance_mm) == (48.7, 24.9, 4.967394)
    assert (auriga.stigmator_x_percent, auriga.magnification, auriga.detector) == (-5.5, 10_000, "InLens")
    merlin = read_control_parameters(SEM_FRAMES / "zeiss_merlin_se2.tif")
    assert (merlin.brightness, merlin.contrast, merlin.working_distance_mm) == (50.0, 25.9, 7.734964)
    assert (merlin.accelerating_voltage_kv, merlin.pixel_size_nm, merlin.dwell_time_us) == (8.0, 55.82, 13.75)
    ion_beam = read_control_parameters(SEM_FRAMES / "thermo_ion_beam.tif")
    assert (ion_beam.brightness, ion_beam.contrast, ion_beam.working_distance_mm) == (41.6038, 68.575, 16.5)
    assert (ion_beam.vendor, ion_beam.detector, ion_beam.accelerating_voltage_kv) == ("thermo", "ETD", 30)
    assert (
        read_control_parameters(SEM_FRAMES / "zeiss_merlin_defocus_-13324nm_base.png") == ControlParameters()
    )
