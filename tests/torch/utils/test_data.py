"""`torch.utils.data`: the same samples, batches, order, seeds and errors as PyTorch's, one program on both sides."""

import gc
import random
import threading
import time
import warnings
from collections import namedtuple

import numpy as np
import pytest

from tests.both_sides import assert_same, ours, theirs

Point = namedtuple("Point", "x y")


def squares(torch, n=10):
    class Squares(torch.utils.data.Dataset):
        def __len__(self):
            return n

        def __getitem__(self, k):
            if k >= n:
                raise IndexError(k)
            return torch.tensor(float(k)), k * k

    return Squares()


def counting(torch, n=7):
    class Counting(torch.utils.data.IterableDataset):
        start, end = 0, n

        def __iter__(self):
            info = torch.utils.data.get_worker_info()
            step = 1 if info is None else info.num_workers
            first = self.start + (0 if info is None else info.id)
            return iter(range(first, self.end, step))

    return Counting()


def noisy(torch, n=6):
    class Noisy(torch.utils.data.Dataset):
        def __len__(self):
            return n

        def __getitem__(self, k):
            info = torch.utils.data.get_worker_info()
            seed = -1 if info is None else info.seed
            return torch.rand(1), random.random(), np.random.rand(), seed  # noqa: NPY002

    return Noisy()


def failing(torch):
    class Failing(torch.utils.data.Dataset):
        def __len__(self):
            return 3

        def __getitem__(self, k):
            if k == 1:
                raise KeyError("the second")
            return k

    return Failing()


def loader(torch, dataset, **options):
    warnings.filterwarnings("ignore", "os.fork", RuntimeWarning)  # JAX's, of PyTorch's workers
    if "generator" in options:
        options["generator"] = torch.Generator().manual_seed(options["generator"])
    return torch.utils.data.DataLoader(dataset(torch), **options)


OPTIONS = [
    {},
    {"batch_size": 4},
    {"batch_size": 4, "drop_last": True},
    {"batch_size": 3, "shuffle": True},
    {"batch_size": 3, "shuffle": True, "generator": 5},
    {"batch_size": None},
    {"batch_size": 3, "shuffle": True, "num_workers": 2},
    {"batch_size": 2, "num_workers": 1, "persistent_workers": True, "shuffle": True},
]
# Processes cannot pickle these classes, so PyTorch's workers are forked, as they are on Linux without asking.


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("dataset", [squares, noisy], ids=lambda each: each.__name__)
def test_batches_come_in_pytorchs_order(dataset, options):
    def program(torch, see):
        torch.manual_seed(1)
        random.seed(1)
        np.random.seed(1)  # noqa: NPY002
        batches = loader(torch, dataset, **options)
        see(len(batches))
        for _ in range(2):
            for batch in batches:
                see(*batch)
        see(torch.rand(2), random.random(), np.random.rand())  # noqa: NPY002

    assert_same(program)


@pytest.mark.parametrize("workers", [0, 1, 2, 3])
@pytest.mark.parametrize("size", [None, 1, 2, 5])
def test_streams_are_divided_among_workers(size, workers):
    def program(torch, see):
        torch.manual_seed(0)
        batches = loader(torch, counting, batch_size=size, num_workers=workers)
        see([getattr(each, "tolist", lambda each=each: each)() for each in batches])

    assert_same(program)


def test_worker_init_changes_a_workers_own_dataset():
    def program(torch, see):
        class Range(torch.utils.data.IterableDataset):
            start, end = 0, 8

            def __iter__(self):
                return iter(range(self.start, self.end))

        def divide(number):
            info = torch.utils.data.get_worker_info()
            info.dataset.start, info.dataset.end = 4 * number, 4 * number + 4

        warnings.filterwarnings("ignore", "os.fork", RuntimeWarning)
        dataset = Range()
        made = torch.utils.data.DataLoader(dataset, num_workers=2, worker_init_fn=divide)
        see([each.item() for each in made], dataset.start, dataset.end)

    assert_same(program)


