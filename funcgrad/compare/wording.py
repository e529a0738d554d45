"""The words of a report's page, in English and in French."""

from typing import Any

from funcgrad.compare.errors import OptionError
from funcgrad.compare.leaves import CONSTANT, FEWER_DIGITS, OTHERWISE, STAYS

ENGLISH, FRENCH = "en", "fr"

# One row a phrase: its name in the code, English, French.
PHRASES = {
    "against": ("{0} against {1}", "{0} comparé à {1}"),
    "regression": (
        "{0} from {1} features of {2} rows, on {3} backends",
        "{0} d'après {1} variables de {2} lignes, sur {3} implémentations",
    ),
    "all agree": (
        "All {0} backends agree. The differences are rounding.",
        "Les {0} implémentations sont d'accord. Les différences sont des arrondis.",
    ),
    "alone": (
        "Only one backend ran: there was nothing to compare it with.",
        "Une seule implémentation a tourné : rien à comparer.",
    ),
    "disagrees": ("It is in {0}: {1}.", "Elle est dans {0} : {1}."),
    "identical": ("Identical, bit for bit.", "Identiques, bit pour bit."),
    "rounding": (
        "They agree. The differences are rounding.",
        "Accord. Les différences sont des arrondis.",
    ),
    "real": ("A real difference.", "Une vraie différence."),
    "undecided": ("Undecided.", "Indécidable."),
    "begins": (
        "It begins at step {0}, in {1}.",
        "Elle commence au pas {0}, dans {1}.",
    ),
    "nothing": ("Not compared.", "Pas de comparaison."),
    "losses": ("The losses of the trainings", "Les pertes des entraînements"),
    "weights apart": (
        "How far the weights are from the reference's after so many steps; shaded: what rounding explains, 8 bands",
        "Écart des poids avec ceux de la référence après tant de pas ; en grisé : ce que l'arrondi explique, 8 bandes",
    ),
    "backends": ("Every backend", "Toutes les implémentations"),
    "backend": ("backend", "implémentation"),
    "did not run": ("{0} did not run: {1}.", "{0} n'a pas tourné : {1}."),
    "exact": (
        "Exact least squares has loss {0}; the reference is {1} above it.",
        "Les moindres carrés exacts ont la perte {0} ; la référence est {1} au-dessus.",
    ),
    "ended above": (
        "{0} ended above the starting loss, {1}: the learning rate is too large, or the steps too few.",
        "{0} a fini au-dessus de la perte de départ, {1} : le taux d'apprentissage est trop grand, ou les pas trop peu nombreux.",
    ),
    "quantity": ("quantity", "grandeur"),
    "allowed": ("allowed", "admis"),
    "farthest": ("farthest", "le plus loin"),
    "final loss": ("final loss", "perte finale"),
    "loss": ("loss", "perte"),
    "gradients": ("gradients", "gradients"),
    "weights after the first steps": (
        "weights after the first steps",
        "poids, premiers pas",
    ),
    "final weights": ("final weights", "poids finals"),
    "intercept": ("the intercept", "ordonnée à l'origine"),
    "times": ("The times", "Les temps"),
    "spread": (
        "Bars go from quartile to quartile of {0} rounds in random order; the mark is the median.",
        "Les barres vont d'un quartile à l'autre de {0} tours dans un ordre tiré au sort ; la marque est la médiane.",
    ),
    "name": ("function", "fonction"),
    "median": ("median", "médiane"),
    "quartiles": ("quartiles", "quartiles"),
    "from to": ("{0} to {1}", "de {0} à {1}"),
    "ratio": ("by the first", "par rapport à la première"),
    "interval": ("95 % interval", "intervalle à 95 %"),
    "compile": ("first call, beyond the median", "premier appel, au-delà de la médiane"),
    "not steady": ("not steady", "instable"),
    "a step": ("time of a step", "temps d'un pas"),
    "target": ("target", "cible"),
    "rows": ("rows", "lignes"),
    "features": ("features", "variables"),
    "optimizer": ("optimizer", "optimiseur"),
    "learning_rate": ("learning rate", "taux d'apprentissage"),
    "largest_stable_rate": ("largest stable rate", "plus grand taux stable"),
    "platform": ("platform", "plateforme"),
    "rounds": ("rounds", "tours"),
    "apart": (
        "How far apart the losses are, as a part of the loss; shaded: the rounding band",
        "Écart des pertes, rapporté à la perte ; en grisé : la bande d'arrondi",
    ),
    "each step": (
        "Each step from the reference's state, in rounding bands; up to 8 agree",
        "Chaque pas depuis l'état de la référence, en bandes d'arrondi ; accord jusqu'à 8",
    ),
    "step": ("step", "pas"),
    "arrays": ("Every array", "Tous les tableaux"),
    "arrays at": ("Every array at step {0}", "Tous les tableaux au pas {0}"),
    "graphs": ("The computation", "Le calcul"),
    "circumstances": ("Circumstances", "Circonstances"),
    "words": ("Words", "Vocabulaire"),
    "setting": ("{0}: {1}", "{0} : {1}"),
    "dtype": ("dtype", "type"),
    "device": ("device", "matériel"),
    "moves": ("moves", "déplacements"),
    "steps": ("steps", "pas"),
    "order": ("order", "ordre"),
    "seed": ("seed", "graine"),
    "the shim": ("the shim", "funcgrad.torch"),
    "leaf": ("array", "tableau"),
    "absolute": ("difference", "écart"),
    "relative": ("relative", "relatif"),
    "ulps": ("ulps", "ulps"),
    "bands": ("bands", "bandes"),
    "shadow": ("in float64", "en float64"),
    "index": ("at", "indice"),
    "reference": ("reference", "référence"),
    "candidate": ("candidate", "candidat"),
    "verdict": ("verdict", "verdict"),
    "visible": (
        "This run would have seen a fault of {0} of an array's largest element.",
        "Cet essai aurait montré une faute de {0} du plus grand élément d'un tableau.",
    ),
    "visible in a step": (
        "A fault of {0} of a step's change would have been seen at any step.",
        "Une faute de {0} du changement d'un pas aurait été vue à n'importe quel pas.",
    ),
    "value": ("value", "valeur"),
    "gradient": ("gradient by {0}", "gradient par rapport à {0}"),
    "Hessian product": (
        "Hessian product {0} by {1}",
        "produit {0} par la hessienne, par rapport à {1}",
    ),
    "True": ("yes", "oui"),
    "False": ("no", "non"),
    "a float64 shadow": ("a float64 shadow", "une ombre en float64"),
    FEWER_DIGITS: (
        FEWER_DIGITS,
        "en float64 les deux côtés sont la même fonction ; dans ce type le candidat a moins de chiffres que la référence : "
        "produits en TF32 ou en bfloat16, une constante comme 1 - 0,999, ou une formule qui se simplifie mal",
    ),
    STAYS: (STAYS, "en float64 la différence demeure"),
    OTHERWISE: (
        OTHERWISE,
        "en float64 l'écart est bien plus grand que dans ce type : l'un des côtés y calcule autre chose, par exemple avec des "
        "nombres qu'il tire lui-même au hasard. Donnez les mêmes aux deux côtés en argument",
    ),
    CONSTANT: (
        CONSTANT,
        "en float64 l'écart est celui d'une constante qu'un côté arrondit à ce type",
    ),
}
VERDICTS = {
    "identical": ("identical", "identiques"),
    "rounding": ("rounding", "arrondi"),
    "real": ("real", "réelle"),
    "undecided": ("undecided", "indécidable"),
}

