"""`--categorical`: a category is a column of zeros and ones for each level but the first, here and at prediction."""

import numpy as np
import pytest

from funcgrad import regression
from funcgrad.cli import main
from funcgrad.datasets import DataError, Stream, load_file, load_frame
from funcgrad.models import load_model, save_model

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

CITIES = ["Paris", "Lyon", "Nice", "Paris", "Lyon", "Nice", "Paris", "Lyon"]
AREA = [30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0, 20.0]
# Rent of a flat: by area, and by city beyond Lyon.
BEYOND = {"Lyon": 0.0, "Nice": 100.0, "Paris": 450.0}
RENT = [10 + 8 * area + BEYOND[city] for area, city in zip(AREA, CITIES, strict=True)]


def write(path, cities=CITIES):
    rows = zip(cities, AREA, RENT, strict=False)
    path.write_text(
        "city;area;rent\n"
        + "".join(f'"{city}";{area};{rent}\n'.replace(".", ",") for city, area, rent in rows)
    )


def write_parquet(path):
    pq.write_table(pa.table({"city": CITIES, "area": AREA, "rent": RENT}), path)


def write_folder(path):
    for city in BEYOND:
        part = path / f"city={city}"
        part.mkdir(parents=True)
        kept = [each == city for each in CITIES]
        columns = {"area": np.array(AREA)[kept], "rent": np.array(RENT)[kept]}
        pq.write_table(pa.table(columns), part / "a.parquet")


FILES = {"t.csv": write, "t.parquet": write_parquet, "folder": write_folder}
WAYS = {
    "exact": [],
    "trained": ["--optimizer", "momentum", "--learning-rate", "0.1", "--epochs", "500"],
    "with a summary": ["--summary"],
}


@pytest.mark.parametrize(
    ("name", "way"), [*((name, "exact") for name in FILES), ("t.csv", "trained"), ("t.csv", "with a summary")]
)  # fmt: skip
def test_each_level_has_its_own_weight(tmp_path, monkeypatch, capsys, name, way):
    monkeypatch.chdir(tmp_path)
    FILES[name](tmp_path / name)
    command = ["fit", name, "--target", "rent", "--categorical", "city", "--out", "model"]
    assert main([*command, *WAYS[way]]) == 0
    model = load_model("model")
    found = dict(zip(model.feature_names, model.weights.tolist(), strict=True))
    assert model.levels == {"city": ("Lyon", "Nice", "Paris")}
    expected = {"city=Nice": 100, "city=Paris": 450, "area": 8}
    assert found == pytest.approx(expected, rel=1e-8 if way == "trained" else 1e-10)

    write(tmp_path / "new.csv", ["Nice", "Paris", "Lyon"])
    capsys.readouterr()
    assert main(["predict", "new.csv", "--model", "model"]) == 0
    predicted = [float(line) for line in capsys.readouterr().out.splitlines()[1:]]
    assert predicted == pytest.approx([350, 780, 410], rel=1e-7)
    write(tmp_path / "new.csv", ["Nice", "Brest"])
    assert main(["predict", "new.csv", "--model", "model"]) == 2
    assert (
        "'Brest' is none of the levels that are known: Lyon, Nice, Paris" in capsys.readouterr().err
    )