def test_an_error_in_a_worker_says_where_it_was():
    for torch in (theirs, ours):
        warnings.filterwarnings("ignore", "os.fork", RuntimeWarning)
        batches = iter(torch.utils.data.DataLoader(failing(torch), num_workers=1))
        assert next(batches).tolist() == [0]
        with pytest.raises(KeyError) as error:
            next(batches)
        lines = str(error.value).splitlines()
        assert lines[0] == "Caught KeyError in DataLoader worker process 0."
        assert lines[1] == "Original Traceback (most recent call last):"
        assert lines[-1] == "KeyError: 'the second'"
        assert next(batches).tolist() == [2]


REFUSED = [
    {"batch_size": 0},
    {"batch_size": 1.5},
    {"num_workers": -1},
    {"timeout": -1},
    {"prefetch_factor": 2},
    {"prefetch_factor": -1, "num_workers": 1},
    {"persistent_workers": True},
    {"shuffle": True, "sampler": [1, 2]},
    {"batch_sampler": [[1], [2]], "batch_size": 2},
    {"batch_size": None, "drop_last": True},
    {"multiprocessing_context": "spawn"},
    {"num_workers": 1, "multiprocessing_context": "nothing"},
    {"num_workers": 1, "multiprocessing_context": 3},
    {"drop_last": 1},
]


@pytest.mark.parametrize("options", REFUSED, ids=str)
def test_wrong_options_are_refused_in_pytorchs_words(options):
    assert_same(lambda torch, see: loader(torch, squares, **options))


@pytest.mark.parametrize(
    "options", [{"shuffle": True}, {"sampler": 1}, {"batch_sampler": 1}], ids=str
)
def test_a_stream_has_no_order_to_choose(options):
    assert_same(lambda torch, see: loader(torch, counting, **options))


def test_warnings_are_pytorchs():
    def program(torch, see):
        list(loader(torch, squares, pin_memory=True))
        torch.utils.data.random_split(range(3), [0.9, 0.1, 0.0])
        stream = counting(torch)
        type(stream).__len__ = lambda self: 3
        batches = torch.utils.data.DataLoader(stream, batch_size=None)
        see(len(batches), list(batches)[-1])

    def quiet(torch, see):
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            program(torch, see)
        see([str(each.message).split(" object at ")[0] for each in found])

    assert_same(quiet)


SAMPLERS = [
    "data.SequentialSampler(range(5))",
    "data.RandomSampler(range(5))",
    "data.RandomSampler(range(5), num_samples=12)",
    "data.RandomSampler(range(5), True, 70)",
    "data.RandomSampler(range(5), generator=torch.Generator().manual_seed(3))",
    "data.RandomSampler(range(5), replacement=1)",
    "data.RandomSampler([])",
    "data.RandomSampler(range(5), num_samples=-1)",
    "data.SubsetRandomSampler([5, 7, 9])",
    "data.WeightedRandomSampler([0.1, 0.9, 3.0], 6)",
    "data.WeightedRandomSampler([0.1, 0.9, 3.0], 3, replacement=False)",
    "data.WeightedRandomSampler([0.1, 0.9], 0)",
    "data.WeightedRandomSampler([[0.1]], 1)",
    "data.WeightedRandomSampler([0.1], 1, 2)",
    "data.BatchSampler(range(7), 3, True)",
    "data.BatchSampler(data.RandomSampler(range(7)), 3, False)",
    "data.BatchSampler(range(7), True, False)",
    "data.BatchSampler(range(7), 2, 0)",
    "data.DistributedSampler(range(10), 3, 1)",
    "data.DistributedSampler(range(10), 3, 1, drop_last=True)",
    "data.DistributedSampler(range(10), 3, 3)",
]


@pytest.mark.parametrize("text", SAMPLERS)
def test_samplers(text):
    def program(torch, see):
        torch.manual_seed(2)
        made = eval(text, {"torch": torch, "data": torch.utils.data})
        see(len(made), list(made), list(made), torch.rand(1))

    assert_same(program)


