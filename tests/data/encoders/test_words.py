"""Texts as numbers: TF-IDF and its leading directions written out, corpora of all kinds, and what a run keeps."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays

import skedastic as sk
from skedastic.data import TextSettings
from skedastic.data.encoders import words as module
from skedastic.data.encoders.rows import RowEncoder
from skedastic.data.encoders.saved import restored
from skedastic.data.encoders.words import WordEncoder
from skedastic.models import reads_tokens
from skedastic.pipeline.prepare import open_data
from skedastic.runs.load import load
from skedastic.settings.reading import read
from tests.support.refusals import refused

TEXTS = ["the cat sat", "the dog sat", "a cat and a dog", "the cat and the cat", "Cat sat", "dog and dog"]


def tf_idf(texts: list[str], terms: list[str]) -> np.ndarray:
    """(1 + log f) (1 + log((1 + n) / (1 + d))) of words and pairs, each text of length 1, written out."""
    grams = []
    for text in texts:
        tokens = text.lower().split()
        grams.append([*tokens, *(f"{a} {b}" for a, b in itertools.pairwise(tokens))])
    x = np.zeros((len(texts), len(terms)))
    for j, term in enumerate(terms):
        found = [g.count(term) for g in grams]
        idf = 1 + math.log((1 + len(texts)) / (1 + sum(f > 0 for f in found)))
        x[:, j] = [(1 + math.log(f)) * idf if f else 0.0 for f in found]
    return x / np.linalg.norm(x, axis=1, keepdims=True).clip(1e-12)


def words_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SHORT", 0)


def test_the_numbers_are_tf_idf_in_its_leading_directions(monkeypatch: pytest.MonkeyPatch) -> None:
    words_only(monkeypatch)
    encoder = WordEncoder.fit(TEXTS, TextSettings(numbers=3))
    (terms,) = encoder.terms
    assert terms.kind == "words"
    shared = {"the", "cat", "dog", "sat", "and", "the cat", "cat sat", "cat and"}  # in two texts or more
    assert set(terms.names) == shared
    x = tf_idf(TEXTS, list(terms.names))
    directions = np.linalg.svd(x, full_matrices=False)[2][:3]
    expected = x @ directions.T
    expected *= math.sqrt(3) / np.linalg.norm(expected, axis=1, keepdims=True)
    found = encoder.numbers(TEXTS)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found @ found.T, expected @ expected.T, atol=5e-3)  # directions have no sign


def test_a_saved_encoder_gives_the_same_numbers_to_the_bit() -> None:
    encoder = WordEncoder.fit(TEXTS, TextSettings(numbers=4))
    again = WordEncoder.restore(json.loads(json.dumps(encoder.to_json())), encoder.arrays())
    assert [t.kind for t in again.terms] == ["words", "pieces"]
    np.testing.assert_array_equal(again.numbers([*TEXTS, "new words"]), encoder.numbers([*TEXTS, "new words"]))


@pytest.mark.parametrize(
    "texts",
    [
        pytest.param(["", "", ""], id="empty"),
        pytest.param(["one"], id="one text"),
        pytest.param(["alpha", "beta", "gamma", "delta"], id="nothing in common but pieces"),
        pytest.param(["?!", "...", "--"], id="no words"),
        pytest.param(["a", "a"], id="two texts"),
        pytest.param(["\ud800 broken", "\x00 nul", "broken nul"], id="characters that can't be encoded"),
    ],
)
def test_poor_corpora_have_finite_numbers(texts: list[str]) -> None:
    encoder = WordEncoder.fit(texts, TextSettings())
    found = encoder.numbers([*texts, "something else"])
    assert found.shape == (len(texts) + 1, encoder.width)
    assert 1 <= encoder.width <= 256
    assert np.isfinite(found).all()
    arrays = load_arrays(save_arrays({name: np.ascontiguousarray(a) for name, a in encoder.arrays().items()}))
    again = WordEncoder.restore(json.loads(json.dumps(encoder.to_json())), arrays)
    np.testing.assert_array_equal(again.numbers(texts), encoder.numbers(texts))


def test_two_long_texts_have_no_more_numbers_than_asked_for() -> None:
    texts = ["many words that are in both of them"] * 2
    assert WordEncoder.fit(texts, TextSettings(numbers=8)).numbers(texts).shape == (2, 8)


def test_the_terms_of_a_large_corpus_are_those_of_a_part(monkeypatch: pytest.MonkeyPatch) -> None:
    many = [f"{text} {i % 7}" for i, text in enumerate(TEXTS * 40)]
    monkeypatch.setattr(module, "SHORT", 300)
    monkeypatch.setattr(module, "LONG", 600)
    encoder = WordEncoder.fit(many, TextSettings(numbers=3))
    assert [t.kind for t in encoder.terms] == ["words"]
    read = module._read_by(many)[1]
    assert 500 < sum(map(len, read)) <= 600
    assert np.isfinite(encoder.numbers(many)).all()


def test_every_text_with_a_term_is_as_long_and_one_without_is_0() -> None:
    encoder = WordEncoder.fit(TEXTS, TextSettings(numbers=4))
    found = encoder.numbers([*TEXTS, "", "zzz"])
    np.testing.assert_allclose(np.linalg.norm(found[:6], axis=1), 2, rtol=1e-5)
    assert not found[6:].any()


def test_case_counts_only_where_asked() -> None:
    for lowercase, same in ((True, True), (False, False)):
        encoder = WordEncoder.fit(TEXTS, TextSettings(numbers=4, lowercase=lowercase))
        assert np.array_equal(encoder.numbers(["cat sat"]), encoder.numbers(["Cat sat"])) == same


def test_misspelled_words_and_scripts_without_spaces_are_read_by_their_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    near, far = _likeness(WordEncoder.fit(TEXTS * 3, TextSettings(numbers=8)), "catt", "cat", "dog")
    assert near > far + 0.3
    words_only(monkeypatch)
    monkeypatch.setattr(module, "SHORT", 120)
    chinese = [
        "我喜欢这部电影我喜欢这部电影我喜欢这部电影",
        "我喜欢这部电影真的非常好看我喜欢",
        "这个地方太差了不会再来太差了不会再来",
        "服务太差了不会再来这个地方太差了",
    ]
    encoder = WordEncoder.fit(chinese * 2, TextSettings(numbers=3))
    assert "pieces" in [t.kind for t in encoder.terms]
    near, far = _likeness(encoder, "喜欢这部电影", chinese[0], chinese[2])
    assert near > far + 0.5


def _likeness(encoder: WordEncoder, text: str, *others: str) -> list[float]:
    """Return the cosines between a text and others."""
    found = encoder.numbers([text, *others])
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    return (found[1:] @ found[0]).tolist()


def test_directions_of_many_texts_are_those_of_some(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_TEXTS", 60)
    many = TEXTS * 50
    encoder = WordEncoder.fit(many, TextSettings(numbers=3))
    np.testing.assert_array_equal(encoder.directions, WordEncoder.fit(many, TextSettings(numbers=3)).directions)
    assert encoder.numbers(many).shape == (300, 3)


@pytest.fixture(scope="module")
def reviews(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Reviews that say what they are of in two words, a column beside them, and a run."""
    folder = tmp_path_factory.mktemp("words")
    rng = np.random.default_rng(0)
    filler = np.array(list("abcdefghijklmnopqrst"))
    said = {"good": ["great", "lovely", "fine joy"], "bad": ["dull", "awful", "poor waste"]}
    y = np.where(np.arange(400) % 2, "good", "bad")
    texts = [" ".join([*rng.choice(filler, 8), rng.choice(said[c]), *rng.choice(filler, 5)]) for c in y]
    pd.DataFrame({"review": texts, "stars": rng.normal(size=400), "label": y}).to_csv(folder / "r.csv", index=False)
    sk.fit(str(folder / "r.csv"), target="label", test=0.25, train=sk.TrainingConfig(epochs=8)).save(folder / "run")
    return folder


