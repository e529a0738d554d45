"""La leçon : la différentiation automatique expliquée par une régression linéaire.

    python examples/lecon.py

Le code est celui que l'on écrirait pour PyTorch ; seul l'import change. Le graphe des opérations
s'enregistre pendant que le code s'exécute (« define-by-run »), et `.backward()` le parcourt à l'envers.
La même leçon en anglais, à côté de PyTorch et des fonctions pures de JAX : lesson_three_ways.py.
"""

import funcgrad.torch as torch


def titre(texte):
    print(f"\n{texte}\n{'-' * len(texte)}")


titre("1. Les données et le poids")
torch.manual_seed(0)
x = torch.rand(2, 2)
y_vrai = torch.rand(2)
w = torch.rand(2, requires_grad=True)  # on demande le gradient par rapport à w
print("x      =", x)
print("y_vrai =", y_vrai)
print("w      =", w)

titre("2. La prédiction : chaque opération laisse un nœud dans le graphe")
y_pred = x @ w
print("y_pred =", y_pred)
print("créé par", type(y_pred.grad_fn).__name__)

titre("3. L'erreur quadratique moyenne")
perte = ((y_pred - y_vrai) ** 2).mean()
print("perte  =", perte)

titre("4. Le gradient : on remonte le graphe depuis la perte")
print("avant backward(), w.grad =", w.grad)
perte.backward()
print("après backward(), w.grad =", w.grad)

# À la main : la dérivée de la moyenne des carrés est 2/n · xᵀ (x w - y).
residu = (x @ w - y_vrai).detach()
a_la_main = [2 / 2 * sum(x.tolist()[i][j] * residu.tolist()[i] for i in range(2)) for j in range(2)]
print("à la main                =", [round(valeur, 4) for valeur in a_la_main])
assert all(abs(a - b) < 1e-6 for a, b in zip(a_la_main, w.grad.tolist(), strict=True))

titre("5. Un pas dans le sens de la descente")
w.data -= w.grad  # `.data` : ce pas ne s'enregistre pas dans le graphe
nouvelle_perte = ((x @ w - y_vrai) ** 2).mean()
print(f"la perte passe de {perte.item():.4f} à {nouvelle_perte.item():.4f}")
assert nouvelle_perte.item() < perte.item()

titre("6. Les gradients s'accumulent : on les efface avant chaque pas")
for pas in range(1, 51):
    w.grad = None
    perte = ((x @ w - y_vrai) ** 2).mean()
    perte.backward()
    w.data -= w.grad
    if pas % 10 == 0:
        print(f"pas {pas:2} : perte {perte.item():.6f}")