DATASETS = [
    "T(a, b)[1]",
    "T(a, b)[torch.tensor([0, 2])]",
    "T(a, b)[1:]",
    "len(T(a))",
    "T(a, torch.ones(2))",
    "(T(a) + T(b))[4]",
    "(T(a) + T(b))[-1]",
    "(T(a) + T(b))[-7]",
    "(T(a) + T(b)).cumulative_sizes",
    "data.ConcatDataset([])",
    "data.Subset(T(a, b), [2, 0])[0]",
    "data.Subset(T(a, b), [2, 0]).__getitems__([1, 0])",
    "data.StackDataset(T(a), T(b))[1]",
    "data.StackDataset(x=T(a), y=T(b))[1]",
    "data.StackDataset(x=T(a), y=T(b)).__getitems__([1, 2])",
    "data.StackDataset(T(a), y=T(b))",
    "data.StackDataset()",
    "data.StackDataset(T(a), T(a[:2]))",
    "data.Dataset()[0]",
    "[p.indices for p in data.random_split(range(10), [3, 7])]",
    "[p.indices for p in data.random_split(range(11), [0.3, 0.3, 0.4])]",
    "[p.indices for p in data.random_split(range(9), [4, 5], generator=torch.Generator().manual_seed(1))]",
    "data.random_split(range(10), [3, 6])",
    "data.random_split(range(10), [1.5, -0.5])",
    "list(data.ChainDataset([T(a)]))",
]


@pytest.mark.parametrize("text", DATASETS)
def test_datasets(text):
    def program(torch, see):
        torch.manual_seed(2)
        data = torch.utils.data
        scope = {
            "a": torch.arange(3.0),
            "b": torch.arange(6).reshape(3, 2),
            "T": data.TensorDataset,
        }
        see(eval(text, {"torch": torch, "data": data, **scope}))

    assert_same(program)


SAMPLES = [
    "[1, 2]",
    "[1.0, 2.0]",
    "[True, False]",
    "['a', 'b']",
    "[(1, 'a'), (2, 'b')]",
    "[[1, 2.0], [3, 4.0]]",
    "[{'x': 1, 'y': (1, 2)}, {'x': 2, 'y': (3, 4)}]",
    "[Point(1, 2.0), Point(3, 4.0)]",
    "[np.ones(2), np.zeros(2)]",
    "[np.float32(1), np.float32(2)]",
    "[np.int64(1), np.int64(2)]",
    "[torch.ones(2), torch.zeros(2)]",
    "[torch.ones(2), torch.zeros(3)]",
    "[(1, 2), (3,)]",
    "[None, None]",
    "[np.array(['a']), np.array(['b'])]",
    "[object(), object()]",
]


@pytest.mark.parametrize("text", SAMPLES)
@pytest.mark.parametrize("name", ["default_collate", "default_convert"])
def test_collating(text, name):
    def program(torch, see):
        batch = eval(text, {"torch": torch, "np": np, "Point": Point})
        made = getattr(torch.utils.data, name)(batch)
        see(str(made) if "array(['a'])" in text else made)

    assert_same(program)


def test_a_loader_keeps_its_settings():
    def program(torch, see):
        made = loader(torch, squares, batch_size=2)
        made.batch_size = 3

    assert_same(program)


def test_a_fraction_of_a_tensor_dataset_is_taken_in_one_go():
    def program(torch, see):
        data = torch.utils.data
        torch.manual_seed(0)
        whole = data.TensorDataset(torch.arange(10.0), torch.arange(20).reshape(10, 2))
        train, test = data.random_split(whole, [7, 3])
        for part in (train, test):
            for x, y in data.DataLoader(part, batch_size=4, shuffle=True):
                see(x, y)

    assert_same(program)


class Function(ours.utils.data.Dataset):
    """A dataset whose samples are a function of their index."""

    def __init__(self, function, n):
        self.function, self.n = function, n

    def __len__(self):
        return self.n

    def __getitem__(self, k):
        return self.function(k)


def end_soon(workers):
    """Whether the threads of a loader's iterator end."""
    end = time.monotonic() + 20
    while any(each.is_alive() for each in workers):
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def test_a_batch_that_takes_too_long_is_an_error():
    made = ours.utils.data.DataLoader(
        Function(lambda k: time.sleep(0.05), 1), num_workers=1, timeout=0.01
    )
    with pytest.raises(RuntimeError, match=r"DataLoader timed out after 0\.01 seconds"):
        next(iter(made))


