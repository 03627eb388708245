"""Short labels of the variants of one system."""

from factories.records import partial_record

from bench.report import run_table


def test_shortest_key_names_the_variant_when_settings_vary_together():
    configs = [{"targets": {"context": c}, "system": {"head": {"context": c}}} for c in ("prefix", "causal")]
    runs = run_table.runs([partial_record(config=config) for config in configs])
    assert list(runs.label) == ["softmax, prefix vectors", "softmax, causal vectors"]


def test_label_is_the_system_when_only_folder_and_size_differ():
    configs = [
        {"results_dir": "a", "vocabulary": {"size": 1000}},
        {"results_dir": "b", "vocabulary": {"size": 5000}},
    ]
    records = [partial_record(config=c, vocabulary_size=c["vocabulary"]["size"]) for c in configs]
    assert list(run_table.runs(records).label) == ["softmax", "softmax"]


def test_label_names_backbone_and_device_when_they_differ():
    records = [
        partial_record(backbone="gru", device="cpu"),
        partial_record(device="cpu"),
        partial_record(device="cuda"),
    ]
    assert list(run_table.runs(records).label) == [
        "softmax, gru",
        "softmax, lstm, cpu",
        "softmax, lstm, cuda",
    ]


def test_variant_measured_on_another_device_is_named_by_its_setting():
    records = [
        partial_record(
            config={"targets": {"name": name}, "system": {"head": {"targets": {"name": name}}}}, device=device
        )
        for name, device in (("bert", "cpu"), ("random", "cuda"))
    ]
    assert list(run_table.runs(records).label) == ["softmax, BERT vectors", "softmax, random vectors"]


def test_number_of_target_columns_is_shown_with_its_unit():
    configs = [{"targets": {"name": "random", "dimension": dimension}} for dimension in (256, 384)]
    runs = run_table.runs([partial_record(system="infonce", config=config) for config in configs])
    assert list(runs.label) == ["infonce, 256 columns", "infonce, 384 columns"]


def test_class_named_by_its_path_is_shown_by_its_last_part():
    configs = [{"system": {"head": {"_target_": f"their_package.heads.{name}"}}} for name in ("Narrow", "Wide")]
    runs = run_table.runs([partial_record(config=config) for config in configs])
    assert list(runs.label) == ["softmax, Narrow", "softmax, Wide"]
    assert runs.settings.iloc[0] == "system.head._target_=their_package.heads.Narrow"


def test_labels_write_out_every_setting_when_short_names_would_agree():
    configs = [{"system": {"head": {"_target_": f"{package}.Head"}}} for package in ("first", "second")]
    runs = run_table.runs([partial_record(config=config) for config in configs])
    assert list(runs.label) == [f"softmax (system.head._target_={name}.Head)" for name in ("first", "second")]