ULP, BAND, SHADOW, RESYNCHRONISED, BACKENDS = "ulp", "band", "shadow", "resynchronised", "backends"

# One row a word: its name in the code; the word and its meaning in English, and in French.
GLOSSARY = {
    ULP: (
        ("ulp", "A unit in the last place: the step from a number to the next one that its dtype has."),
        ("ulp", "Unité en dernière position : le pas d'un nombre au suivant dans son type."),
    ),
    BAND: (
        (
            "rounding band",
            "How far an array of the reference moves when every input moves by one ulp. Up to 8 bands are rounding.",
        ),
        (
            "bande d'arrondi",
            "Déplacement d'un tableau de la référence quand chaque entrée bouge d'un ulp. Jusqu'à 8 bandes, c'est un arrondi.",
        ),
    ),
    SHADOW: (
        (
            "float64 shadow",
            "The same computation in float64, from the same numbers. A fault stays there; rounding all but vanishes.",
        ),
        (
            "ombre en float64",
            "Le même calcul en float64, à partir des mêmes nombres. Une faute y demeure ; l'arrondi y disparaît presque.",
        ),
    ),
    RESYNCHRONISED: (
        (
            "re-synchronised",
            "Each step of the candidate begins at the reference's state, so that differences cannot grow from step to step.",
        ),
        (
            "resynchronisé",
            "Chaque pas du candidat part de l'état de la référence : les écarts ne peuvent pas croître d'un pas à l'autre.",
        ),
    ),
    BACKENDS: (
        (
            "pytorch, shim, jax, jax-loop",
            "PyTorch; the same source on funcgrad.torch; one compiled step of JAX, called from Python; the whole training "
            "compiled.",
        ),
        (
            "pytorch, shim, jax, jax-loop",
            "PyTorch ; la même source sur funcgrad.torch ; un pas de JAX compilé, appelé depuis Python ; tout l'entraînement "
            "compilé.",
        ),
    ),
}  # fmt: skip


class Words:
    """The phrases of one language.

    Args:
        language: "en" or "fr".

    Raises:
        OptionError: there is no such language.

    >>> Words("fr")("step"), Words("en")("of no table")
    ('pas', 'of no table')
    """

    def __init__(self, language: str) -> None:
        if language not in (ENGLISH, FRENCH):
            raise OptionError(f"a page is written in en or fr, not in {language!r}")
        self.column = int(language == FRENCH)

    def __call__(self, name: str, *values: Any) -> str:
        """Return a phrase with these values in it; a name that no phrase has, as it is."""
        phrase = PHRASES[name][self.column] if name in PHRASES else name
        return phrase.format(*values) if values else phrase
