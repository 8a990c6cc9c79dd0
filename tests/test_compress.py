"""`compress` and `decompress`: jets as latent numbers, in a file that knows its model."""

from __future__ import annotations

import json
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from particle_zoo import compress as compressing
from particle_zoo import decompress as decompressing
from particle_zoo.cli import read_json, write_json
from particle_zoo.compress import compress
from particle_zoo.data.jet_tables.opening import open_table
from particle_zoo.decompress import decompress, impossible
from particle_zoo.errors import InputError, ParticleZooError
from particle_zoo.evaluation.jets import scores
from particle_zoo.evaluation.jets.storage import cut
from particle_zoo.jet_file import KEY, JetFileHead, read_head, stored
from particle_zoo.jets import FOUR_MOMENTUM, Jets
from particle_zoo.simulation.jets import generate
from particle_zoo.weights import load_run
from tests.jet_runs import write_run

N = 700


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of three runs: `run`, and others that differ in their weights or only in their normalisation."""
    root = tmp_path_factory.mktemp("runs")
    write_run(root / "run")
    write_run(root / "weights", seed=4)
    other = write_run(root / "normalisation")
    about = read_json(other / "config.json")
    about["preprocessing"]["mean"][0] += 1.0
    write_json(other / "config.json", about)
    return root


@pytest.fixture(scope="module")
def run(runs: Path) -> Path:
    return runs / "run"


@pytest.fixture(scope="module")
def model(run: Path) -> Any:
    return load_run(run)[0]


@pytest.fixture(scope="module")
def jets() -> Jets:
    return generate(N, 7).select(FOUR_MOMENTUM)


@pytest.fixture(scope="module")
def beside() -> pd.DataFrame:
    """Columns that are no variables of jets."""
    rng = np.random.default_rng(1)
    weight = rng.normal(size=N)
    weight[::7] = np.nan
    words = pd.Series(rng.choice(["HLT_j400", "HLT_j15", "µ"], N))
    return pd.DataFrame({"event": 2**53 + np.arange(N), "weight": weight, "tight": weight > 0, "trigger": words})


@pytest.fixture
def file(jets: Jets, beside: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    pd.concat([jets.to_frame(), beside], axis=1).to_parquet("jets.parquet")
    return Path("jets.parquet")


@pytest.fixture(scope="module")
def compressed(run: Path, jets: Jets, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The jets without their other columns, as a file."""
    folder = tmp_path_factory.mktemp("compressed")
    jets.to_frame().to_parquet(folder / "jets.parquet")
    compress([folder / "jets.parquet"], run, folder / "jets.z", quiet=True)
    return (folder / "jets.z").read_bytes()


@pytest.fixture
def small(compressed: bytes, file: Path) -> Path:
    """That file beside the jets."""
    path = Path("jets.z")
    path.write_bytes(compressed)
    return path