def test_a_text_is_learned_by_default_saved_and_loaded(reviews: Path) -> None:
    run, frame = load(reviews / "run"), pd.read_csv(reviews / "r.csv")
    assert run.kind == "text"
    assert run.metrics.overall.value > 0.95
    assert not run.encoder.inputs.tokens
    assert isinstance(run.encoder, RowEncoder)
    assert run.encoder.words is not None
    assert run.encoder.inputs.real == 1 + run.encoder.words.width
    p = run.predict_proba(frame).to_numpy()
    np.testing.assert_array_equal(sk.load(reviews / "run").predict_proba(frame).to_numpy(), p)
    assert (run.predict(frame) == frame["label"]).mean() > 0.95


@pytest.mark.parametrize("damage", ["lost", "cut", "other"])
def test_a_run_whose_arrays_are_damaged_is_refused(reviews: Path, tmp_path: Path, damage: str) -> None:
    load(reviews / "run").save(tmp_path / "run")
    path = tmp_path / "run" / "encoder.safetensors"
    if damage == "lost":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:50])
    else:
        arrays = load_arrays(path.read_bytes())
        path.write_bytes(save_arrays(arrays | {"directions": -arrays["directions"]}))
    with pytest.raises(sk.UserError, match={"lost": "not there", "cut": "damaged", "other": "of another run"}[damage]):
        load(tmp_path / "run")


