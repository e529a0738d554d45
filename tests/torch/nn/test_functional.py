"""Activations, losses, dropout and embeddings compute what PyTorch's compute; nodes, gradients, kinks and errors included."""

import pytest

from tests.both_sides import assert_same, attempt
from tests.torch.nn.sources import assert_prints_the_same, assert_sees_the_same

# Each function at its kinks, at NaN and at infinity, in place too, and in each dtype.
ACTIVATIONS = [
    *(
        f"F.{name}(x)"
        for name in ["gelu", "sigmoid", "tanh", "softplus", "softsign", "tanhshrink", "softshrink"]
    ),
    *(
        f"F.{name}(x)"
        for name in ["relu6", "leaky_relu", "elu", "selu", "celu", "hardtanh", "hardsigmoid"]
    ),
    *(f"F.{name}(x)" for name in ["hardswish", "silu", "mish", "rrelu", "hardshrink", "relu"]),
    *(
        f"F.{name}(x, inplace=True)"
        for name in ["relu6", "leaky_relu", "elu", "selu", "celu", "hardtanh", "relu"]
    ),
    *(
        f"F.{name}(x, inplace=True)"
        for name in ["hardsigmoid", "hardswish", "silu", "mish", "rrelu"]
    ),
    "F.threshold(x, 0.5, 20)",
    "F.threshold(x, 0.5, -3.0, inplace=True)",
    "F.leaky_relu(x, 0.2, True)",
    "F.hardtanh(x, -2, 2)",
    "F.elu(x, 0.5)",
    "F.celu(x, alpha=2.0)",
    "F.softplus(x, beta=2, threshold=3)",
    "F.softshrink(x, 1.0)",
    "F.gelu(x, approximate='tanh')",
    "F.glu(x[:16].reshape(4, 4), 0)",
    "F.prelu(x, torch.tensor([0.3]))",
    "F.softmax(x[:8].reshape(2, 4), 1)",
    "F.log_softmax(x[:8].reshape(2, 4), -1)",
    "F.softmin(x[:8].reshape(2, 4), 1)",
    "F.normalize(x[:8].reshape(2, 4))",
    "F.rrelu(x[:14], training=True)",
    "torch.selu(x)",
    "torch.celu_(x)",
    "F.elu_(x)",
]


@pytest.mark.parametrize("call", ACTIVATIONS)
def test_an_activation_is_pytorchs_at_its_kinks(call):
    assert_prints_the_same(f"""
        w = torch.tensor([-7.0, -3.0, -1.5, -1.0, -0.5, -0.25, 0.0, 0.5, 1.0, 1.5, 3.0, 4.0, 6.0, 7.0, float("nan"),
                          float("inf"), -float("inf")], requires_grad=True)
        x = w * 1
        y = {call}
        print(y.grad_fn.name(), y is x, [n if n != n else round(n, 3) + 0.0 for n in y.flatten().tolist()])
        y.sum().backward()
        print([n if n != n else round(n, 3) + 0.0 for n in w.grad.tolist()])
        for dtype in (torch.int64, torch.bool, torch.complex64, torch.float64, torch.float16):
            x = torch.ones(17, dtype=dtype)
            try:
                print(({call}).dtype)
            except Exception as error:
                print(type(error).__name__, error)
    """)