def invoke(command: click.Command, *arguments: Any) -> str:
    result = CliRunner().invoke(command, [str(a) for a in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def decoded(model: Any, jets: Jets, dtype: str = "float32") -> np.ndarray:
    latent = model.encode(model.preprocess(jets)).astype(dtype)
    return np.asarray(model.preprocessor.inverse(model.decode(latent)).values)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_jets_come_back_as_the_model_draws_them(
    run: Path, file: Path, model: Any, jets: Jets, beside: pd.DataFrame, dtype: str
) -> None:
    kept = ",".join(beside)
    invoke(compressing.command, file, "--model", run, "--output", "j.z", "--dtype", dtype, "--keep", kept)
    said = invoke(decompressing.command, "j.z", "--model", run, "--output", "back.parquet", "--json", "back.json")
    back = pd.read_parquet("back.parquet")
    assert list(back) == [*FOUR_MOMENTUM, *beside]
    expected = decoded(model, jets, dtype)
    np.testing.assert_allclose(back[list(FOUR_MOMENTUM)], expected, rtol=2e-5, atol=2e-5)
    pd.testing.assert_frame_equal(back[list(beside)], pd.read_parquet(file)[list(beside)], check_exact=True)
    assert back["weight"].to_numpy().tobytes() == beside["weight"].to_numpy().tobytes()
    numbers = json.loads(Path("back.json").read_text())
    assert numbers["jets"] == N
    momentum = back["pt"] * np.cosh(back["eta"])
    below = (back["E"] < momentum * (1 - 1e-6)) | (back["pt"] < 0)
    assert numbers["impossible"] == below.sum()
    assert (f"{below.sum():,} of them" in said) == below.any()


def test_jets_that_cannot_be_are_counted() -> None:
    head = JetFileHead(model="m", weights_sha256="", settings_sha256="", variables=FOUR_MOMENTUM, latent=3)
    momentum = 50 * np.cosh(1.2)
    values = [[50, 1.2, 0, momentum * share] for share in (1.01, 1.0, 0.99)] + [[-1, 0, 0, 5], [np.inf, 0, 0, np.inf]]
    assert impossible(head, np.array(values, np.float32)).tolist() == [False, False, True, True, True]
    massive = head.model_copy(update={"variables": ("m", "pt", "phi", "eta")})
    assert impossible(massive, np.array([[0, 20, 0, 1], [-0.1, 20, 0, 1]], np.float32)).tolist() == [False, True]


def test_a_file_says_what_it_is(run: Path, file: Path) -> None:
    other = Path("more") / "jets2.parquet"
    other.parent.mkdir()
    pd.read_parquet(file).iloc[:9].to_parquet(other)
    compress([file, other], run, Path("j.z"), keep=["event"], dtype="float16", quiet=True)
    head = read_head(Path("j.z"))
    assert (head.model, head.variables, head.unit) == ("tiny_jet_ae", FOUR_MOMENTUM, "GeV")
    assert (head.latent, head.dtype, head.jets, head.kept) == (3, "float16", N + 9, ("event",))
    assert head.sources == ("jets.parquet", "jets2.parquet")
    assert head.weights_sha256 == read_json(run / "card.json")["weights_sha256"]
    # Any other reader of parquet takes it.
    table = pq.read_table("j.z")
    assert {name: str(table.schema.field(name).type) for name in table.column_names} == {
        "z0": "halffloat", "z1": "halffloat", "z2": "halffloat", "event": "int64"
    }  # fmt: skip
    assert table["event"].to_pylist()[N:] == table["event"].to_pylist()[:9]


def test_ratio_is_what_the_file_sizes_say(run: Path, file: Path, model: Any, jets: Jets) -> None:
    said = invoke(
        compressing.command, file, "--model", run, "--output", "j.z", "--json", "found.json", "--keep", "event"
    )
    found = json.loads(Path("found.json").read_text())
    size = Path("j.z").stat().st_size
    assert found["bytes"] == size
    assert found["ratio"] == pytest.approx(16 * N / size)
    assert f"{N} jets, {size:,} bytes" in said
    assert found["decoder_bytes"] == 4 * (3 * 8 + 8 + 8 * 16 + 16 + 16 * 4 + 4)
    ways = {way["name"]: way for way in found["ways"]}
    for way in ways.values():
        assert way["ratio"] == pytest.approx(16 / way["bytes_per_jet"])
    assert ways["float32 variables"]["bytes_per_jet"] == 16
    assert ways["input as it is"]["bytes_per_jet"] == file.stat().st_size / N
    raw = jets.values.astype(np.float32).T.tobytes()
    for level in (3, 19):
        packed = pa.Codec("zstd", compression_level=level).compress(raw)
        assert ways[f"float32 variables, zstd -{level}"]["bytes_per_jet"] == len(packed) / N
    ours = ways["tiny_jet_ae, float32 latent numbers"]
    assert ours["mse"] == pytest.approx(scores.mse(model, jets), rel=1e-3)
    lossless = [name for name, way in ways.items() if way["mse"] == 0]
    assert all("float32 variables" in name or "input" in name for name in lossless)
    assert len(lossless) == 8
    # As many bits as give an error no larger than the model's, and no more.
    bits = sorted(int(name.split()[4]) for name in ways if "mantissas" in name)
    assert bits[1] == 10
    fewer = Jets(cut(jets.values.astype(np.float32), bits[0] - 1), jets.columns) if bits[0] else None
    assert ways[f"float32 with mantissas of {bits[0]} bits, parquet"]["mse"] <= ours["mse"]
    if fewer is not None:
        normalise = model.preprocessor.normalise
        assert scores.mean_square(normalise(jets.values), normalise(fewer.values)) > ours["mse"]


def test_the_table_tells_of_a_sample_where_there_are_many(
    run: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compressing, "SAMPLE", 300)
    said = invoke(compressing.command, file, "--model", run, "--output", "j.z", "--json", "found.json")
    assert "ways to store the first 300 of 700 jets" in said
    assert json.loads(Path("found.json").read_text())["sample"] == 300
    assert read_head(Path("j.z")).jets == N


def test_other_variables_have_their_ways(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = write_run(tmp_path / "massive", variables="m_pt_phi_eta", latent=2)
    frame = generate(50, 2).to_frame()
    frame[["pt", "m", "E"]] *= 1000
    frame.drop(columns="m").to_csv("jets.csv", index=False)
    found = compress([Path("jets.csv")], folder, Path("j.z"), reading=["unit=MeV"], quiet=True)
    names = [way["name"] for way in found["ways"]]
    assert "drop m (its mean instead), parquet" in names
    assert read_head(Path("j.z")).variables == ("m", "pt", "phi", "eta")
    decompress(Path("j.z"), folder, Path("back.csv"), quiet=True)
    back = pd.read_csv("back.csv")
    model, _ = load_run(folder)
    expected = decoded(model, generate(50, 2).select(("m", "pt", "phi", "eta")))
    np.testing.assert_allclose(back, expected, rtol=2e-4)


def test_all_outputs_hold_the_same_table(run: Path, file: Path, beside: pd.DataFrame) -> None:
    kept = ["event", "tight", "trigger"]
    compress([file], run, Path("j.z"), keep=kept, quiet=True)
    for name in ("back.parquet", "back.csv", "back.h5"):
        decompress(Path("j.z"), run, Path(name), quiet=True)
    table = pd.read_parquet("back.parquet")
    pd.testing.assert_frame_equal(pd.read_csv("back.csv"), table, check_dtype=False)
    with h5py.File("back.h5") as stored_file:
        assert stored_file.attrs["particle_zoo_unit"] == "GeV"
        for name in table:
            column = stored_file[name]
            values = column.asstr()[:] if name == "trigger" else column[:]
            assert values.tolist() == table[name].tolist(), name
    with open_table(Path("back.parquet")) as opened:
        assert opened.unit == "GeV"


def test_memory_holds_a_few_chunks_only(run: Path, jets: Jets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for module in ("particle_zoo.jet_file", "particle_zoo.jet_file_writer"):
        monkeypatch.setattr(f"{module}.ROWS", 100)
    monkeypatch.setattr(compressing, "SAMPLE", 60)
    gone: list[int] = []
    most, chunks = 0, 40

    class Tracked(np.ndarray):
        """Arrays that say when they are let go, with all that is seen through them."""

    def many(*_: Any, **__: Any) -> Iterator[tuple[Jets, pd.DataFrame]]:
        nonlocal most
        for i in range(chunks):
            values = jets.values[:50].copy().view(Tracked)
            weakref.finalize(values, gone.append, i)
            part = Jets(values, jets.columns)
            del values
            most = max(most, i + 1 - len(gone))
            yield part, pd.DataFrame({"event": np.arange(50) + 50 * i})

    monkeypatch.setattr("particle_zoo.data.jet_files.iter_jets", many)
    Path("jets.parquet").write_bytes(b"x")
    compress([Path("jets.parquet")], run, Path("j.z"), keep=["event"], quiet=True)
    assert most <= 4
    assert pq.ParquetFile("j.z").num_row_groups == 20
    parts = [len(latent) for latent, _ in stored(Path("j.z"))]
    assert max(parts) <= 100
    decompress(Path("j.z"), run, Path("back.h5"), quiet=True)
    with h5py.File("back.h5") as found:
        assert found["event"][:].tolist() == list(range(50 * chunks))


@pytest.mark.parametrize("suffix", [".parquet", ".h5", ".csv"])
def test_what_came_back_can_be_compressed_again(
    run: Path, file: Path, suffix: str, capsys: pytest.CaptureFixture
) -> None:
    compress([file], run, Path("j.z"), quiet=True)
    back = Path(f"back{suffix}")
    first = decompress(Path("j.z"), run, back, quiet=True)
    again = compress([back], run, Path("again.z"), reading=["skip_bad=true", "trust_unit=true"], quiet=True)
    assert again["jets"] + again["skipped"] == first["jets"]
    # Among the odd ones are jets with a negative pt, which are left out.
    assert again["below_momentum"] + again["skipped"] >= first["impossible"] > 0
    assert f"{again['below_momentum']:,} of {again['jets']:,} jets have E below the momentum" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["jets.parquet", "--output", "old.z"], "old.z exists; replace it with --force"),
        (["jets.parquet", "--output", "new.parquet"], "--output must end in .z; received new.parquet"),
        (["jets.parquet", "--keep", "luminosity"], "luminosity"),
        (["jets.parquet", "--keep", "pt"], "--keep pt: the model gives it back"),
        (["jets.parquet", "--keep", "z1"], "--keep z1: latent numbers have such names"),
        (["jets.parquet", "--keep", "event,event"], "--keep takes every column once; received event 2 times"),
        (["jets.parquet", "--set", "unit"], "--set takes key=value"),
        (["jets.parquet", "--set", "mass=3"], "mass is no variable of a jet"),
        (["jets.parquet", "--model", "runs/none"], "runs/none is no run folder"),
        (["jets.parquet", "--model", "cnn_run"], "holds a model of task classifier"),
        (["nowhere.parquet"], "nowhere.parquet"),
        (["jets.parquet", "changed.parquet", "--keep", "event"], "--keep event: its values are int64 and"),
        (["nan.csv"], "nan.csv"),
        (["mev.csv"], "unit=MeV"),
    ],
)
def test_what_cannot_be_compressed_is_one_sentence(run: Path, file: Path, arguments: list[str], message: str) -> None:
    Path("old.z").write_text("precious")
    table = pd.read_parquet(file)
    table.assign(event=table["event"].astype(str)).to_parquet("changed.parquet")
    table.assign(pt=np.nan).to_csv("nan.csv")
    table.assign(pt=table["pt"] * 1000, E=table["E"] * 1000).to_csv("mev.csv")
    Path("cnn_run").mkdir()
    write_json(Path("cnn_run") / "config.json", {"model": "tiny_cnn"})
    refused(compressing.command, ["--model", str(run), "--output", "j.z", *arguments], message)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["jets.z", "--output", "old.csv"], "old.csv exists; replace it with --force"),
        (["jets.z", "--output", "back.root"], "--output must end in .parquet, .csv, .h5; received back.root"),
        (["jets.z", "--model", "weights"], "was compressed by tiny_jet_ae with weights "),
        (["jets.z", "--model", "normalisation"], "with settings and normalisation "),
        (["nowhere.z"], "there is no file nowhere.z"),
        (["text.z"], "text.z holds no compressed jets"),
        (["jets.parquet"], "jets.parquet holds no compressed jets"),
        (["empty.z"], "empty.z holds no compressed jets"),
        (["future.z"], "future.z has version 2 of the format, and this package reads 1"),
        (["edited.z"], "edited.z is damaged or was cut short"),
        (["lists.z"], "lists.z is damaged or was cut short"),
    ],
)
def test_what_cannot_be_decompressed_is_one_sentence(
    runs: Path, small: Path, arguments: list[str], message: str
) -> None:
    Path("old.csv").write_text("precious")
    Path("text.z").write_text("pt,eta,phi,E\n1,2,3,4\n")
    Path("empty.z").write_bytes(b"")
    head = json.loads(pq.read_metadata(small).metadata[KEY])
    for name, changed in (("future.z", head | {"version": 2}), ("edited.z", head | {"jets": 5}), ("lists.z", [1])):
        table = pq.read_table(small).replace_schema_metadata({KEY: json.dumps(changed)})
        pq.write_table(table, name)
    arguments = [str(runs / a) if a in ("weights", "normalisation") else a for a in arguments]
    refused(decompressing.command, ["--model", str(runs / "run"), "--output", "back.csv", *arguments], message)


