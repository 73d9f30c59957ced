"""Every optimizer written again in NumPy, from its paper, for one weight (fan-in, fan-out).

Each takes a weight, the gradients of successive steps, and the weight's own learning rate and decay
(which takes lr * decay of the weight along with a step); it returns the weight after the last.
"""

import numpy as np


def sgd(w, gradients, lr, decay, *, momentum, nesterov):
    """Sutskever et al., 2013, in the form of all frameworks: the trace of Polyak's heavy ball."""
    trace = np.zeros_like(w)
    for g in gradients:
        trace = momentum * trace + g
        step = g + momentum * trace if nesterov else trace
        w = w - lr * step - lr * decay * w
    return w


def adamw(w, gradients, lr, decay, *, b1, b2, eps):
    """Kingma & Ba, 1412.6980, Algorithm 1; Loshchilov & Hutter, 1711.05101, Algorithm 2."""
    for m, v, _ in _moments(gradients, b1, b2):
        w = w - lr * m / (np.sqrt(v) + eps) - lr * decay * w
    return w


def nadam(w, gradients, lr, decay, *, b1, b2, eps):
    """Dozat, 2016, Algorithm 2, with the same b1 at every step and decoupled decay."""
    m, v = np.zeros_like(w), np.zeros_like(w)
    for t, g in enumerate(gradients, start=1):
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        look = b1 * m / (1 - b1 ** (t + 1)) + (1 - b1) * g / (1 - b1**t)
        w = w - lr * look / (np.sqrt(v / (1 - b2**t)) + eps) - lr * decay * w
    return w


def adam_atan2(w, gradients, lr, decay, *, b1, b2, a, b):
    """Everett et al., 2407.05872: epsilon and the quotient give way to an angle."""
    for m, v, _ in _moments(gradients, b1, b2):
        w = w - lr * a * np.arctan2(m, b * np.sqrt(v)) - lr * decay * w
    return w


def lion(w, gradients, lr, decay, *, b1, b2):
    """Chen et al., 2302.06675, Algorithm 2."""
    m = np.zeros_like(w)
    for g in gradients:
        w = w - lr * np.sign(b1 * m + (1 - b1) * g) - lr * decay * w
        m = b2 * m + (1 - b2) * g
    return w


def adamp(w, gradients, lr, decay, *, b1, b2, eps, delta, wd_ratio):
    """Heo et al., 2006.08217, Algorithm 2; a channel is what feeds one output."""
    for m, v, g in _moments(gradients, b1, b2):
        step, kept, view = m / (np.sqrt(v) + eps), 1.0, scale_invariant_view(w, g, delta)
        if view:
            step, kept = _without_radial_part(step, VIEWS[view](w)), wd_ratio
        w = w - lr * step - lr * decay * kept * w
    return w


VIEWS = {"channel": lambda w: w.T, "layer": lambda w: w.reshape(1, -1)}


def scale_invariant_view(w, g, delta):
    """The first view of the weight in which it looks scale-invariant, or nothing."""
    for name, view in VIEWS.items():
        cosines = [
            abs(a @ b) / (np.linalg.norm(a) * np.linalg.norm(b))
            for a, b in zip(view(w), view(g), strict=True)
        ]
        if max(cosines) < delta / np.sqrt(view(w).shape[1]):
            return name
    return ""


def _without_radial_part(step, vectors):
    """Projects the step of each vector onto what is orthogonal to the vector."""
    layer = len(vectors) == 1
    steps = step.reshape(1, -1) if layer else step.T
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    steps = steps - np.sum(units * steps, axis=1, keepdims=True) * units
    return steps.reshape(step.shape) if layer else steps.T


def adafactor(w, gradients, lr, decay, *, decay_rate, eps, clipping_threshold, min_scale):
    """Shazeer & Stern, 1804.04235, Algorithm 4, with rho_t of the caller's schedule."""
    rows, columns = np.zeros(w.shape[0]), np.zeros(w.shape[1])
    for t, g in enumerate(gradients, start=1):
        b2 = 1.0 - t**-decay_rate
        rows = b2 * rows + (1 - b2) * (g * g + eps).sum(axis=1)
        columns = b2 * columns + (1 - b2) * (g * g + eps).sum(axis=0)
        u = g / np.sqrt(np.outer(rows, columns) / rows.sum())
        u = u / max(1.0, _rms(u) / clipping_threshold)
        w = w - lr * max(min_scale, _rms(w)) * u - lr * decay * w
    return w


def muon(w, gradients, lr, decay, *, momentum, nesterov, eps, shape):
    """Jordan et al., 2024, with the momentum debiased as Dozat's Nadam does, which optax added."""
    m = np.zeros_like(w)
    for t, g in enumerate(gradients, start=1):
        m = momentum * m + (1 - momentum) * g
        if nesterov:
            look = momentum * m / (1 - momentum ** (t + 1))
            look = look + (1 - momentum) * g / (1 - momentum**t)
        else:
            look = m / (1 - momentum**t)
        w = w - lr * shape * _newton_schulz(look, eps) - lr * decay * w
    return w


def _newton_schulz(x, eps):
    """Five quintic iterations p(x) = 3.4445 x - 4.7750 x^3 + 2.0315 x^5 of all singular values."""
    u, s, v = np.linalg.svd(x / (np.linalg.norm(x) + eps), full_matrices=False)
    for _ in range(5):
        s = 3.4445 * s - 4.7750 * s**3 + 2.0315 * s**5
    return u * s @ v


def _moments(gradients, b1, b2):
    """Adam's two moments, debiased, and the gradient of each step."""
    m, v = 0.0, 0.0
    for t, g in enumerate(gradients, start=1):
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        yield m / (1 - b1**t), v / (1 - b2**t), g


def _rms(x):
    return np.sqrt(np.mean(x * x))
