"""The exercises of the lesson: the right answers, and the reasons, in English and in French.

A notebook calls `check("1", answer)`. A right answer prints why it is right; a wrong one raises with a hint.
"""

from typing import NamedTuple

import numpy as np

from funcgrad.teaching import settings


class Exercise(NamedTuple):
    """An exercise: what the answer must be, a hint, and the reason, each text in English and in French."""

    answer: object
    tolerance: float
    hint: tuple[str, str]
    reason: tuple[str, str]


EXERCISES = {
    "1": Exercise(
        (0.2617, 0.3852),
        6e-4,
        (
            "The loss is the mean of (x w - y)². Its derivative by w is 2/n xᵀ (x w - y), with n rows.",
            "La perte est la moyenne des (x w - y)². Sa dérivée par rapport à w est 2/n xᵀ (x w - y), avec n lignes.",
        ),
        (
            "Both are positive: x is positive and most predictions are too high, so a larger weight makes the loss larger.",
            "Les deux sont positives : x est positif et la plupart des prédictions sont trop hautes ; un poids plus grand "
            "augmente donc la perte.",
        ),
    ),
    "2 bias": Exercise(
        0.3765,
        6e-4,
        (
            "Each prediction moves by exactly 1 when b moves by 1, so the column that belongs to b is a column of ones.",
            "Chaque prédiction bouge exactement de 1 quand b bouge de 1 : la colonne associée à b est une colonne de 1.",
        ),
        (
            "The derivative by b is 2/n times the sum of the residuals: twice the mean residual.",
            "La dérivée par rapport à b vaut 2/n fois la somme des résidus : deux fois le résidu moyen.",
        ),
    ),
    "2 best h": Exercise(
        1e-2,
        1e-9,
        (
            "Look for the smallest of the five errors: too large an h cuts the curve, too small an h cancels digits.",
            "Cherchez la plus petite des cinq erreurs : un h trop grand coupe la courbe, un h trop petit annule les chiffres.",
        ),
        (
            "The loss is a parabola, so the central difference has no error of its own, whatever h: only rounding is left, and it "
            "shrinks as h grows. With another function the best h in float32 lies near the cube root of 1e-7, about 5e-3.",
            "La perte est une parabole : la différence centrée n'a pas d'erreur propre, quel que soit h ; il ne reste que "
            "l'arrondi, qui diminue quand h grandit. Pour une autre fonction, le meilleur h en float32 est voisin de la racine "
            "cubique de 1e-7, soit 5e-3 environ.",
        ),
    ),
    "3": Exercise(
        ("ExpBackward0", "NegBackward0"),
        0,
        (
            "Write an ordinary `if` on the sign: exp where the value is positive, minus where it is not.",
            "Écrivez un `if` ordinaire sur le signe : exp si la valeur est positive, moins sinon.",
        ),
        (
            "Only the branch that ran is in the graph. The test itself leaves no node: a comparison has no derivative.",
            "Seule la branche exécutée est dans le graphe. Le test n'y laisse aucun nœud : une comparaison n'a pas de dérivée.",
        ),
    ),
    "4": Exercise(
        True,
        0,
        (
            "Return the new weights instead of writing to w: `w - rate * jax.grad(loss_of)(w, x, y_true)`.",
            "Renvoyez les nouveaux poids au lieu d'écrire dans w : `w - rate * jax.grad(loss_of)(w, x, y_true)`.",
        ),
        (
            "`parity` compared value and derivatives, and what is left is rounding: both are the same function.",
            "`parity` a comparé la valeur et les dérivées ; il ne reste que l'arrondi : c'est la même fonction.",
        ),
    ),
    "5": Exercise(
        8,
        0,
        (
            "Read the note under each message: its code is the cure.",
            "Lisez la note sous chaque message : son code est le remède.",
        ),
        (
            "All eight cells run. Each message told where autograd had lost track, and the note how to keep it.",
            "Les huit cellules s'exécutent. Chaque message disait où autograd avait perdu le fil, et la note comment le garder.",
        ),
    ),
    "6": Exercise(
        1.8423,
        2e-3,
        (
            "Along the steepest direction a step multiplies the distance to the minimum by 1 - rate * curvature.",
            "Dans la direction la plus raide, un pas multiplie la distance au minimum par 1 - taux * courbure.",
        ),
        (
            "The factor must stay above -1, so the rate must stay below 2 divided by the largest curvature.",
            "Le facteur doit rester au-dessus de -1 : le taux doit rester inférieur à 2 divisé par la plus grande courbure.",
        ),
    ),
    "7": Exercise(
        (0.4502, 0.3696),
        6e-4,
        (
            "Newton's step solves H s = g and goes to w - s, with the gradient g and the Hessian H at w.",
            "Le pas de Newton résout H s = g et va en w - s, avec le gradient g et la hessienne H en w.",
        ),
        (
            "The loss is a parabola, and Newton's step goes to the minimum of the parabola that fits: here the loss itself.",
            "La perte est une parabole, et le pas de Newton va au minimum de la parabole tangente : ici, la perte elle-même.",
        ),
    ),
    "8": Exercise(
        (1, "state['velocity']"),
        0,
        (
            "Ask the report of `trajectory` for `.step` and `.leaf`.",
            "Demandez `.step` et `.leaf` au rapport de `trajectory`.",
        ),
        (
            "The velocity is wrong at the first step already: it was multiplied by the rate, as in another convention of "
            "momentum. With a constant rate both conventions train alike, so a look at the weights shows nothing.",
            "La vitesse est fausse dès le premier pas : elle a été multipliée par le taux, selon une autre convention de "
            "l'inertie. À taux constant, les deux conventions s'entraînent de la même façon : les poids ne montrent rien.",
        ),
    ),
}


def speak(language: str) -> None:
    """Choose the language of the checks and of the library's notes: "en" or "fr"."""
    settings.language = language


def check(name: str, answer: object) -> None:
    """Print the reason if the answer is right.

    Raises:
        AssertionError: the answer is wrong; the message is a hint.
    """
    exercise = EXERCISES[name]
    column = int(settings.language == "fr")
    if not _is_right(answer, exercise):
        raise AssertionError(exercise.hint[column]) from None
    print("✓", exercise.reason[column])


def _is_right(answer: object, exercise: Exercise) -> bool:
    if not exercise.tolerance:
        return answer == exercise.answer
    try:
        given = np.asarray(getattr(answer, "tolist", lambda: answer)(), float)
    except (TypeError, ValueError):
        return False
    wanted = np.asarray(exercise.answer)
    return given.shape == wanted.shape and bool(np.all(abs(given - wanted) <= exercise.tolerance))