LOSSES = [
    "F.mse_loss(x, t{})",
    "F.mse_loss(x, t, weight=v{})",
    "F.l1_loss(x, t{})",
    "F.l1_loss(x, t, weight=v{})",
    "F.smooth_l1_loss(x, t{})",
    "F.smooth_l1_loss(x, t, beta=0.5{})",
    "F.smooth_l1_loss(x, t, beta=0.0{})",
    "F.huber_loss(x, t{})",
    "F.huber_loss(x, t, delta=0.3{})",
    "F.cross_entropy(x, c{})",
    "F.cross_entropy(x, c, ignore_index=1{})",
    "F.cross_entropy(x, c, weight=v[0]{})",
    "F.cross_entropy(x, c, weight=v[0], ignore_index=1, label_smoothing=0.2{})",
    "F.cross_entropy(x, c, label_smoothing=0.2{})",
    "F.cross_entropy(x, c.byte(){})",
    "F.cross_entropy(x, v{})",
    "F.cross_entropy(x, v, weight=v[1], label_smoothing=0.1{})",
    "F.cross_entropy(x[0], c[0]{})",
    "F.cross_entropy(x.reshape(1, 4, 3), c[None]{})",
    "F.cross_entropy(x.reshape(1, 4, 3, 1), c[None, :, None]{})",
    "F.cross_entropy(x.reshape(1, 4, 3, 1, 1), c[None, :, None, None]{})",
    "F.nll_loss(x, c{})",
    "F.nll_loss(x, c, weight=v[0], ignore_index=0{})",
    "F.binary_cross_entropy(p, v{})",
    "F.binary_cross_entropy(p, v, weight=v[0]{})",
    "F.binary_cross_entropy(p.round(), v.round(){})",
    "F.binary_cross_entropy_with_logits(x, v{})",
    "F.binary_cross_entropy_with_logits(x * 100, v, v[0], pos_weight=v[1]{})",
    "F.kl_div(x, v{})",
    "F.kl_div(x, t, log_target=True{})",
    "F.poisson_nll_loss(x, v * 9{})",
    "F.poisson_nll_loss(p, v * 9, log_input=False, full=True{})",
    "F.gaussian_nll_loss(x, t, p{})",
    "F.gaussian_nll_loss(x, t, p[:, :1], full=True{})",
    "F.gaussian_nll_loss(x, t, 0.5{})",
    "F.cosine_embedding_loss(x, t, s{})",
    "F.cosine_embedding_loss(x[0], t[0], s[0], margin=0.1{})",
    "F.hinge_embedding_loss(x, s[:, None]{})",
    "F.margin_ranking_loss(x[:, 0], t[:, 0], s, margin=0.3{})",
    "F.triplet_margin_loss(x, t, v{})",
    "F.triplet_margin_loss(x, t, v, p=1, swap=True, margin=3{})",
    "F.triplet_margin_with_distance_loss(x, t, v, distance_function=lambda a, b: (a - b).abs().sum(-1){})",
    "F.multi_margin_loss(x, c{})",
    "F.multi_margin_loss(x, c, p=2, margin=0.5, weight=v[0]{})",
    "F.multi_margin_loss(x[0], c[0]{})",
    "F.multilabel_margin_loss(x, torch.tensor([[3, 0, -1, 1], [0, -1, 2, 3], [-1, 0, 0, 0]]){})",
    "F.multilabel_soft_margin_loss(x, v.round(){})",
    "F.multilabel_soft_margin_loss(x, v, v[0]{})",
    "F.soft_margin_loss(x, v.round() * 2 - 1{})",
]


@pytest.mark.parametrize("call", LOSSES)
def test_a_loss_and_its_gradients_are_pytorchs(call):
    calls = [call.format(f", reduction='{kind}'") for kind in ("mean", "sum", "none")]
    program = """
        torch.manual_seed(1)
        x, t, v = torch.randn(3, 4, requires_grad=True), torch.randn(3, 4), torch.rand(3, 4)
        p = torch.rand(3, 4, requires_grad=True)
        c, s = torch.tensor([1, 0, 3]), torch.tensor([1.0, -1.0, 1.0])
        y = {}
        see(y)
        (y * y).sum().backward()
        see(x.grad, p.grad)
    """
    assert_sees_the_same("".join(program.format(each) for each in calls))