def test_workers_work_at_the_same_time_and_ahead():
    together = threading.Barrier(2)

    def sample(k):
        if k >= 2:  # after each worker's first
            together.wait(timeout=60)
        return k, threading.get_ident()

    batches = iter(ours.utils.data.DataLoader(Function(sample, 6), num_workers=2))
    before = set(threading.enumerate())
    assert [next(batches)[0].item() for _ in range(2)] == [0, 1]
    workers = set(threading.enumerate()) - before
    assert len(workers) == 2
    end = time.monotonic() + 60
    while not all(task.future.done() for task in batches._sent) and time.monotonic() < end:
        time.sleep(0.01)
    assert [task.future.done() for task in batches._sent] == [True] * 4
    rest = list(batches)
    assert [k.item() for k, _ in rest] == [2, 3, 4, 5]
    threads = [thread.item() for _, thread in rest]
    assert threads[:2] == threads[2:]
    assert threads[0] != threads[1]
    assert end_soon(workers)


def test_an_iterator_that_is_dropped_leaves_no_thread():
    for persistent in (False, True):
        before = set(threading.enumerate())
        made = ours.utils.data.DataLoader(
            Function(ours.tensor, 9), num_workers=2, persistent_workers=persistent
        )
        assert next(iter(made)).tolist() == [0]
        workers = set(threading.enumerate()) - before
        assert workers or not persistent
        del made
        gc.collect()
        assert end_soon(workers)


def test_a_first_draw_that_comes_late_is_told():
    def sample(k):
        if k == 2:
            time.sleep(0.2)  # the loader waits by then
        return random.random() if k >= 2 else 0.0

    with pytest.warns(UserWarning, match="drew from random or numpy.random"):
        drawn = [
            each.item() for each in ours.utils.data.DataLoader(Function(sample, 8), num_workers=1)
        ]
    assert len(set(drawn)) == 7


def test_workers_left_in_the_middle_of_an_epoch_finish_it_first():
    def program(torch, see):
        torch.manual_seed(3)
        made = loader(torch, noisy, num_workers=2, persistent_workers=True, shuffle=True)
        for _ in range(2):
            for k, batch in enumerate(made):
                see(*batch)
                if k == 1:
                    break
        see(torch.rand(1))

    assert_same(program)


def test_workers_have_their_own_containers_and_the_modes_of_their_loader():
    def program(torch, see):
        class Remembering(torch.utils.data.Dataset):
            def __init__(self):
                self.seen, self.weight = [], torch.ones(1, requires_grad=True)

            def __len__(self):
                return 4

            def __getitem__(self, k):
                self.seen.append(k)
                return len(self.seen), (self.weight * k).requires_grad

        def seeded(number):
            assert torch.utils.data.get_worker_info().id == number
            random.seed(torch.initial_seed() % 2**32)
            drawn = torch.rand(1)
            assert drawn.item() < 1

        warnings.filterwarnings("ignore", "os.fork", RuntimeWarning)
        dataset = Remembering()
        torch.manual_seed(0)
        with torch.no_grad():
            for batch in torch.utils.data.DataLoader(dataset, num_workers=2, worker_init_fn=seeded):
                see(*batch)
        see(dataset.seen)

    assert_same(program)


class Drawn:
    """Samples of all streams, for processes: they import it."""

    def __len__(self):
        return 4

    def __getitem__(self, k):
        if k == 3:
            raise ValueError("the last")
        return random.random(), np.random.rand(), ours.rand(1), ours.utils.data.get_worker_info().id  # noqa: NPY002


def test_processes_that_are_spawned_give_the_batches_of_threads():
    seen = []
    for context in (None, "spawn"):
        ours.manual_seed(2)
        made = ours.utils.data.DataLoader(Drawn(), num_workers=1, multiprocessing_context=context)
        batches = iter(made)
        seen.append([[each.tolist() for each in next(batches)] for _ in range(3)])
        with pytest.raises(ValueError, match="Caught ValueError in DataLoader worker process 0"):
            next(batches)
    assert seen[0] == seen[1]