def test_settings_of_the_other_way_to_read_texts_are_refused(reviews: Path) -> None:
    for name, value, model, reads in (
        ("length", 16, "auto", "reads texts as numbers"),
        ("vocabulary", 500, "mlp", "reads texts as numbers"),
        ("numbers", 8, "bilstm", "reads texts as tokens"),
        ("terms", 50, "bilstm", "reads texts as tokens"),
    ):
        with refused(f"tokens.{name}", value, rule=reads):
            sk.fit(str(reviews / "r.csv"), target="label", model=model, tokens=TextSettings(**{name: value}))


def test_models_say_what_they_read() -> None:
    assert [reads_tokens(name) for name in ("auto", "mlp", "cnn", "bilstm", "hf:x", "nets.py:make")] == [
        *[False] * 3, *[True] * 3
    ]  # fmt: skip


def test_mixtures_of_texts_can_be_trained_on(reviews: Path) -> None:
    result = sk.fit(
        str(reviews / "r.csv"), target="label", method="mixup", test=0.25, train=sk.TrainingConfig(epochs=4)
    )
    assert result.metrics.overall.value > 0.9


def test_a_text_beside_other_columns_counts_a_quarter_and_in_older_runs_wholly() -> None:
    frame = pd.DataFrame({"text": [f"{t} {t}" for t in TEXTS * 3], "n": np.arange(3.0 * len(TEXTS))})
    alone, beside = (RowEncoder.fit(frame[names], as_tokens=False) for names in (["text"], ["text", "n"]))
    assert (alone.words.scale, beside.words.scale) == (1.0, 0.25)
    np.testing.assert_allclose(beside.transform(frame)[:, 1:], 0.25 * alone.transform(frame[["text"]]), atol=1e-6)
    again = restored(json.loads(json.dumps(beside.to_json())), beside.arrays())
    np.testing.assert_array_equal(again.transform(frame), beside.transform(frame))
    older = beside.to_json()
    del older["words"]["scale"]
    np.testing.assert_allclose(
        restored(older, beside.arrays()).transform(frame)[:, 1:], alone.transform(frame[["text"]]), atol=1e-6
    )


def test_a_long_list_beside_other_columns_counts_a_quarter_too(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    lists = {"long": list(rng.normal(size=(40, 33))), "short": list(rng.normal(size=(40, 32)))}

    def encoded(*names: str) -> np.ndarray:
        frame = pd.DataFrame({name: lists[name] for name in names}).assign(y=np.arange(40) % 2)
        frame.to_parquet(tmp_path / "rows.parquet")
        train = open_data(read(None, {"source": str(tmp_path / "rows.parquet"), "target": "y", "test": "none"})).train
        return train.x[train.index.argsort()].numpy()

    both = encoded("long", "short")
    np.testing.assert_allclose(both[:, :33], 0.25 * encoded("long"), atol=1e-6)
    np.testing.assert_allclose(both[:, 33:], encoded("short"), atol=1e-6)


@pytest.mark.parametrize(("cell", "scale"), [("{} and some more words", 0.25), ("{}", 0.1)])
def test_titles_count_less_than_sentences_beside_other_columns(cell: str, scale: float) -> None:
    rng = np.random.default_rng(0)
    colors = rng.choice(["red car", "blue bus", "old van"], 90)
    frame = pd.DataFrame({"x": rng.normal(size=90), "name": [cell.format(f"{c} {i}x") for i, c in enumerate(colors)]})
    encoder = RowEncoder.fit(frame, as_tokens=False)
    assert encoder.words is not None
    assert encoder.words.scale == scale
