import math
import operator
import os
import tempfile
from types import SimpleNamespace


class Engine:
    """A network at work: its memory, its weights and its training step.

    ::

        model = Model(seed=0, batch=128)
        for x, y in batches:
            loss = model.train_step(x, y, lr=0.05)
        logits = model.forward(x)
        model.save("weights.npz")

    Arrays are laid out as samples, channels, space. They are taken as they are: pictures of whole
    numbers from 0 to 255 want to be divided by 255 first, if they were so in training. The tables
    and the passes come from the subclass below.
    """

    INPUTS = ()  # (name, sizes of one sample, type, number of classes or words, or None)
    UNREAD = ()  # names of the inputs that no output depends on: forward does not take them
    OUTPUTS = ()  # (name, tensor that holds it, sizes of one sample)
    TARGET = None  # the same for the labels, if a loss wants any
    SCORED = None  # (tensor, sizes of one sample) of the prediction that labels are compared with
    WEIGHTS = ()  # (name, sizes, start in the flat buffer, distribution, its number)
    STATE = ()  # (name, sizes, first value)
    VALUES = ()  # (tensor, sizes, type, whether it has a batch axis, how it lies)
    LIVES = {}  # from which call to which a tensor is wanted, for training, evaluation, prediction
    PLACES = ()  # (tensor, the one in which it lies, its first channel there, how many it has)
    PRODUCTS = ()  # weights whose gradients no array holds, unless they are asked for
    SLOTS = ()  # what the optimizer keeps for each weight
    LOSSES = ()  # the tensors whose sum training makes small
    MEASURED = ()  # those that evaluation knows: it has no side heads
    KERNELS = {}  # the kernels by the names of the layers they were first made for
    LR = None  # the learning rate of the network's recipe; None if it has no recipe

    def __init__(self, seed=0, batch=64, report=None, threads=None):
        """Make the memory for batches of at most ``batch`` samples and draw the weights.

        ``report(done, total, name)`` is told of each kernel before it is compiled or read. On a
        CPU ``threads`` work together: as many as there are cores if not given.
        """
        self.threads = threads
        self.batch = operator.index(batch)
        if self.batch < 1:
            raise ValueError(f"batch must be 1 or more, not {batch}")
        for done, (name, compiled) in enumerate(self.KERNELS.items()):
            if report:
                report(done, len(self.KERNELS), name)
            compile_kernel(compiled)
        if report:
            report(len(self.KERNELS), len(self.KERNELS), "")
        self.lr = self.LR
        self._places = {
            name: (slice(start, start + math.prod(sizes)), sizes)
            for name, sizes, start, *_ in self.WEIGHTS
        }
        self._flat = {name: empty(shape, kind) for name, (shape, kind) in self.lasting().items()}
        self._state = {name: empty(sizes, real) for name, sizes, _ in self.STATE}
        self._values = memory_of(self.passing(self.batch), self.LIVES)
        self.nothing = empty((0,), real)
        self._bound = {}
        self._draw(seed)

    @classmethod
    def lasting(cls):
        """The shapes and types of what outlives a step: weights, and what belongs to them."""
        size = sum(math.prod(sizes) for _, sizes, *_ in cls.WEIGHTS)
        return dict.fromkeys(("weight", "dweight", *cls.SLOTS), ((size,), real))

    @classmethod
    def passing(cls, batch):
        """The shapes and types of the tensors of a step."""
        return {
            name: (extent(batch, sizes, batched, lies), TYPES[kind])
            for name, sizes, kind, batched, lies in cls.VALUES
        }

    @classmethod
    def room(cls, batch):
        """The bytes of all arrays of an engine for batches of so many samples.

        What threads have for themselves while they work is not counted.
        """
        shapes = [*cls.lasting().values(), *((sizes, real) for _, sizes, _ in cls.STATE)]
        sizes = [math.prod(shape) * np.dtype(kind).itemsize for shape, kind in shapes]
        products = (math.prod(extents) for name, extents, *_ in cls.WEIGHTS if name in cls.PRODUCTS)
        unheld = sum(products) * np.dtype(real).itemsize
        return sum(sizes) - unheld + room_of(cls.passing(batch), cls.LIVES)

    def reset(self, seed=0):
        """Draw the weights anew from the seed, and forget what training has learnt."""
        for slot in self.SLOTS:
            copy_in(self._flat[slot], np.broadcast_to(real(0), self._flat[slot].shape))
        self._draw(seed)

    def _draw(self, seed):
        """Begin with weights from a seed, where all else that lasts is zero."""
        self.seed = operator.index(seed)
        if not 0 <= self.seed < 2**63:
            raise ValueError(f"seed must be from 0 to 2**63 - 1, not {seed}")
        self.step = 0
        self._ready, self._trained = False, None
        for number, (name, sizes, _, law, value) in enumerate(self.WEIGHTS):
            generator = np.random.Generator(np.random.Philox(key=[self.seed, number]))
            at = self._places[name][0].start
            for drawn in draw(generator, law, value, sizes):
                copy_in(self._flat["weight"][at : at + drawn.size], drawn.ravel().astype(real))
                at += drawn.size
        for name, sizes, value in self.STATE:
            copy_in(self._state[name], np.full(sizes, value, real))

    def forward(self, *inputs):
        """The outputs for any number of samples, as evaluation sees them (no dropout).

        It takes the inputs that the outputs depend on, in the order of INPUTS. An array, or a
        dictionary by name if the network has several outputs.
        """
        outputs = [[] for _ in self.OUTPUTS]
        for t in self._batches(self.check(*inputs, target=False), target=False):
            self._prepared(t)
            self._run(t, "predict_pass")
            for found, output in zip(outputs, self.outputs(t.count), strict=True):
                found.append(output)
        joined = [np.concatenate(found) for found in outputs]
        if len(joined) == 1:
            return joined[0]
        return {name: array for (name, *_), array in zip(self.OUTPUTS, joined, strict=True)}

    def loss(self, *inputs_and_target):
        """The mean loss over any number of samples, as evaluation sees them.

        It takes what `train_step` takes.
        """
        self._needs_recipe()
        total = count = 0
        for t in self._batches(self.check(*inputs_and_target)):
            self._prepared(t)
            self._run(t, "evaluate_pass")
            total += self._loss(t, self.MEASURED) * t.count
            count += t.count
        return total / count

    def train_step(self, *inputs_and_target, lr=None):
        """One step of training on one batch; returns its loss before the step.

        It takes all inputs, in the order of INPUTS, and then the target, unless the losses only
        compare tensors of the network. ``lr`` is the learning rate of this step, else ``self.lr``.
        """
        self._needs_recipe()
        arrays = self.check(*inputs_and_target)
        if len(arrays[0]) > self.batch:
            raise ValueError(
                f"a step of {len(arrays[0])} samples; Model(batch={self.batch}) takes no more"
            )
        (t,) = self._batches(arrays)
        self.step += 1
        self._ready = False
        rate = float(self.lr if lr is None else lr)
        self._run(t, "train_pass", "backward_pass", "update_pass", lr=rate)
        self._trained = t.count
        return self._loss(t, self.LOSSES)

    def program(self, count, *passes):
        """What some passes over ``count`` samples were recorded as, when they first ran."""
        return self._bind(count).programs[passes]

    def outputs(self, count):
        """The outputs that the last step or evaluation of ``count`` samples left in memory."""
        t = self._bind(count)
        return [copy_out(t.values[key]).reshape((-1, *sizes)) for _, key, sizes in self.OUTPUTS]

    def scored(self, count):
        """The same for the prediction that the first loss with labels reads."""
        key, sizes = self.SCORED
        return copy_out(self._bind(count).values[key]).reshape((-1, *sizes))

    def parameters(self):
        """What training learns: a copy of every weight by its name."""
        return {name: self._take("weight", name) for name in self._places}

    def gradients(self):
        """The gradients of the last step: a copy for every weight by its name."""
        if self._trained is None:
            return {name: np.zeros(sizes, real) for name, (_, sizes) in self._places.items()}
        if self.PRODUCTS:
            self._run(self._bind(self._trained), "product_pass")
        return {name: self._take("dweight", name) for name in self._places}

    def statistics(self):
        """What outlives a step without being learnt, such as running means: a copy by name."""
        return {name: copy_out(array) for name, array in self._state.items()}

    def snapshot(self):
        """Copies of all that training changes: a training that goes on from it repeats every bit.

        Weights and statistics by name, what the optimizer keeps as ``optimizer/velocity/NAME``,
        and ``training/step`` and ``training/seed``.
        """
        arrays = {**self.parameters(), **self.statistics()}
        for slot in self.SLOTS:
            arrays.update({f"optimizer/{slot}/{n}": self._take(slot, n) for n in self._places})
        arrays["training/step"] = np.array(self.step, np.int64)
        arrays["training/seed"] = np.array(self.seed, np.int64)
        return arrays

    def restore(self, arrays):
        """Take a snapshot back, or weights and statistics alone: the optimizer then begins anew.

        ValueError, and nothing has changed, if the arrays belong to another network.
        """
        wanted = {name: sizes for name, sizes, *_ in (*self.WEIGHTS, *self.STATE)}
        slots = [(slot, name) for slot in self.SLOTS for name in self._places]
        known = {f"optimizer/{slot}/{name}": wanted[name] for slot, name in slots} | wanted
        for name in wanted:
            if name not in arrays:
                raise ValueError(f"there is no {name}: this belongs to another network")
        for name, array in arrays.items():
            if name not in known and "/" not in name:
                raise ValueError(f"{name} is not of this network")
            if name in known and np.shape(array) != known[name]:
                raise ValueError(f"{name} has the sizes {np.shape(array)}, not {known[name]}")
            if np.asarray(array).dtype.kind not in "iuf":
                raise ValueError(f"{name} holds {np.asarray(array).dtype}, not numbers")
        self._ready = False
        goes_on = all(f"optimizer/{slot}/{name}" in arrays for slot, name in slots)
        step, seed = (int(np.ravel(arrays.get(f"training/{w}", 0))[0]) for w in ("step", "seed"))
        for name in self._places:
            self._put("weight", name, arrays[name])
        for name in self._state:
            copy_in(self._state[name], np.asarray(arrays[name], real))
        for slot, name in slots:
            self._put(slot, name, arrays[f"optimizer/{slot}/{name}"] if goes_on else 0)
        self.step = step if goes_on else 0
        self.seed = seed if "training/seed" in arrays else self.seed

    def save(self, path):
        """Write a snapshot as ``.npz``; the file is whole or is not there."""
        path = os.fspath(path)
        handle, beside = tempfile.mkstemp(suffix=".tmp", dir=os.path.dirname(path) or ".")
        try:
            with open(handle, "wb") as file:
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

    def wanted(self, target=True):
        """What training and evaluation take; without ``target`` what prediction takes."""
        if target:
            return [*self.INPUTS, *filter(None, [self.TARGET])]
        return [row for row in self.INPUTS if row[0] not in self.UNREAD]

    def check(self, *arrays, target=True):
        """Inputs (and the target) in the shapes of this network; ValueError if they do not suit."""
        wanted = self.wanted(target)
        if len(arrays) != len(wanted):
            names = ", ".join(name for name, *_ in wanted)
            raise ValueError(f"{len(arrays)} arrays; this network wants {len(wanted)}: {names}")
        checked = [check(array, *row) for array, row in zip(arrays, wanted, strict=True)]
        if len({len(array) for array in checked}) > 1:
            sizes = ", ".join(f"{row[0]} {len(a)}" for a, row in zip(checked, wanted, strict=True))
            raise ValueError(f"different numbers of samples: {sizes}")
        return checked

    # ---- inside ----

    def _take(self, kind, name):
        place, sizes = self._places[name]
        return copy_out(self._flat[kind][place]).reshape(sizes)

    def _put(self, kind, name, array):
        place, sizes = self._places[name]
        values = np.asarray(array, real).reshape(-1)  # or one for all
        copy_in(self._flat[kind][place], np.broadcast_to(values, math.prod(sizes)))

    def _needs_recipe(self):
        if self.LR is None:
            raise RuntimeError("this network has no recipe: its file has no train section")

    def _batches(self, arrays, target=True):
        """Checked arrays in batches, copied to where the kernels find them."""
        names = [name for name, *_ in self.wanted(target)]
        for start in range(0, len(arrays[0]), self.batch):
            t = self._bind(min(self.batch, len(arrays[0]) - start))
            for name, array in zip(names, arrays, strict=True):
                copy_in(t.values[name], array[start : start + t.count])
            yield t

    def _bind(self, count):
        """Every tensor of a batch of ``count`` samples, in the shapes that kernels want."""
        if count not in self._bound:
            t = SimpleNamespace(count=count, values={}, memory={}, programs={})
            for name, _, _, batched, lies in self.VALUES:
                whole = self._values[name]
                array = whole[:count] if batched and lies != "across" else whole
                t.memory[name] = array.reshape(-1)
                t.values[name] = np.moveaxis(array, -1, 1) if lies == "last" else array
            for name, host, first, channels in self.PLACES:
                t.memory[name] = t.memory[host][first:]
                t.values[name] = t.values[host][:, first : first + channels]
            self.bind(t)
            # Few sizes come again and again: whole batches, and the last ones of an epoch.
            self._bound = {**dict(list(self._bound.items())[-3:]), count: t}
        return self._bound[count]

    def _prepared(self, t):
        """See to it that what evaluation reads of the weights is that of these weights."""
        if not self._ready and hasattr(self, "prepare_pass"):
            self._run(t, "prepare_pass")
        self._ready = True

    def _run(self, t, *passes, lr=0.0):
        """Run passes over a batch; what they call is recorded the first time."""
        if passes not in t.programs:
            t.programs[passes] = record([getattr(self, p) for p in passes], t, self.threads)
        t.programs[passes].run({"lr": lr, "seed": self.seed, "step": self.step})

    def _loss(self, t, names):
        return sum(float(copy_out(t.values[name])[0]) for name in names)


TYPES = {"real": real, "int": np.int32}


def extent(batch, sizes, batched, lies):
    """The sizes of a tensor in memory, for so many samples.

    Channels may lie ``last``, or whole blocks of images ``across`` the lanes of vectors.
    """
    if lies == "across":
        return (-(-batch // LANES) * LANES * math.prod(sizes),)
    if lies == "last":
        sizes = (*sizes[1:], sizes[0])
    return (batch, *sizes) if batched else tuple(sizes)