def test_another_model_is_named_with_its_hash(runs: Path, small: Path) -> None:
    mine, other = (read_json(runs / name / "card.json")["weights_sha256"][:12] for name in ("run", "weights"))
    with pytest.raises(InputError, match=f"{mine}.*{other}.*give --model the run that compressed it"):
        decompress(small, runs / "weights", Path("back.csv"), quiet=True)


def refused(command: click.Command, arguments: list[str], message: str) -> None:
    before = {path: path.read_bytes() for path in Path.cwd().rglob("*") if path.is_file()}
    with pytest.raises((ParticleZooError, click.ClickException)) as error:
        command.main([*arguments, "--quiet"], standalone_mode=False)
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert {path: path.read_bytes() for path in Path.cwd().rglob("*") if path.is_file()} == before


def test_damage_at_the_end_leaves_no_output(run: Path, small: Path) -> None:
    data = bytearray(small.read_bytes())
    column = pq.ParquetFile(small).metadata.row_group(0).column(2)
    data[column.data_page_offset + column.total_compressed_size // 2] ^= 255
    small.write_bytes(data)
    refused(decompressing.command, [str(small), "--model", str(run), "--output", "back.parquet"], "jets.z is damaged")


@pytest.mark.parametrize("what", ["compress", "decompress"])
def test_stopping_leaves_no_partial_file(
    run: Path, small: Path, file: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = sorted(path.name for path in Path.cwd().iterdir())

    def interrupted(*_: Any) -> Any:
        # Part of the file is there by now.
        assert [path for path in Path.cwd().iterdir() if ".tmp" in path.name] or what == "compress"
        raise KeyboardInterrupt

    name = "encode" if what == "compress" else "decode"
    monkeypatch.setattr(f"particle_zoo.models.jet_ae.JetAE.{name}", interrupted)
    arguments: Any = ([file], run, Path("j.z")) if what == "compress" else (small, run, Path("back.h5"))
    with pytest.raises(KeyboardInterrupt):
        (compress if what == "compress" else decompress)(*arguments, quiet=True)
    assert sorted(path.name for path in Path.cwd().iterdir()) == before
