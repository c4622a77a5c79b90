"""Faults of what the game stands on: optimisers and their kernels, a run's schedule, its options and its presets."""

from benchmarks.quality.planted.fault import Suite, faults_in

OPTIMISERS = (
    *faults_in(
        "tinygan/optim.py",
        ("ascending descends", "self._step(gradients, sign=+1)", "self._step(gradients, sign=-1)"),
        ("descending ascends", "self._step(gradients, sign=-1)", "self._step(gradients, sign=+1)"),
        ("weights decay", "g = self.flat.gather(gradients if isinstance(gradients, Tensor) else list(gradients))",
         "g = self.flat.gather(gradients if isinstance(gradients, Tensor) else list(gradients))\n        g.array[...] += 0.01 * self.flat.theta"),
        ("Adam's beta1 is 0.9 by default", "beta1: float = 0.5, beta2: float = 0.999", "beta1: float = 0.9, beta2: float = 0.999"),
        ("Adam's beta2 is 0.99 by default", "beta1: float = 0.5, beta2: float = 0.999", "beta1: float = 0.5, beta2: float = 0.99"),
        ("Adam's epsilon is 1e-6 by default", "eps: float = 1e-8", "eps: float = 1e-6"),
        ("Adam's rate is 0.01 by default", "rate: float = 0.001, beta1", "rate: float = 0.01, beta1"),
        ("Adam takes beta1 and beta2 for each other", "beta1=beta1, beta2=beta2, eps=eps)", "beta1=beta2, beta2=beta1, eps=eps)"),
        ("momentum is 0.5 by default", "mu: float = 0.9", "mu: float = 0.5"),
        ("a new rate does not reach recorded launches", "self._rate[...] = value",
         "self._rate = self.flat.backend.asarray(np.asarray(value, self.flat.theta.dtype))"),
        ("a momentum of 1 is taken", "not -1 < value < 1:", "not -1 < value <= 1:"),
        ("a beta of 1 is taken", 'if name in ("beta1", "beta2") and not 0 <= value < 1:', 'if name in ("beta1", "beta2") and not 0 <= value <= 1:'),
        ("players may share memory", """ or np.may_share_memory(
        d.flat.backend.to_numpy(d.flat.theta), g.flat.backend.to_numpy(g.flat.theta)
    ):""", ":"),
        ("a tensor may be given twice", "if len({id(tensor) for tensor in found.values()}) < len(found):", "if len(found) < 0:"),
        ("a step moves a buffer that its parameters have left", "        self.flat.rejoin()\n", ""),
    ),
    *faults_in(
        "kernels/tinygan_kernels/reference.py",
        ("the reference's SGD descends always", "return (theta + theta.dtype.type(sign * rate) * g,)", "return (theta - theta.dtype.type(rate) * g,)"),
        ("the reference's momentum damps g", "velocity = theta.dtype.type(mu) * velocity + g",
         "velocity = theta.dtype.type(mu) * velocity + theta.dtype.type(1 - mu) * g"),
        ("the reference's Adam does not correct the bias of m", "m_hat = m / real(1 - beta1 ** float(t))", "m_hat = m"),
        ("the reference's Adam does not correct the bias of v", "v_hat = v / real(1 - beta2 ** float(t))", "v_hat = v"),
        ("the reference's Adam corrects v by beta1", "v_hat = v / real(1 - beta2 ** float(t))", "v_hat = v / real(1 - beta1 ** float(t))"),
        ("the reference's Adam counts from 2", "    t = t + 1\n    m = real(beta1)", "    t = t + 2\n    m = real(beta1)"),
        ("the reference's Adam has its epsilon under the root", "(np.sqrt(v_hat) + real(eps)), m, v, t", "np.sqrt(v_hat + real(eps)), m, v, t"),
        ("the reference's average turns decay round", "return (real(decay) * average + real(1 - decay) * x,)",
         "return (real(1 - decay) * average + real(decay) * x,)"),
    ),
    *faults_in(
        "kernels/tinygan_kernels/cpu/updates.py",
        ("the CPU's momentum moves before its velocity does", "        v[i] = mu * v[i] + d[i]\n        at[i] += step * v[i]",
         "        at[i] += step * v[i]\n        v[i] = mu * v[i] + d[i]"),
        ("the CPU's Adam counts one step too few", "np.float64(t[()]))", "np.float64(t[()]) - 0.5)"),
    ),
    *faults_in(
        "kernels/tinygan_kernels/cpu/row_formulas.py",
        ("the CPU's Adam does not correct the bias of m", "real(sign * rate / (1 - beta1**steps))", "real(sign * rate)"),
        ("the CPU's Adam does not correct the bias of v", "real(1 / (1 - beta2**steps))", "real(1.0)"),
        ("the CPU's Adam takes the ascent for a descent", "real(sign * rate / (1 - beta1**steps))", "real(-sign * rate / (1 - beta1**steps))"),
    ),
)  # fmt: skip

AVERAGES = faults_in(
    "kernels/tinygan_kernels/cpu/bindings.py",
    ("the CPU's average turns decay round", "flat(x), real(decay), real(1 - decay), flat(average)", "flat(x), real(1 - decay), real(decay), flat(average)"),
)