REFUSED = [
    "F.mse_loss(x, t[:2])",
    "F.mse_loss(x, t[0])",
    "F.mse_loss(x, t, reduction='x')",
    "F.mse_loss(c, c)",
    "F.mse_loss(x, t.double())",
    "F.mse_loss(x, t, size_average=False)",
    "F.mse_loss(x, t, reduce=False)",
    "F.mse_loss(x, t, weight=t[0])",
    "F.l1_loss(x, t[0])",
    "F.smooth_l1_loss(x, t, beta=-1.0)",
    "F.huber_loss(x, t, delta=-1.0)",
    "F.cross_entropy(x, c[:2])",
    "F.cross_entropy(x, c + 3)",
    "F.cross_entropy(x, c - 3)",
    "F.cross_entropy(x, c.float())",
    "F.cross_entropy(x, c.int())",
    "F.cross_entropy(x, c[:, None])",
    "F.cross_entropy(x, c, weight=t[:, 0])",
    "F.cross_entropy(x, v, weight=t[:, 0])",
    "F.cross_entropy(x, c, weight=t[0].double())",
    "F.cross_entropy(x, c, label_smoothing=2.0)",
    "F.cross_entropy(x, v, ignore_index=2)",
    "F.cross_entropy(x[0], c)",
    "F.cross_entropy(x, [1, 2, 3])",
    "F.cross_entropy(t.long(), c)",
    "F.cross_entropy(torch.ones(2, 4, 3, 5), torch.ones(3, 3, 5).long())",
    "F.nll_loss(torch.ones(2, 4, 3), torch.ones(2, 2).long())",
    "F.nll_loss(torch.ones(2, 4, 3, 5), torch.ones(2, 2, 5).long())",
    "F.nll_loss(torch.ones(2, 4, 3, 5), torch.ones(2, 5).long())",
    "F.nll_loss(t.long(), c)",
    "F.cross_entropy(x, c * 0, ignore_index=0)",
    "F.binary_cross_entropy(p, v[0])",
    "F.binary_cross_entropy(x, v)",
    "F.binary_cross_entropy(p, v * 2)",
    "F.binary_cross_entropy(p, v.long())",
    "F.binary_cross_entropy(p, v, weight=v[:2])",
    "F.binary_cross_entropy_with_logits(x, v[0])",
    "F.binary_cross_entropy_with_logits(x, v.long())",
    "F.kl_div(x, v, reduction='y')",
    "F.kl_div(x, v, reduction='batchmean')",
    "F.gaussian_nll_loss(x, v, -v)",
    "F.gaussian_nll_loss(x, v, v[:2])",
    "F.gaussian_nll_loss(x, v, v, reduction='y')",
    "F.cosine_embedding_loss(x, t[:2], s)",
    "F.cosine_embedding_loss(x, t, s[:2])",
    "F.cosine_embedding_loss(x[0], t[0], s)",
    "F.cosine_embedding_loss(x, t, v)",
    "F.margin_ranking_loss(x, t, s)",
    "F.multi_margin_loss(x, c[:2])",
    "F.multi_margin_loss(x, c, p=3)",
    "F.multi_margin_loss(x, c + 4)",
    "F.multi_margin_loss(x, c, weight=t[:, 0])",
    "F.triplet_margin_loss(x, t[0], v[0])",
    "F.triplet_margin_loss(x, t, v, margin=-1)",
    "F.multilabel_margin_loss(x, c)",
    "F.multilabel_margin_loss(x, torch.tensor([[3, 0, -1, 9]] * 3))",
    "F.multilabel_soft_margin_loss(x, v[:2])",
    "F.soft_margin_loss(x, v[:2])",
    "F.softmax(x)",
    "F.log_softmax(x[0])",
    "F.glu(torch.ones(3, 3))",
    "F.gelu(x, approximate='x')",
    "F.prelu(x, torch.ones(3))",
    "F.prelu(x, torch.ones(2, 2))",
    "F.prelu(x, torch.ones(1).double())",
    "F.softshrink(x, -1.0)",
    "F.dropout(x, -0.1)",
    "F.dropout(x, 1.1)",
    "torch.dropout(x, 1.1, True)",
    "F.dropout1d(torch.ones(3))",
    "F.embedding(c.float(), v)",
    "F.embedding(c.bool(), v)",
    "F.embedding(c + 4, v)",
    "F.embedding(c - 1, v)",
    "F.embedding(c, v[0])",
    "F.embedding(c, v, padding_idx=9)",
    "F.embedding([1], v)",
    "F.embedding_bag(c, v)",
    "F.embedding_bag(c[None], v, c)",
    "F.embedding_bag(c, v, torch.tensor([0, 1]), mode='x')",
    "F.embedding_bag(c[None], v, per_sample_weights=torch.ones(1, 3))",
    "F.embedding_bag(c[None], v, per_sample_weights=torch.ones(1, 2), mode='sum')",
    "F.embedding_bag(c[None, None], v)",
    "F.embedding_bag(c + 4, v, torch.tensor([0]))",
    "F.one_hot(c, 3)",
    "F.one_hot(c - 1)",
    "F.one_hot(c.float())",
    "F.one_hot(torch.ones(0).long())",
    "F.cosine_similarity(x, t[:2])",
    "F.cosine_similarity(c, c, 0)",
    "F.cosine_similarity(torch.tensor(2.0), torch.tensor(-3.0), 0)",
    "F.pairwise_distance(x, t[:2])",
    "F.pairwise_distance(x > 0, t)",
    "F.embedding_bag(v, c[None])",
    "F.margin_ranking_loss(x, t, x > 0)",
    "F.soft_margin_loss(x[0, 0], t)",
    "F.multilabel_soft_margin_loss(x, t > 0)",
    "F.cosine_similarity(x, t, eps=-1.0)",
    "F.cosine_similarity(x, t + 0j)",
    "torch.dist(x > 0, t)",
    "F.pad(x[None, :1], (-1, 4), 'circular')",
    "F.l1_loss(x, t, 'mean')",
]


