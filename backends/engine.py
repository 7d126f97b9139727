import os
from types import SimpleNamespace


class Engine:
    """A network at work: its memory, its weights and its training step.

    The tables below and the passes (``forward``, ``backward`` and ``update`` over bound tensors ``t``)
    come from the generated subclass. Arrays are laid out as batch, channels, space.
    """

    INPUTS = ()  # (name, sizes of one sample, type)
    OUTPUTS = ()  # (tensor, sizes of one sample)
    TARGET = None  # (sizes of one sample, type, number of classes or None)
    WEIGHTS = ()  # (name, sizes, start in the flat buffer, distribution, its number)
    STATE = ()  # (name, sizes, first value)
    VALUES = ()  # (name, sizes, type, whether it has a batch axis)
    SLOTS = ()  # what the optimizer keeps for each weight
    LOSSES = ()
    KERNELS = {}  # the kernels by the names of the layers they were first made for
    LR = None  # the learning rate of the network's recipe

    def __init__(self, seed=0, batch=64, report=None):
        """Make the memory for batches of at most ``batch`` samples and draw the weights.

        ``report(done, total, name)`` is called before each kernel is compiled or read from its cache.
        """
        for done, (name, compiled) in enumerate(self.KERNELS.items()):
            if report:
                report(done, len(self.KERNELS), name)
            compile_kernel(compiled)
        if report:
            report(len(self.KERNELS), len(self.KERNELS), "")
        self.batch = batch
        self.lr = self.LR
        size = sum(math.prod(sizes) for _, sizes, *_ in self.WEIGHTS)
        self._flat = {name: empty((size,), real) for name in ("weight", "dweight", *self.SLOTS)}
        self._state = {name: empty(sizes, real) for name, sizes, _ in self.STATE}
        self._values = {
            name: empty((batch, *sizes) if batched else sizes, real if kind == "real" else np.int32)
            for name, sizes, kind, batched in self.VALUES
        }
        self._bound = {}
        self.reset(seed)

    def reset(self, seed):
        """Draw the weights anew from the seed, and forget what training has learnt."""
        self.seed = seed
        self.step = 0
        for array in self._flat.values():
            copy_in(array, np.zeros(array.shape, real))
        for number, (name, sizes, _, law, value) in enumerate(self.WEIGHTS):
            generator = np.random.Generator(np.random.Philox(key=[seed, number]))
            copy_in(self._part("weight", name), draw(generator, law, value, sizes).reshape(-1))
        for name, sizes, value in self.STATE:
            copy_in(self._state[name], np.full(sizes, value, real))

    def forward(self, *inputs):
        """The outputs for any number of samples, as evaluation sees them (no dropout).

        An array, or a dictionary by name if the network has several outputs.
        """
        outputs = [[] for _ in self.OUTPUTS]
        for t in self._batches(inputs):
            self.predict_pass(t)
            for found, (name, sizes) in zip(outputs, self.OUTPUTS, strict=True):
                found.append(copy_out(t.values[name]).reshape((-1, *sizes)))
        joined = [np.concatenate(found) for found in outputs]
        return joined[0] if len(joined) == 1 else dict(zip(self.OUTPUTS, joined, strict=True))

    def loss(self, *inputs_and_target):
        """The mean loss over any number of samples, as evaluation sees them."""
        total = count = 0
        for t in self._batches(inputs_and_target[:-1], inputs_and_target[-1]):
            self.evaluate_pass(t)
            total += self._loss(t) * t.count
            count += t.count
        return total / count

    def train_step(self, *inputs_and_target, lr=None):
        """One step of training on one batch; returns its loss before the step.

        The last argument is the target. ``lr`` is the learning rate of this step, else ``self.lr``.
        """
        if self.LR is None:
            raise RuntimeError("this network has no recipe: its file has no train section")
        if len(inputs_and_target[0]) > self.batch:
            raise ValueError(f"a batch has at most {self.batch} samples; give Model a larger batch")
        (t,) = self._batches(inputs_and_target[:-1], inputs_and_target[-1])
        self.step += 1
        self.train_pass(t)
        self.backward_pass(t)
        self.update_pass(t, self.lr if lr is None else lr)
        return self._loss(t)

    def outputs(self, count):
        """The outputs that the last step or evaluation of ``count`` samples left in memory."""
        t = self._bind(count)
        return [copy_out(t.values[name]).reshape((-1, *sizes)) for name, sizes in self.OUTPUTS]

    def parameters(self):
        """What training learns: a copy of every weight by its name."""
        return {
            name: copy_out(self._part("weight", name)).reshape(sizes)
            for name, sizes, *_ in self.WEIGHTS
        }

    def gradients(self):
        """The gradients of the last step: a copy for every weight by its name."""
        return {
            name: copy_out(self._part("dweight", name)).reshape(sizes)
            for name, sizes, *_ in self.WEIGHTS
        }

    def snapshot(self):
        """Copies of all that a step changes: weights, statistics, what the optimizer keeps, the step."""
        arrays = self.parameters()
        arrays.update({name: copy_out(array) for name, array in self._state.items()})
        for slot in self.SLOTS:
            arrays[f"optimizer/{slot}"] = copy_out(self._flat[slot])
        arrays["optimizer/step"] = np.array([self.step], np.int64)
        return arrays

    def restore(self, arrays):
        """Take a snapshot back; weights and statistics must all be there, in their sizes."""
        wanted = {name: sizes for name, sizes, *_ in (*self.WEIGHTS, *self.STATE)}
        for name, sizes in wanted.items():
            if name not in arrays:
                raise ValueError(f"the file has no {name}: it belongs to another network")
            if tuple(arrays[name].shape) != tuple(sizes):
                raise ValueError(f"{name} is {arrays[name].shape} in the file, {sizes} here")
        for name, *_ in self.WEIGHTS:
            copy_in(self._part("weight", name), np.asarray(arrays[name], real).reshape(-1))
        for name, *_ in self.STATE:
            copy_in(self._state[name], np.asarray(arrays[name], real))
        for slot in self.SLOTS:
            if f"optimizer/{slot}" in arrays:
                copy_in(self._flat[slot], arrays[f"optimizer/{slot}"])
        if "optimizer/step" in arrays:
            self.step = int(arrays["optimizer/step"][0])

    def save(self, path):
        """Write a snapshot as ``.npz``; the file is whole or is not there."""
        path = os.fspath(path)
        beside = f"{path}.{os.getpid()}.tmp"
        try:
            with open(beside, "wb") as file:
                np.savez(file, **self.snapshot())
                file.flush()
                os.fsync(file.fileno())
            os.replace(beside, path)
        finally:
            if os.path.exists(beside):
                os.remove(beside)

    def load(self, path):
        """Read a snapshot that `save` wrote."""
        with np.load(path, allow_pickle=False) as arrays:
            self.restore(dict(arrays))

    # ---- inside ----

    def _part(self, kind, name):
        for known, sizes, start, *_ in self.WEIGHTS:
            if known == name:
                return self._flat[kind][start : start + math.prod(sizes)]
        raise KeyError(name)

    def _batches(self, inputs, target=None):
        """The samples in batches, copied to where the kernels find them."""
        inputs = [
            check(array, name, sizes, kind)
            for array, (name, sizes, kind) in zip(inputs, self.INPUTS, strict=True)
        ]
        total = len(inputs[0])
        wanted = [name for name, *_ in self.INPUTS]
        if target is not None and self.TARGET:
            sizes, kind, classes = self.TARGET
            inputs.append(check(target, "target", sizes, kind, classes))
            wanted.append("target")
        if any(len(array) != total for array in inputs):
            raise ValueError(f"different numbers of samples: {[len(array) for array in inputs]}")
        for start in range(0, total, self.batch):
            t = self._bind(min(self.batch, total - start))
            for name, array in zip(wanted, inputs, strict=True):
                copy_in(t.values[name], array[start : start + t.count])
            yield t

    def _bind(self, count):
        """Every tensor of a batch of ``count`` samples, in the shapes that kernels want."""
        if count not in self._bound:
            values = {
                name: self._values[name][:count] if batched else self._values[name]
                for name, _, _, batched in self.VALUES
            }
            t = SimpleNamespace(count=count, values=values)
            self.bind(t)
            self._bound = {**dict(list(self._bound.items())[-3:]), count: t}
        return self._bound[count]

    def _loss(self, t):
        return float(sum(copy_out(t.values[name])[0] for name in self.LOSSES))


def draw(generator, law, value, sizes):
    """Random numbers of a distribution: normal (std), uniform (bound) or constant (value)."""
    if law == "normal":
        return value * generator.standard_normal(sizes)
    if law == "uniform":
        return generator.uniform(-value, value, sizes)
    return np.full(sizes, value)


def check(array, name, sizes, kind, classes=None):
    """The array in the type and sizes that the kernels want; ValueError if it does not suit."""
    array = np.asarray(array)
    if array.ndim == 0 or math.prod(array.shape[1:]) != math.prod(sizes) or not len(array):
        wanted = ", ".join(map(str, ("samples", *sizes)))
        raise ValueError(f"{name} has the shape {array.shape}, not ({wanted})")
    if kind == "int":
        if not np.issubdtype(array.dtype, np.integer):
            raise ValueError(f"{name} must be whole numbers, not {array.dtype}")
        if classes is not None and (array.min() < 0 or array.max() >= classes):
            raise ValueError(f"{name} must be classes from 0 to {classes - 1}")
        return array.astype(np.int32).reshape((-1, *sizes))
    return np.ascontiguousarray(array, real).reshape((-1, *sizes))
