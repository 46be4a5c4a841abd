"""What every metadata reader obeys; a new one is tested the moment it is in the table."""

from __future__ import annotations

import dataclasses

import pytest

from semtune.metadata import METADATA_READERS, Blocks, ControlParameters

FIELDS = {field.name for field in dataclasses.fields(ControlParameters)}
each_reader = pytest.mark.parametrize("reader", METADATA_READERS, ids=lambda reader: reader.name)


@each_reader
def test_it_knows_nothing_of_a_file_without_blocks(reader):
    assert reader.read(Blocks({})) is None
    assert reader.read(Blocks({}, text="notes")) is None


@each_reader
def test_its_table_fills_fields_that_exist_from_keys_that_differ(reader):
    assert {entry.field for entry in reader.table} <= FIELDS - {"vendor", "brightness_unit", "contrast_unit"}
    assert len({entry.key for entry in reader.table}) == len(reader.table)


@each_reader
def test_it_reads_what_the_networks_need(reader):
    assert {"brightness", "contrast", "working_distance_mm"} <= {entry.field for entry in reader.table}


@each_reader
@pytest.mark.parametrize(
    "text", ["nan", "NaN %", "inf", "-Infinity", "1e9999", "1_000", "0x10", "", "\0", "٣", "1 2"]
)
def test_no_number_of_its_table_can_be_read_from_nonsense(reader, text):
    numbers = [entry for entry in reader.table if entry.field not in ("detector",)]
    for entry in numbers:
        try:
            value = entry.parse(text)
        except ValueError:
            continue
        assert value == float("inf"), f"{entry.key} read {text!r} as {value}"  # refused by its range
