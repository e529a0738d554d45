"""How results show themselves in a notebook: short pieces of HTML, and line charts."""

from funcgrad.display.charts import Line, Span, chart, spans
from funcgrad.display.notebook import Text, figure, framed, grid

__all__ = ["Line", "Span", "Text", "chart", "figure", "framed", "grid", "spans"]
