"""`nn.utils.prune` masks what PyTorch masks, and refuses what it refuses, in its words."""

import pytest

from tests.torch.nn.sources import assert_prints_the_same

START = """
import importlib
prune = importlib.import_module(torch.__name__ + ".nn.utils.prune")
torch.manual_seed(0)
net = nn.Sequential(nn.Conv2d(2, 4, 3), nn.Flatten(), nn.Linear(4, 3))
conv, last = net[0], net[2]
x = torch.ones(1, 2, 3, 3)
def state():
    print({k: v for k, v in net.state_dict().items() if k.startswith("2") or "mask" in k})
    print([n for n, _ in net.named_parameters()], type(conv.weight).__name__, net(x), prune.is_pruned(net))
"""
PROGRAMS = [
    "prune.random_unstructured(conv, 'weight', amount=0.3); state()",
    "prune.random_unstructured(last, name='weight', amount=5); state()",
    "prune.random_structured(conv, 'weight', amount=2, dim=0); state()",
    "prune.random_structured(last, 'weight', amount=0, dim=1); state()",
    "prune.l1_unstructured(last, 'bias', amount=1); prune.l1_unstructured(conv, 'weight', 0.25); state()",
    "prune.l1_unstructured(last, 'weight', 4, importance_scores=torch.arange(12.).reshape(3, 4)); state()",
    "prune.ln_structured(conv, 'weight', amount=0.5, n=2, dim=0); state()",
    "prune.ln_structured(last, 'weight', amount=1, n=float('inf'), dim=-1); state()",
    "prune.identity(last, 'weight'); state()",
    "prune.custom_from_mask(last, 'bias', torch.tensor([1, 0, 1])); state()",
    "prune.random_unstructured(conv, 'weight', 0.3); prune.ln_structured(conv, 'weight', 0.5, n=2, dim=0); state()\n"
    "prune.l1_unstructured(conv, 'weight', 5); state(); hook = list(conv._forward_pre_hooks.values())[0]\n"
    "print(len(hook), [type(each).__name__ for each in hook], type(hook[1]).__name__); print(list(conv._forward_pre_hooks.values()), last._forward_hooks)",
    "prune.global_unstructured([(conv, 'weight'), (last, 'weight')], pruning_method=prune.L1Unstructured, amount=0.4); state()",
    "prune.global_unstructured([(conv, 'weight'), (last, 'bias')], prune.RandomUnstructured, amount=9); state()",
    "prune.l1_unstructured(last, 'weight', 3); before = last.weight; prune.remove(last, 'weight'); state(); print(last.weight)",
    "prune.l1_unstructured(last, 'weight', 3)\nnet(x).sum().backward(); print(last.weight_orig.grad, last.weight.grad_fn)",
    "class Every(prune.BasePruningMethod):\n    PRUNING_TYPE = 'unstructured'\n"
    "    def compute_mask(self, t, default_mask):\n        mask = default_mask.clone(); mask.view(-1)[::2] = 0; return mask\n"
    "Every.apply(last, 'bias'); state(); print(Every().prune(torch.arange(4.)))",
    "prune.l1_unstructured(last, 'weight', 'a')",
    "prune.l1_unstructured(last, 'weight', 1.5)",
    "prune.l1_unstructured(last, 'weight', -1)",
    "prune.l1_unstructured(last, 'weight', 13)",
    "prune.ln_structured(last, 'bias', 1, n=1, dim=0)",
    "prune.ln_structured(last, 'weight', 1, n=1, dim=2)",
    "prune.remove(last, 'weight')",
    "prune.global_unstructured(3, prune.L1Unstructured)",
    "prune.global_unstructured([(last, 'weight')], prune.LnStructured, amount=1, n=1)",
    "prune.custom_from_mask(last, 'bias', torch.ones(2))",
    "prune.l1_unstructured(last, 'weight', 1, importance_scores=torch.ones(2))",
]


@pytest.mark.parametrize("text", PROGRAMS)
def test_a_pruned_module_prints_what_it_prints_on_pytorch(text):
    assert_prints_the_same(START + text)
