"""Formulas of libraries that are not installed beside the suite, stated in NumPy from their published form.

``python -m parity_tests.recipes.published`` writes ``published.json``: inputs and results, with the versions it ran on.
Every formula is differentiated by hand; a test compares it with differences of its values.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Callable

import numpy as np

from parity_tests.precision import Array
from parity_tests.recipes.figures import RECORDED, plain
from parity_tests.recipes.inputs import arrays
from parity_tests.recipes.mappings import GIVEN, PUBLISHED

Formula = Callable[[Array], tuple[float, Array]]
λ, α, β, μ, ν = (GIVEN[letter] for letter in "λαβμν")


def l2_loss(w: Array) -> float:
    """TensorFlow's: half the sum of squares."""
    return float((w**2).sum() / 2)


def temporal(x: Array) -> tuple[float, Array]:
    """The mean of squared steps of an array that is time-first, as the recurrent code has it."""
    h = np.moveaxis(x, 1, 0)
    steps = h[1:] - h[:-1]
    slope = np.zeros_like(h)
    slope[1:] += 2 * steps / steps.size
    slope[:-1] -= 2 * steps / steps.size
    return β * float((steps**2).mean()), β * np.moveaxis(slope, 0, 1)


def hoyer_square(w: Array) -> tuple[float, Array]:
    """(Σ|w|)² / Σw²."""
    top, bottom = np.abs(w).sum(), (w**2).sum()
    return λ * top**2 / bottom, λ * (2 * top / bottom * np.sign(w) - 2 * top**2 / bottom**2 * w)


def group_norms(w: Array, within: tuple[int, ...]) -> tuple[float, Array]:
    """Σ_g ‖w_g‖."""
    norms = np.sqrt((w**2).sum(axis=within, keepdims=True))
    return float(norms.sum()), w / norms


def structured(w: Array) -> tuple[float, Array]:
    """Norms of the filters, plus norms of what every input channel feeds."""
    (a, da), (b, db) = group_norms(w, (1, 2, 3)), group_norms(w, (0, 2, 3))
    return λ * (a + b), λ * (da + db)


def group_hoyer(w: Array) -> tuple[float, Array]:
    """The squares of both sums of norms, over Σw²."""
    (a, da), (b, db) = group_norms(w, (1, 2, 3)), group_norms(w, (0, 2, 3))
    bottom = (w**2).sum()
    value = (a**2 + b**2) / bottom
    return λ * value, λ * ((2 * a * da + 2 * b * db) / bottom - 2 * value / bottom * w)