RUNS = (
    *faults_in(
        "tinygan/training/run.py",
        ("instance noise stays as it began", "game.noise = c.noise * (1 - self.step / c.steps)", "game.noise = c.noise"),
        ("instance noise rises", "game.noise = c.noise * (1 - self.step / c.steps)", "game.noise = c.noise * (self.step / c.steps)"),
        ("instance noise is off in a run", "game.noise = c.noise * (1 - self.step / c.steps)", "game.noise = 0.0"),
        ("both players have D's falling rate", "(c.rate(base, self.step) for base in self._base_rates)",
         "(c.rate(self._base_rates[0], self.step) for base in self._base_rates)"),
        ("the rates begin to fall a step late", "(c.rate(base, self.step) for", "(c.rate(base, max(self.step - 1, 0)) for"),
        ("all moves of a step see one batch of data", "            self.sampler.next(out=x)", "            if x is self._x[0] or np.shares_memory(x, self._x[0]):\n                self.sampler.next(out=x)"),
        ("the game has no remedies", "p.average, c.part(Remedies), self.draws", "p.average, Remedies(), self.draws"),
        ("the game forgets the user's penalties", "c.part(Remedies), self.draws, p.penalties)", "c.part(Remedies), self.draws)"),
        ("a checkpoint lacks the optimisers' states", "            live |= moved\n", ""),
        ("a checkpoint lacks the optimisers' step counts", "for name, array in optimiser.states.items()}",
         'for name, array in optimiser.states.items() if name != "t"}'),
        ("a checkpoint lacks the running statistics", "(network.parameters() | network.buffers()).items()}", "network.parameters().items()}"),
        ("a resumed run draws its noise from the start", "            set_generator(rng.bit_generator, course[\"rngs\"][name])", "            pass"),
        ("a resumed run sees its data from the start", 'self.sampler.restore({**course["sampler"], **kept})', "pass"),
        ("a resumed run is one step behind", '        self.step = course["step"]', '        self.step = max(course["step"] - 1, 0)'),
        ("what is not finite is saved", "        if odd:\n            raise self._diverged(f\"{odd} is not finite\")\n", ""),
        ("a refilled step keeps its first random points", "        refill(self._drawn)\n", ""),
    ),
    *faults_in(
        "tinygan/training/config.py",
        ("rates fall over the whole run", "min(1.0, (1 - step / self.steps) / self.decay)", "(1 - step / self.steps)"),
        ("rates begin above the base", "min(1.0, (1 - step / self.steps) / self.decay)", "(1 - step / self.steps) / self.decay"),
        ("D's rate is 1e-3 by default", "lr_d: float = option(5e-4,", "lr_d: float = option(1e-3,"),
        ("beta1 is 0.5 by default", "beta1: float = option(0.0,", "beta1: float = option(0.5,"),
        ("beta2 is 0.999 by default", "beta2: float = option(0.99,", "beta2: float = option(0.999,"),
        ("batches have 64 samples by default", "batch: int = option(128,", "batch: int = option(64,"),
        ("packs need not divide a batch", "if self.batch % self.pack:", "if self.batch < self.pack:"),
    ),
    *faults_in(
        "tinygan/game/rules.py",
        ("R1 is off by default", "r1: float = option(0.3,", "r1: float = option(0.0,"),
        ("the average of G is quicker by default", "ema: float = option(0.999,", "ema: float = option(0.99,"),
        ("minimax by default", 'objective: str = option("nonsaturating",', 'objective: str = option("minimax",'),
        ("simultaneous by default", 'update: str = option("alternating",', 'update: str = option("simultaneous",'),
        ("two steps of D by default", "k: int = option(1,", "k: int = option(2,"),
    ),
    *faults_in(
        "tinygan/training/presets.py",
        ("vanilla has an average of G", '{**PLAIN, "ema": 0.0}', "PLAIN"),
        ("single remedies have R1 besides", 'PLAIN: dict[str, Any] = {"r1": 0.0}', "PLAIN: dict[str, Any] = {}"),
        ("wgan-gp has k = 1", '"gp": 10.0, "k": 5}', '"gp": 10.0}'),
        ("wgan-gp has lambda 1", '"gp": 10.0,', '"gp": 1.0,'),
        ("sngan has no spectral normalisation", '"objective": "hinge", "spectral": True}', '"objective": "hinge"}'),
        ("packs of 4 have a batch of 200", '{**PACGAN, "pack": 4, "batch": 400}', '{**PACGAN, "pack": 4, "batch": 200}'),
        ("ttur has the rates swapped", '{**PLAIN, "lr_d": 2e-3, "lr_g": 5e-4}', '{**PLAIN, "lr_d": 5e-4, "lr_g": 2e-3}'),
        ("minimax is nonsaturating", '{**PLAIN, "objective": "minimax"}', "PLAIN"),
        ("lsgan is nonsaturating", '{**PLAIN, "objective": "least-squares"}', "PLAIN"),
    ),
)  # fmt: skip

SUITES = (
    Suite(OPTIMISERS, ("tests/tinygan/test_optim.py", "tests/tinygan_kernels/test_reference.py")),
    Suite(AVERAGES, ("tests/tinygan/engine/test_replay.py", "tests/tinygan_kernels/cpu/test_row_formulas.py", "tests/tinygan/game")),
    Suite(RUNS, (
        "tests/tinygan/training/test_config.py", "tests/tinygan/training/test_presets.py", "tests/tinygan/training/test_run.py",
        "tests/tinygan/training/test_resume.py", "tests/tinygan/fitting/test_fit.py", "tests/tinygan/fitting/test_own_code.py",
    )),
)  # fmt: skip