def test_numbers_can_be_categories_and_missing_ones_are_missing(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("zone,a,y\n3,1,2\n1,2,4\n,3,6\n12,4,8\n")
    stream = Stream(path, "y", categorical=["zone"], missing="drop")
    assert stream.feature_names == ("zone=12", "zone=3", "a")
    ((x, _),) = stream
    np.testing.assert_array_equal(x, [[0, 1, 1], [0, 0, 2], [1, 0, 4]])
    assert stream.dropped == 1
    np.savez(tmp_path / "t.npz", zone=[3.0, 1, np.nan, 12], a=[1, 2, 3, 4], y=[2, 4, 6, 8])
    ((same, _),) = Stream(tmp_path / "t.npz", "y", categorical=["zone"], missing="drop")
    np.testing.assert_array_equal(same, x)


@pytest.mark.parametrize(
    ("text", "categorical", "said"),
    [
        ("c,a,y\nx,1,2\nx,2,3\n", ["c"], "'c' has one level only, x"),
        ("c,a,y\nx,1,2\nz,2,3\n", ["b"], "'b' is none of the features"),
        (
            "c,a,y\n" + "".join(f"n{j},{j},{j}\n" for j in range(1001)),
            ["c"],
            "more than 1000 levels",
        ),
        ("c,a,y\nx,1,2\nz,2,3\n", (), "'x' is not a number; to make a category of it"),
    ],
)
def test_what_is_no_category_is_refused(tmp_path, text, categorical, said):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(DataError, match=said):
        list(Stream(tmp_path / "t.csv", "y", categorical=categorical))


def test_a_target_can_be_a_category(tmp_path, capsys):
    path, model = tmp_path / "t.csv", tmp_path / "model"
    labels, x = ["no", "no", "yes", "no", "yes", "yes"], np.arange(6.0)
    path.write_text("x,bought\n" + "".join(f"{a},{b}\n" for a, b in zip(x, labels, strict=True)))
    stream = Stream(path, "bought", categorical=["bought"])
    ((_, y),) = stream
    assert (y.tolist(), stream.classes, dict(stream.levels)) == (
        [0, 0, 1, 0, 1, 1],
        ("no", "yes"),
        {},
    )
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"x": x, "bought": labels})
    for data in (
        load_file(path, "bought", categorical=["bought"]),
        load_frame(frame, "bought", categorical=["bought"]),
    ):
        assert (data.y.tolist(), data.classes, dict(data.levels)) == (y.tolist(), ("no", "yes"), {})
    asked = ["fit", str(path), "--target", "bought", "--categorical", "bought", "--out", str(model)]
    assert main([*asked, "--family", "binomial", "--quiet"]) == 0
    # The predictions are of the second class, and are named so.
    found, answer = (
        load_model(model),
        regression.glm(x[:, None], y, "binomial", intercept=True),
    )
    assert (found.target_name, found.columns) == ("bought=yes", ("x",))
    np.testing.assert_allclose(found.weights, answer.params.weights, rtol=1e-10)
    assert main([*asked, "--quiet"]) == 2
    assert "a target in --categorical is for --family binomial" in capsys.readouterr().err


@pytest.mark.parametrize("weights", [None, "w"])
def test_a_multinomial_model_predicts_the_likeliest_class_and_all_probabilities(
    tmp_path, monkeypatch, capsys, weights
):
    linear_model = pytest.importorskip("sklearn.linear_model")
    metrics = pytest.importorskip("sklearn.metrics")
    pandas = pytest.importorskip("pandas")
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 2))
    classes = np.array(['de "la" mer', "ours", "a,b"])
    kinds = classes[(x @ [[0, 1, -1], [0, 0.5, 1]] + rng.gumbel(size=(60, 3))).argmax(axis=1)]
    frame = pandas.DataFrame(
        {"a": x[:, 0], "kind": kinds, "b": x[:, 1], "w": rng.integers(1, 4, 60)}
    )
    frame.to_csv("t.csv", index=False)
    more = ["--features", "a,b"] if weights is None else ["--weights", "w"]
    command = ["fit", "t.csv", "--target", "kind", "--family", "multinomial", "--out", "model"]
    assert main([*command, *more]) == 0
    told = capsys.readouterr().out
    peer = linear_model.LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000)
    counts = None if weights is None else frame.w
    peer.fit(x, kinds, sample_weight=counts)
    assert (
        f"log loss {metrics.log_loss(kinds, peer.predict_proba(x), sample_weight=counts):.6g}"
        in told
    )
    assert f"accuracy {peer.score(x, kinds, sample_weight=counts):.4f}" in told

    assert main(["predict", "t.csv", "--model", "model", "--out", "p.csv"]) == 0
    found = pandas.read_csv("p.csv")
    assert list(found) == ["kind", *(f"kind={each}" for each in peer.classes_)]
    assert found.kind.tolist() == peer.predict(x).tolist()
    np.testing.assert_allclose(found.iloc[:, 1:], peer.predict_proba(x), rtol=1e-5)
    model = load_model("model")
    pandas.testing.assert_frame_equal(model.predict(frame), found.iloc[:, 1:])
    for name in ("--summary", "--offset=w", "--link=log", "--exposure=w", "--optimizer=sgd"):
        assert main([*command, name]) == 2
        assert name.split("=")[0] in capsys.readouterr().err

    assert main([*command, *more, "--ridge", "2", "--quiet"]) == 0
    peer = linear_model.LogisticRegression(C=0.5, tol=1e-10, max_iter=1000)
    peer.fit(x, kinds, sample_weight=counts)
    found = load_model("model").predict(x)
    np.testing.assert_allclose(found, peer.predict_proba(x), rtol=1e-5)

    data = load_frame(frame[["a", "b", "kind"]], "kind", categorical=["kind"])
    answer = regression.glm(data.x, np.eye(3)[data.y.astype(int)], "multinomial", intercept=True)
    save_model("again", answer, data=data)
    assert load_model("again").classes == model.classes
    if weights is None:
        np.testing.assert_allclose(load_model("again").weights, model.weights, rtol=1e-12)