@pytest.mark.parametrize("call", REFUSED)
def test_a_refusal_and_a_warning_have_pytorchs_words(call):
    assert_prints_the_same(f"""
        x, t, v, p = torch.randn(3, 4), torch.randn(3, 4), torch.rand(3, 4), torch.rand(3, 4)
        c, s = torch.tensor([1, 0, 3]), torch.tensor([1.0, -1.0, 1.0])
        print(torch.round({call}, decimals=3))
    """)


OTHERS = [
    "print(F.pad(torch.arange(16.0).reshape(1, 1, 4, 4), (-1, 1, -2, 1), 'circular'), F.pad(torch.arange(4.0).reshape(1, 1, 4), (3, -1), 'circular'))",
    "i = torch.tensor([1, 3], dtype=torch.uint8); x = torch.tensor([1.0, -2.0]); print(F.margin_ranking_loss(x, -x, i), F.multilabel_soft_margin_loss(x, i), F.multilabel_soft_margin_loss(x, i.float(), weight=torch.tensor([[1.0, 2.0]])))",
    "x = torch.ones(3, 5, requires_grad=True); y = F.dropout(x, 0.3); print(y, y.grad_fn.name()); y.sum().backward(); print(x.grad, torch.rand(1))",
    "x = torch.ones(3, 5); print(F.dropout(x, 0.3, False) is x, F.dropout(x, 0.0) is x, F.dropout(x, 1.0), F.dropout(x.t(), 0.4))",
    "x = torch.ones(3, 5); y = F.dropout(x, 0.3, inplace=True); print(y is x, x)",
    "x = torch.ones(2, 3, 4, requires_grad=True); print(F.alpha_dropout(x, 0.4, True)); print(F.feature_alpha_dropout(x, 0.4, True)); print(F.alpha_dropout(x, 1.0, True))",
    "print(F.dropout1d(torch.ones(2, 3, 4), 0.4), F.dropout1d(torch.ones(3, 4)), F.dropout2d(torch.ones(2, 3, 2, 2)), F.dropout3d(torch.ones(3, 2, 1, 2)))",
    "print(F.dropout2d(torch.ones(2, 3, 2)), F.dropout2d(torch.ones(2, 3)))",
    "m = nn.Dropout(0.2); print(m, m(torch.ones(4))); m.eval(); print(m(torch.ones(4)))",
    "m = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Dropout(0.5), nn.AlphaDropout(0.2)); print(m(torch.ones(2, 3)), torch.rand(2))",
    "nn.Dropout(1.5)",
    "w = torch.randn(5, 3, requires_grad=True); y = F.embedding(torch.tensor([[1, 0], [4, 1]]), w, padding_idx=4); print(y); y.sum().backward(); print(w.grad)",
    "w = torch.randn(5, 3, requires_grad=True); y = F.embedding(torch.tensor([1, 1, 4]), w, scale_grad_by_freq=True); y.sum().backward(); print(w.grad)",
    "w = torch.randn(5, 3) * 5; print(F.embedding(torch.tensor([1, 1, 4]), w, max_norm=1.0)); print(w)",
    "m = nn.Embedding(5, 3, padding_idx=-1, max_norm=1.0, norm_type=1.0, scale_grad_by_freq=True); print(m, m.weight, m(torch.tensor([1, 4])))",
    "m = nn.Embedding.from_pretrained(torch.ones(2, 3)); print(m, m.weight, nn.Embedding.from_pretrained(torch.ones(2, 3), freeze=False).weight)",
    "nn.Embedding(3, 2, padding_idx=3)",
    "nn.Embedding(3, 2, _weight=torch.ones(2, 2))",
    "nn.Embedding.from_pretrained(torch.ones(2))",
    *[
        f"w = torch.randn(5, 3, requires_grad=True); y = F.embedding_bag(torch.tensor([1, 1, 4, 0, 2]), w, torch.tensor([0, 2, 2]), mode='{mode}', padding_idx=4); print(y, y.grad_fn.name()); (y * y).sum().backward(); print(w.grad)"
        for mode in ("mean", "sum", "max")
    ],
    "w = torch.randn(5, 3, requires_grad=True); s = torch.rand(2, 2, requires_grad=True); y = F.embedding_bag(torch.tensor([[1, 1], [4, 0]]), w, per_sample_weights=s, mode='sum'); print(y); (y * y).sum().backward(); print(w.grad, s.grad)",
    "m = nn.EmbeddingBag(5, 3, mode='sum', padding_idx=1, max_norm=2.0); print(m, m.weight, m(torch.tensor([[1, 1], [4, 0]])), nn.EmbeddingBag.from_pretrained(torch.ones(2, 2)).weight)",
    "print(F.embedding_bag(torch.tensor([0, 1, 1]), torch.eye(2), torch.tensor([0, 1, 3]), include_last_offset=True))",
    "print(F.one_hot(torch.tensor([[1, 0], [2, 2]])), F.one_hot(torch.tensor(1), 3))",
    "x, y = torch.randn(2, 3, requires_grad=True), torch.randn(2, 3); z = F.cosine_similarity(x, y); print(z); z.sum().backward(); print(x.grad, F.cosine_similarity(x, torch.zeros(3), dim=-1))",
    "x, y = torch.randn(2, 3, requires_grad=True), torch.randn(2, 3); z = F.pairwise_distance(x, y, 1.5, keepdim=True); print(z); z.sum().backward(); print(x.grad)",
    "print(nn.CosineSimilarity(0)(torch.ones(2, 3), torch.ones(2, 3)), nn.PairwiseDistance(1)(torch.ones(2, 3), torch.zeros(2, 3)), nn.PairwiseDistance())",
    "torch.manual_seed(0); x = torch.randn(2, 4, requires_grad=True); print(F.gumbel_softmax(x, tau=0.5)); y = F.gumbel_softmax(x, hard=True); print(y); (y * torch.arange(4.0)).sum().backward(); print(x.grad)",
    "print(nn.Flatten()(torch.ones(2, 3, 4)).shape, nn.Flatten(0, 1), nn.Unflatten(1, (2, 3))(torch.ones(2, 6)).shape, nn.Unflatten(1, [2, 3]))",
    "nn.Unflatten(1, 3)",
    "nn.Unflatten(1, (2, 'a'))",
    "m = nn.PReLU(3, init=0.1); print(m, m.weight); y = m(torch.randn(2, 3, 2)); print(y); y.sum().backward(); print(m.weight.grad)",
    "nn.Hardtanh(1, 0)",
    "print(nn.Hardtanh(min_value=-2), nn.ReLU6(), nn.ReLU(True), nn.Softmax(dim=1), nn.GELU('tanh'), nn.Hardshrink(), nn.Softplus(), nn.Threshold(0.1, 20), nn.RReLU())",
    "nn.Softmax2d()(torch.ones(2, 2))",
    "print(nn.Softmax()(torch.ones(2, 2)), nn.Softmax2d()(torch.ones(2, 1, 2)))",
    "print(nn.CrossEntropyLoss(weight=torch.ones(2)), list(nn.CrossEntropyLoss(weight=torch.ones(2)).state_dict()), nn.MSELoss(reduction='sum').reduction, nn.BCEWithLogitsLoss(pos_weight=torch.ones(1)).pos_weight)",
    "print(nn.MSELoss(size_average=False).reduction)",
    "nn.HuberLoss(delta='a')",
    "nn.MultiMarginLoss(p=3)",
    "nn.TripletMarginLoss(margin=0)",
    "print(nn.NLLLoss2d())",
    "m = nn.LazyLinear(3); print(m, m.weight, m.bias, m.in_features); y = m(torch.ones(2, 4)); print(m, y, type(m).__name__)",
    "m = nn.LazyLinear(3)\ntry:\n    m.weight + 1\nexcept ValueError as error:\n    print(str(error)[:46])",
    "m = nn.LazyLinear(3); m.load_state_dict(nn.Linear(4, 3).state_dict()); print(m, m.weight.shape); print(m(torch.ones(1, 4)), m)",
    "m = nn.Sequential(nn.LazyLinear(3), nn.ReLU(), nn.LazyLinear(1, bias=False)); m = copy.deepcopy(m).double(); print(m, m(torch.ones(1, 2, dtype=torch.float64)), m[2].weight.dtype)",
    "print(nn.LazyLinear(3).weight.shape)",
]


