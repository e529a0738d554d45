"""The words that the lesson's cells print and draw, in French. The cells are written once, in English."""

# A piece of code, and the same in the French notebooks.
WORDS = {
    'print("leaf:", w.is_leaf': 'print("feuille :", w.is_leaf',
    '" gradient:"': '" gradient :"',
    'print("loss =", loss)': 'print("perte =", loss)',
    '"loss: {loss.item():.4f} -> {new_loss.item():.4f}"': '"perte : {loss.item():.4f} -> {new_loss.item():.4f}"',
    '"lowest loss: {lowest.item():.4f} at (': '"perte la plus basse : {lowest.item():.4f} en (',
    'label="loss"': 'label="perte"',
    '"backward:"': '"backward :"',
    '"by hand: "': '"à la main :"',
    '"by hand:        "': '"à la main :      "',
    ":.4f} in float64": ":.4f} en float64",
    '"largest h is the best:"': '"le plus grand h est le meilleur :"',
    '"h = 1e-8 leaves nothing:"': '"h = 1e-8 ne laisse rien :"',
    'ylabel="error"': 'ylabel="erreur"',
    '"by hand and backward are within 8 ulps:"': '"à la main et backward sont à moins de 8 ulps :"',
    "start {start:4}: derivative 1/": "départ {start:4} : dérivée 1/",
    '"whole: "': '"entier :  "',
    '"halves:"': '"moitiés :"',
    "step {step:2}: never cleared {wrong[step]:.4f}   cleared {": "pas {step:2} : jamais effacé {wrong[step]:.4f}   effacé {",
    'label="never cleared"': 'label="jamais effacé"',
    'label="cleared"': 'label="effacé"',
    'xlabel="step"': 'xlabel="pas"',
    '"traced with", type(w).__name__ != "ArrayImpl" and "a tracer"': '"tracé avec", type(w).__name__ != "ArrayImpl" and "un traceur"',
    '"agree:"': '"accord :"',
    '"version when saved:"': '"version à la sauvegarde :"',
    '"version now:       "': '"version maintenant :     "',
    '"of", len(wanted), "are repaired"': '"sur", len(wanted), "sont réparées"',
    'f"rate {rate}: loss {losses[0]:.4f}, after 10 steps {losses[10]:.4f}, after 20 {': 'f"taux {rate} : perte {losses[0]:.4f}, après 10 pas {losses[10]:.4f}, après 20 {',
    'label=f"rate {rate}"': 'label=f"taux {rate}"',
    'ylabel="loss - lowest loss"': 'ylabel="perte - perte la plus basse"',
    '"curvatures {low:.4f} and {high:.4f}, condition number {': '"courbures {low:.4f} et {high:.4f}, conditionnement {',
    'f"rate {rate}: factors {1 - rate * low:6.3f} and {': 'f"taux {rate} : facteurs {1 - rate * low:6.3f} et {',
    'f"loss {losses[0]:.4f}, after 10 steps {losses[10]:.4f}, after 50 {losses[50]:.4f}, after 200 {': 'f"perte {losses[0]:.4f}, après 10 pas {losses[10]:.4f}, après 50 {losses[50]:.4f}, après 200 {',
    '"curvatures {low2:.1e} and {': '"courbures {low2:.1e} et {',
    '"steps to halve the distance: {': '"pas pour réduire la distance de moitié : {',
    '"rate 0.03, after 20 steps: {plain[20]:.4f} without momentum, {ball[20]:.4f} with it"': '"taux 0.03, après 20 pas : {plain[20]:.4f} sans élan, {ball[20]:.4f} avec"',
    '("momentum 0", "momentum 0.7")': '("élan 0", "élan 0.7")',
    '"order {order}: {': '"ordre {order} : {',
    '"jax:"': '"jax :"',
    '"double backward:"': '"double backward :"',
    '"jax.hessian:    "': '"jax.hessian :    "',
    'f"step {step}: Newton off by {abs(1 - newton.item()):.3g}, descent by {': 'f"pas {step} : écart de Newton {abs(1 - newton.item()):.3g}, de la descente {',
    'f"loss {loss_of(w, x, y_true)': 'f"perte {loss_of(w, x, y_true)',
    'f"loss {script_loss:.4f}"': 'f"perte {script_loss:.4f}"',
    '"losses agree:"': '"les pertes concordent :"',
    '"trainings agree:"': '"les entraînements concordent :"',
    '"compiled agrees:"': '"la fonction compilée concorde :"',
    'f"loss {losses[-1]:.4f}"': 'f"perte {losses[-1]:.4f}"',
    '"same end:"': '"même fin :"',
    '"its weights:"': '"ses poids :"',
}  # fmt: skip


def in_french(code: str) -> str:
    """Return a cell with its printed words in French."""
    for english, french in WORDS.items():
        code = code.replace(english, french)
    return code