def entropy(x: Array) -> tuple[float, Array]:
    """−H of the softmax, the mean over the batch."""
    p = np.exp(x - x.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    each = (p * np.log(p)).sum(axis=1, keepdims=True)
    return β * float(each.mean()), β * p * (np.log(p) - each) / len(x)


def columns(w: Array) -> Array:
    """W of the paper: (everything else, filters), its columns the filters."""
    return w.reshape(len(w), -1).T


def soft(m: Array) -> tuple[float, Array]:
    """‖MᵀM − I‖²_F."""
    defect = m.T @ m - np.eye(m.shape[1])
    return float((defect**2).sum()), 4 * m @ defect


def soft_orthogonality(w: Array) -> tuple[float, Array]:
    value, slope = soft(columns(w))
    return λ * value, λ * slope.T.reshape(w.shape)


def double_soft_orthogonality(w: Array) -> tuple[float, Array]:
    (a, da), (b, db) = soft(columns(w)), soft(columns(w).T)
    return λ * (a + b), λ * (da + db.T).T.reshape(w.shape)


def isometry(w: Array) -> tuple[float, Array]:
    """The spectral norm of WᵀW − I."""
    m = columns(w)
    values, vectors = np.linalg.eigh(m.T @ m - np.eye(m.shape[1]))
    at = int(np.abs(values).argmax())
    v = vectors[:, [at]]
    return λ * abs(values[at]), λ * np.sign(values[at]) * (2 * m @ v @ v.T).T.reshape(w.shape)


def coherence(w: Array) -> tuple[float, Array]:
    """The largest |cosine| of two columns."""
    m = columns(w)
    norms = np.sqrt((m**2).sum(axis=0))
    u = m / norms
    cosines = u.T @ u
    np.fill_diagonal(cosines, 0.0)
    i, j = np.unravel_index(np.abs(cosines).argmax(), cosines.shape)
    c, slope = cosines[i, j], np.zeros_like(m)
    slope[:, i] = np.sign(c) * (u[:, j] - c * u[:, i]) / norms[i]
    slope[:, j] = np.sign(c) * (u[:, i] - c * u[:, j]) / norms[j]
    return λ * abs(c), λ * slope.T.reshape(w.shape)


def variance(x: Array) -> tuple[float, Array]:
    """One branch of the variance term, with the released code's half."""
    centred = x - x.mean(axis=0)
    deviation = np.sqrt((centred**2).sum(axis=0) / (len(x) - 1) + 1e-4)
    slope = np.where(deviation < 1, -centred / deviation / (len(x) - 1), 0.0) / x.shape[1]
    return μ * float(np.maximum(1 - deviation, 0).mean()) / 2, μ * slope / 2


def off_diagonal(x: Array, divisor: int) -> tuple[Array, Array]:
    """The centred array, and its covariances without the variances."""
    centred = x - x.mean(axis=0)
    covariances = centred.T @ centred / divisor
    np.fill_diagonal(covariances, 0.0)
    return centred, covariances


def covariance(x: Array) -> tuple[float, Array]:
    """One branch of the covariance term."""
    centred, c = off_diagonal(x, len(x) - 1)
    return ν * float((c**2).sum()) / x.shape[1], ν * 4 * centred @ c / (len(x) - 1) / x.shape[1]


def decov(x: Array) -> tuple[float, Array]:
    """Half the squares of the covariances, which divide by the number of samples."""
    centred, c = off_diagonal(x, len(x))
    return λ * float((c**2).sum()) / 2, λ * 2 * centred @ c / len(x)


# name: (where it is published, the formula)
FORMULAS: dict[str, tuple[str, Formula]] = {
    "slim l1_regularizer": ("tf-slim, regularizers.py", lambda w: (λ * np.abs(w).sum(), λ * np.sign(w))),
    "slim l2_regularizer": ("tf-slim, regularizers.py", lambda w: (λ * l2_loss(w), λ * w)),
    "slim l1_l2_regularizer": (
        "tf-slim, regularizers.py",
        lambda w: (α * np.abs(w).sum() + β * l2_loss(w), α * np.sign(w) + β * w),
    ),
    "AR": ("Merity et al. (2017), AWD-LSTM main.py", lambda h: (α * (h**2).mean(), 2 * α * h / h.size)),
    "TAR": ("Merity et al. (2017), AWD-LSTM main.py", temporal),
    "network slimming": (
        "Liu et al. (2017), updateBN of the released main.py",
        lambda g: (λ * np.abs(g).sum(), λ * np.sign(g)),
    ),
    "Hoyer-Square": ("Yang et al. (2020), DeepHoyer cifar.py", hoyer_square),
    "Group-HS": ("Yang et al. (2020), DeepHoyer cifar_group.py, reg 3", group_hoyer),
    "structured sparsity": ("Wen et al. (2016); DeepHoyer cifar_group.py, reg 1", structured),
    "sparse autoencoder": (
        "l1_coeff * acts.abs().sum(-1).mean()",
        lambda f: (λ * np.abs(f).sum(axis=-1).mean(), λ * np.sign(f) / len(f)),
    ),
    "sparse autoencoder, tokens": (
        "l1_coeff * acts.abs().sum(-1).mean()",
        lambda f: (λ * np.abs(f).sum(axis=-1).mean(), λ * np.sign(f) / f[..., 0].size),
    ),
    "confidence penalty": ("Pereyra et al. (2017)", entropy),
    "soft orthogonality": ("Bansal et al. (2018), SO", soft_orthogonality),
    "DSO": ("Bansal et al. (2018), DSO", double_soft_orthogonality),
    "SRIP": ("Bansal et al. (2018), SRIP", isometry),
    "mutual coherence": ("Bansal et al. (2018), the coherence that MC is derived from", coherence),
    "VICReg variance": ("Bardes et al. (2022), main_vicreg.py", variance),
    "VICReg covariance": ("Bardes et al. (2022), main_vicreg.py", covariance),
    "DeCov": ("Cogswell et al. (2016); Chainer, decov", decov),
}


def figures() -> dict[str, dict[str, object]]:
    """Inputs and results of every formula, as JSON takes them."""
    given = {recipe.name: recipe.array for recipe in PUBLISHED}
    found = {}
    for name, (source, formula) in FORMULAS.items():
        x = arrays()[given[name]]
        found[name] = {"source": source, "x": x.tolist(), **plain(*formula(x))}
    return found


if __name__ == "__main__":
    versions = {"python": platform.python_version(), "numpy": np.__version__, "device": "cpu"}
    lines = [f"{json.dumps(name)}: {json.dumps(one, ensure_ascii=False)}" for name, one in figures().items()]
    head = f'"versions": {json.dumps(versions)},\n"given": {json.dumps(GIVEN, ensure_ascii=False)},\n"figures": {{\n'
    RECORDED.write_text("{\n" + head + ",\n".join(lines) + "\n}}\n", encoding="utf-8")
    print(f"{RECORDED.name}: {len(FORMULAS)} formulas, {versions}")