@pytest.mark.parametrize("text", OTHERS)
def test_a_program_of_functions_prints_what_it_prints_on_pytorch(text):
    assert_prints_the_same(text)


LINEAR_CROSS_ENTROPY = [
    "F.linear_cross_entropy(x, w, t)",
    "F.linear_cross_entropy(x, w, t, linear_bias=w[:, 0], ignore_index=1, options=torch.nn.LinearCrossEntropyOptions())",
    "F.linear_cross_entropy(x, w.reshape(2, 2, 3), torch.zeros(2, 2).long(), reduction='none')",
    "F.linear_cross_entropy(x, w, torch.ones(2, 4), ignore_index=1)",
    "F.linear_cross_entropy(x[0, 0], w, t)",
    "F.linear_cross_entropy(x, w[0], t)",
    "F.linear_cross_entropy(x, w[:, :2], t)",
    "F.linear_cross_entropy(x, w, t, linear_bias=w[:2, 0])",
    "F.linear_cross_entropy(x[0], w.reshape(2, 2, 3), t[0])",
    "torch.nn.LinearCrossEntropyLoss(3, 4, weight=torch.ones(3))",
    "torch.nn.LinearCrossEntropyLoss(3, 4, label_smoothing=2.0)",
    "torch.nn.LinearCrossEntropyOptions(acc_policy='none')",
    "torch.nn.LinearCrossEntropyOptions(chunking_method='aspect_ratio:0')",
    "torch.nn.LinearCrossEntropyOptions(batch_chunk_size=0)",
]


@pytest.mark.parametrize("source", LINEAR_CROSS_ENTROPY)
def test_the_cross_entropy_of_a_linear_map(source):
    def run(torch, see):
        torch.manual_seed(0)
        x, w, t = torch.rand(2, 3), torch.rand(4, 3, requires_grad=True), torch.tensor([1, 2])
        found = attempt(
            eval, source, {"torch": torch, "F": torch.nn.functional, "x": x, "w": w, "t": t}
        )
        see(found.detach() if isinstance(found, torch.Tensor) else found)
        if isinstance(found, torch.Tensor):
            found.sum().backward()
            see(w.grad)

    assert_same(run, rtol=1e-5, atol=1e-6)
